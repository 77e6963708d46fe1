"""Ask every endpoint of a run one cheap request of each kind that the run will make (rule doctor).

What works, what is adapted, what is refused and how to mend it; exit status 1 if something is
refused.
"""

import json

from searchtrain.agent import setup
from searchtrain.config.command import Parser
from searchtrain.core import cli, files
from searchtrain.report import doctor


def main() -> None:
    parser = Parser(__doc__)
    parser.add_paths(required=False, out="doctor.md", prompts="folder of the prompt files")
    parser.add_argument(
        "--asked", type=json.loads, required=True, help="JSON array of [stage, role, sampling]"
    )
    setup.add_server_argument(parser)
    args = parser.parse()
    findings = doctor.examine(args.config, args.asked, args.servers, args.prompts)
    text = doctor.format_findings(findings)
    cli.logger.info("%s", text)
    doctor.check_findings(findings)
    if args.out:
        files.write_text(text, args.out)


if __name__ == "__main__":
    cli.run(main)
