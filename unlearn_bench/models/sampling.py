"""Sampling with a random stream per answer: the draw does not depend on the rest of the batch or on a restart.

    z = logits / temperature, of which only the `top_k` largest and then the smallest set of probability >= `top_p` stay
    token = the first whose cumulated probability exceeds u,  u ~ U[0, 1) from the answer's own stream

The order (temperature, top k, top p) is that of transformers' `generate`. Nothing is restricted that was not asked for;
`generate` itself keeps the 50 largest where `top_k` is not given.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Sampling:
    """Settings of a draw.

    Attributes:
        temperature: Above 0.
        top_k: How many tokens may be drawn, at least 1; None for all.
        top_p: Probability of the tokens that may be drawn, in (0, 1]; None for all.
    """

    temperature: float
    top_k: int | None = None
    top_p: float | None = None

    def probabilities(self, logits: "torch.Tensor") -> "torch.Tensor":
        """Logits (n, V) to the probabilities that are drawn from, (n, V), float64, rows summing to 1."""
        import torch

        scaled = logits.float() / self.temperature
        if self.top_k is not None and self.top_k < scaled.shape[-1]:
            least = scaled.topk(self.top_k, dim=-1).values[:, -1:]
            scaled = scaled.masked_fill(scaled < least, -torch.inf)
        shares = scaled.double().softmax(-1)
        if self.top_p is not None and self.top_p < 1:
            ordered, index = shares.sort(dim=-1, descending=True, stable=True)
            before = ordered.cumsum(-1) - ordered
            dropped = torch.zeros_like(shares, dtype=torch.bool).scatter(-1, index, before >= self.top_p)
            shares = shares.masked_fill(dropped, 0.0)
        return shares / shares.sum(-1, keepdim=True)


class Sampler:
    """Draws the next token of each answer from that answer's own stream.

    Args:
        settings: Of each answer.
        seeds: Of each answer.
    """

    def __init__(self, settings: Sequence[Sampling], seeds: Sequence[int]) -> None:
        self._settings = list(settings)
        self._streams = [random.Random(seed) for seed in seeds]

    def __call__(self, logits: "torch.Tensor", rows: Sequence[int]) -> list[int]:
        """Logits (n, V) of the answers `rows` to n tokens."""
        tokens = [0] * len(rows)
        for settings in dict.fromkeys(self._settings[row] for row in rows):
            places = [k for k, row in enumerate(rows) if self._settings[row] == settings]
            for place, token in zip(places, self._draw(logits[places], settings, rows, places), strict=True):
                tokens[place] = token
        return tokens

    def _draw(
        self, logits: "torch.Tensor", settings: Sampling, rows: Sequence[int], places: Sequence[int]
    ) -> list[int]:
        import torch

        draws = [[self._streams[rows[place]].random()] for place in places]
        shares = settings.probabilities(logits.nan_to_num())
        levels = shares.cumsum(-1)
        wanted = torch.tensor(draws, dtype=torch.float64, device=levels.device) * levels[:, -1:]
        found = torch.searchsorted(levels, wanted, right=True)[:, 0]
        last = shares.shape[-1] - 1 - (shares > 0).flip(-1).int().argmax(-1)  # rounding must not select a later token
        return torch.minimum(found, last).tolist()
