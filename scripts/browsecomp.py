"""Write predictions as BrowseComp-Plus runs and score what they retrieved (rule browsecomp)."""

from pathlib import Path

from searchtrain.core import cli, files
from searchtrain.data import schemas
from searchtrain.evaluation.benchmarks import read_benchmarks
from searchtrain.evaluation.browsecomp_runs import select_runs, write_runs
from searchtrain.evaluation.browsecomp_scores import score_runs
from searchtrain.evaluation.qrels import read_qrels


def main() -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--benchmarks", type=Path, required=True, help="benchmarks.json")
    parser.add_argument("--qrels", type=Path, required=True, help="evidence, as TREC qrels")
    parser.add_argument("--gold", type=Path, help="documents that hold the answer, as TREC qrels")
    parser.add_argument("--name", default="browsecomp", help="the benchmark; ids are <name>/<id>")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--report", type=Path, required=True)
    args = cli.parse(parser)
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
