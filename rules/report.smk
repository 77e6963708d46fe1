"""What a run did, its rollouts to look at, what it will take and took, how the submissions compare,
and its data for others.

Inputs: reports and tables of all stages; the config, data.train, data.dev, data.test, pilot.json where
it is there; test.json; the folders of task.submissions.
Outputs: figures/; transcripts/; doctor.md; plan.json, plan.md, proposal.yaml; hours.json, hours.md;
submissions.json, submissions.md; export/ (of a later round rounds/<n>/export/).
"""

# The pages of figures, in the order of the story: their category in Snakemake's report, their name.
FIGURES = {
    "overview": ("1 Overview", "All figures on one page"),
    "funnel": ("2 Questions", "Funnel"),
    "sampling": ("2 Questions", "Domains and key points"),
    "contamination": ("2 Questions", "Contamination"),
    "effort": ("3 Rollouts", "Turns, searches, tokens, cost"),
    "verdicts": ("3 Rollouts", "Verdicts of the rules"),
    "difficulty": ("3 Rollouts", "Difficulty"),
    "training": ("4 Training", "Training"),
    "scores": ("5 Scores", "Scores"),
    "gaps": ("5 Scores", "Gap meter"),
    "task": ("6 Task", "Constraints of the task"),
}


rule figures:
    input:
        seeds="<results>/seeds_report.json",
        sampling="<results>/sampling_report.json",
        questions="<results>/questions_report.json",
        trajectories="<results>/trajectories.parquet",
        verdicts="<results>/curation.parquet",
        records=f"<results>/{students.place_of(CONFIG.rounds.count)}sft_report.json",
        yields="<results>/yield.json",
        checkpoint="<results>/checkpoint",
        metrics="<results>/metrics.json",
        predictions=students.list_predictions(CONFIG, ""),
        costs=students.list_costs(CONFIG),
        template="report/page.html.jinja",
    output:
        **{
            name: report(
                f"<results>/figures/{name}.html",
                caption=f"../report/captions/{name}.rst",
                category=category,
                labels={"figures": label},
            )
            for name, (category, label) in FIGURES.items()
        },
    log:
        "<logs>/figures.log",
    benchmark:
        "<benchmarks>/figures.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("figures"),
        found=PROJECT.digest_found(),
        library=PROJECT.untracked(find_library()),
        timings=PROJECT.untracked(PROJECT.timings),
        results=subpath(input.metrics, parent=True),
        out=subpath(output.overview, parent=True),
    shell:
        "exec python scripts/figures.py"
        " --seeds {input.seeds:q}"
        " --sampling {input.sampling:q}"
        " --questions {input.questions:q}"
        " --trajectories {input.trajectories:q}"
        " --verdicts {input.verdicts:q}"
        " --records {input.records:q}"
        " --yields {input.yields:q}"
        " --checkpoint {input.checkpoint:q}"
        " --metrics {input.metrics:q}"
        " --predictions {input.predictions:q}"
        " --costs {input.costs:q}"
        " --template {input.template:q}"
        " --library {params.library:q}"
        " --results {params.results:q}"
        " --timings {params.timings:q}"
        " --out {params.out:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule doctor:
    output:
        "<results>/doctor.md",
    log:
        "<logs>/doctor.log",
    benchmark:
        "<benchmarks>/doctor.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("doctor"),
        asked=PROJECT.list_doctor_arguments(),
    shell:
        "exec python scripts/doctor.py {params.asked:q} --out {output:q} --log {log:q}"


rule plan:
    input:
        train=DATA.train,
        dev=DATA.dev,
        test=DATA.test,
        pilot=PROJECT.list_measured(),
    output:
        plan="<results>/plan.json",
        text="<results>/plan.md",
        proposal="<results>/proposal.yaml",
    log:
        "<logs>/plan.log",
    benchmark:
        "<benchmarks>/plan.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("plan", pilot="pilot"),
        results=subpath(output.plan, parent=True),
    shell:
        "exec python scripts/plan.py"
        " --config {params.config:q}"
        " --results {params.results:q}"
        " {params.options:q}"
        " --out {output.plan:q}"
        " --text {output.text:q}"
        " --proposal {output.proposal:q}"
        " --log {log:q}"


rule hours:
    input:
        plan="<results>/plan.json",
        test="<results>/test.json",
    output:
        hours="<results>/hours.json",
        text="<results>/hours.md",
    log:
        "<logs>/hours.log",
    benchmark:
        "<benchmarks>/hours.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("hours"),
        timings=PROJECT.timings,
        results=subpath(output.hours, parent=True),
    shell:
        "exec python scripts/hours.py"
        " --plan {input.plan:q}"
        " --results {params.results:q}"
        " --timings {params.timings:q}"
        " --out {output.hours:q}"
        " --text {output.text:q}"
        " --log {log:q}"


rule submissions:
    input:
        PROJECT.list_submitted(),
    output:
        submissions="<results>/submissions.json",
        text="<results>/submissions.md",
    log:
        "<logs>/submissions.log",
    benchmark:
        "<benchmarks>/submissions.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("submissions"),
        commands=PROJECT.list_commands(RUN),
    shell:
        "exec python scripts/submissions.py"
        " --commands {params.commands:q}"
        " --out {output.submissions:q}"
        " --text {output.text:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule export:
    input:
        trajectories="<results>/{round}trajectories.parquet",
        curated="<results>/{round}curated.parquet",
        verdicts="<results>/{round}curation.parquet",
        questions="<results>/questions.parquet",
        seeds="<results>/seeds_report.json",
        sampling="<results>/sampling_report.json",
        prompt=prompt("agent"),
        included=included("agent"),
    output:
        directory("<results>/{round}export"),
    log:
        "<logs>/{round}export.log",
    benchmark:
        "<benchmarks>/{round}export.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("export"),
    shell:
        "exec python scripts/export.py"
        " --trajectories {input.trajectories:q}"
        " --curated {input.curated:q}"
        " --verdicts {input.verdicts:q}"
        " --questions {input.questions:q}"
        " --seeds {input.seeds:q}"
        " --sampling {input.sampling:q}"
        " --prompt {input.prompt:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule transcripts:
    input:
        tables=PROJECT.list_rollouts(),
        types=PROJECT.list_existing(DATA.types),
        answers=PROJECT.list_existing(DATA.test_answers),
    output:
        directory("<results>/transcripts"),
    log:
        "<logs>/transcripts.log",
    benchmark:
        "<benchmarks>/transcripts.tsv"
    conda:
        "../envs/view.yaml"
    params:
        **stage("transcripts", types="types", answers="answers"),
        python=PROJECT.untracked(CONFIG.view.python),
    shell:
        "exec {params.python:q} scripts/transcripts.py"
        " --tables {input.tables:q}"
        " {params.options:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --log {log:q}"
