"""A trainer process that shards on the CPU if its arguments say so."""

import runpy
import sys
from pathlib import Path

import yaml
from accelerate.state import AcceleratorState

from helpers.fsdp_worker import initialise_with_fsdp

if __name__ == "__main__":
    module, recipe = sys.argv[1:]
    if yaml.safe_load(Path(recipe).read_text()).get("fsdp"):
        AcceleratorState.__init__ = initialise_with_fsdp
    sys.argv = [module, recipe]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert AcceleratorState().is_fsdp2 or "fsdp" not in Path(recipe).read_text()
