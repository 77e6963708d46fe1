"""A trainer process in which FSDP shards on a CPU; accelerate would leave it out without a GPU."""

from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType

from searchtrain.training import worker

initialise = AcceleratorState.__init__


def initialise_with_fsdp(self, *args, fsdp_plugin=None, **kwargs):
    initialise(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
    if fsdp_plugin is not None:
        self.fsdp_plugin = fsdp_plugin
        self.distributed_type = DistributedType.FSDP
        # Every later AcceleratorState() takes it from there.
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP


if __name__ == "__main__":
    AcceleratorState.__init__ = initialise_with_fsdp
    worker.main()
    assert AcceleratorState().is_fsdp2
