"""Is there room for what a run will write? Asked before it starts, not found out at its end."""

import shutil
from pathlib import Path

from torch import nn

from unlearn_bench.errors import UserError

ADAM_BYTES = 8  # two float32 moments of each trained parameter
SAFETY = 1.1


def needed_bytes(model: nn.Module, *, adapter: bool, reference_bytes: int = 0) -> int:
    """Room for two checkpoints (the old one is deleted after the new one is complete), the result, and the store.

    Args:
        model: With its trained parameters marked.
        adapter: Only the trained parameters are saved.
        reference_bytes: Of the stored reference.
    """
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    moments = sum(p.numel() * ADAM_BYTES for p in model.parameters() if p.requires_grad)
    weights = trained if adapter else sum(p.numel() * p.element_size() for p in model.parameters())
    return int(SAFETY * (2 * (weights + moments) + weights + reference_bytes))


def check_disk(folder: Path, needed: int) -> None:
    """Stop before a run whose output would not fit.

    Raises:
        UserError: if the disk has less room than is needed.
    """
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise UserError(
            f"--output {folder}: {free / 2**30:.1f} GiB free, about {needed / 2**30:.1f} GiB needed",
            hint="free some room, choose another folder, or train an adapter with --lora",
        )
