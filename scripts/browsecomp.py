"""Write predictions as BrowseComp-Plus runs and score what they retrieved (rule browsecomp)."""

from searchtrain.core import cli, files
from searchtrain.data import schemas
from searchtrain.evaluation.benchmarks import read_benchmarks
from searchtrain.evaluation.browsecomp_runs import select_runs, write_runs
from searchtrain.evaluation.browsecomp_scores import score_runs
from searchtrain.evaluation.qrels import read_qrels


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_paths("predictions", benchmarks="benchmarks.json", qrels="evidence, as TREC qrels")
    parser.add_paths(required=False, gold="documents that hold the answer, as TREC qrels")
    parser.add_argument("--name", default="browsecomp", help="the benchmark; ids are <name>/<id>")
    parser.add_paths("report", out="folder of the runs")
    args = parser.parse()
    predictions = schemas.read_table(args.predictions, schemas.Predictions)
    benchmarks = read_benchmarks(args.benchmarks)
    rows = select_runs(predictions, benchmarks, args.name, args.benchmarks)
    evidence = read_qrels(args.qrels)
    gold = read_qrels(args.gold) if args.gold else None
    paths = {"recall": args.qrels, "gold_recall": args.gold}
    report = score_runs(rows, evidence, gold, paths)
    write_runs(rows, args.out)
    files.write_json(report, args.report)


if __name__ == "__main__":
    cli.run(main)
