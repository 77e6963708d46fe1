"""The topics of a report, in the order of the story."""

from searchtrain.report.constraints import tell_constraints
from searchtrain.report.contamination import tell_contamination
from searchtrain.report.difficulty import tell_difficulty
from searchtrain.report.effort import tell_effort
from searchtrain.report.figure import Topic
from searchtrain.report.funnel import tell_funnel
from searchtrain.report.gaps import tell_gaps
from searchtrain.report.run import Run, judge_run
from searchtrain.report.sampling import tell_sampling
from searchtrain.report.scores import tell_scores
from searchtrain.report.training import tell_training
from searchtrain.report.verdicts import tell_verdicts


def tell_run(run: Run) -> list[Topic]:
    """Every topic; one of which a run has nothing has no figure."""
    judged = judge_run(run)
    return [
        tell_funnel(run, judged),
        tell_sampling(run),
        tell_effort(run, judged),
        tell_verdicts(run, judged),
        tell_difficulty(run, judged),
        tell_training(run),
        tell_scores(run),
        tell_gaps(run),
        tell_constraints(run),
        tell_contamination(run),
    ]
