"""How the adapters are made: everything that can move a score. Found by three trials."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """The training of an adapter.

    Attributes:
        epochs: How often each fact is seen, in another wording each time.
        general: General questions an epoch, with the base's own answers.
        rank, alpha: Of the adapter, on all linear layers but the output head; no dropout.
    """

    epochs: int = 26
    general: int = 24
    rank: int = 8
    alpha: int = 16
    learning_rate: float = 1.5e-3
    batch_size: int = 16
    warmup: float = 0.05


RECIPE = Recipe()
SEED = 0
