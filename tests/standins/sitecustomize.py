"""What takes the place of hardware that a test machine lacks; run at the start of every process.

A vLLM server of a model that is not there becomes a strict imitation of it (`conformance`), and a
trainer shards on the CPU, where accelerate would leave sharding out. Everything else, command lines
included, is as it would be.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
VLLM = "vllm.entrypoints.openai.api_server"
TRAINERS = ("searchtrain.training.worker", "searchtrain.training.attention")

sys.path.append(str(HERE.parent / "loopback"))
import audit  # noqa: E402

if audit.VARIABLE in os.environ:
    audit.install()


def find_module(command):
    """The module that this process was started to run, and its arguments."""
    if "-m" not in command:
        return "", []
    place = command.index("-m") + 1
    return command[place], command[place + 1 :]


def replace(module, *args):
    """Go on as another module of the tests."""
    paths = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    os.execv(sys.executable, [sys.executable, "-u", "-m", module, *args])


name, arguments = find_module(sys.orig_argv)
if name == VLLM and not Path(arguments[arguments.index("--model") + 1]).is_dir():
    replace("standins.vllm_server", *arguments)
elif name in TRAINERS:
    replace("standins.sharded_training", name, *arguments)
