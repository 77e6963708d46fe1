"""Draw research trees, good and refused ones, in one page (rule tree_gallery)."""

from searchtrain.core import cli, files
from searchtrain.data import schemas
from searchtrain.report.tree_gallery import draw_gallery


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_paths("trees", "questions", "template", "out")
    args = parser.parse()
    trees = schemas.read_table(args.trees, schemas.Trees)
    questions = schemas.read_table(args.questions, schemas.TreeQuestions)
    files.write_text(draw_gallery(trees, questions, args.template), args.out)
    cli.logger.info("%d trees: %s", trees.height, args.out)


if __name__ == "__main__":
    cli.run(main)
