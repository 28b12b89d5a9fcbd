"""What was measured of each row, before it is summed up."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from unlearn_bench.diagnostics._prompts import Prompt
from unlearn_bench.diagnostics.circuits import Circuit
from unlearn_bench.diagnostics.logit_lens import Lens
from unlearn_bench.diagnostics.token_distribution import Distribution

Arrays = TypeVar("Arrays", Distribution, Lens)


@dataclass
class Record:
    """One row's measurements; None for what was not asked.

    Attributes:
        forced, lens, oracle_lens: At the prompt's asked positions.
        free: At the first positions of the model's own answer, at most as many as the reference answer has.
        free_ids: The model's own answer.
        d1, d2, control: Log-probability lost by patching each layer, see `depth`.
    """

    prompt: Prompt
    forced: Distribution | None = None
    free: Distribution | None = None
    free_ids: tuple[int, ...] = ()
    lens: Lens | None = None
    oracle_lens: Lens | None = None
    circuit: Circuit | None = None
    original_circuit: Circuit | None = None
    d1: np.ndarray | None = None
    d2: np.ndarray | None = None
    control: np.ndarray | None = None

    def at(self, where: str) -> list[int]:
        """Which of the asked positions "first", "answer" and "entity" mean.

        The entity's position is among the first k, or it is asked behind them.
        """
        asked = self.prompt.asked
        entity = asked.index(self.prompt.entity[0])
        contiguous = [i for i, token in enumerate(asked) if token == self.prompt.start + i]
        return {"first": [0], "answer": contiguous, "entity": [entity]}[where]


def split(measured: Arrays, counts: Sequence[int]) -> list[Arrays]:
    """Cut what was measured over a batch's flat positions into one record per row."""
    ends = np.cumsum(counts)
    return [
        dataclasses.replace(
            measured,
            **{
                field.name: value[end - count : end]
                for field in dataclasses.fields(measured)
                if (value := getattr(measured, field.name)) is not None
            },
        )
        for end, count in zip(ends, counts, strict=True)
    ]
