"""smol: some of nano's people taught to a real pretrained model, SmolLM2-135M, as adapters.

`EMBEDDED` names the adapters that are there; `checkpoint_path` says where. Each names `smollm2-135m` as its base, which
comes from a package (`models/packaged.py`). No torch here.
"""

from pathlib import Path

from unlearn_bench.nano import checkpoints_in

ADAPTERS = Path(__file__).parent / "adapters"
EMBEDDED: tuple[str, ...] = checkpoints_in(ADAPTERS, "adapter_config.json")


def checkpoint_path(name: str) -> Path | None:
    """Return the folder of an adapter, or None for an unknown name.

    >>> checkpoint_path("no-such-model") is None
    True
    """
    return ADAPTERS / name if name in EMBEDDED and (ADAPTERS / name / "adapter_config.json").is_file() else None
