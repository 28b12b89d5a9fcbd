"""`unlearn-bench` under FSDP2 on CPUs: accelerate takes FSDP for GPUs only and falls back to DDP; here it is made to.

What shards, gathers and saves is accelerate's and torch's own code, over gloo. Commands as in `tests/several.py`.
"""

import sys

from accelerate import state
from accelerate.utils import DistributedType

_init = state.AcceleratorState.__init__


def _sharded(self: state.AcceleratorState, *args: object, fsdp_plugin: object = None, **kwargs: object) -> None:
    _init(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
    self.distributed_type = DistributedType.FSDP  # each call to the constructor sets it anew
    if fsdp_plugin is not None:
        self.fsdp_plugin = fsdp_plugin


if __name__ == "__main__":
    state.AcceleratorState.__init__ = _sharded
    from tests.several import run

    run(sys.argv[1])
