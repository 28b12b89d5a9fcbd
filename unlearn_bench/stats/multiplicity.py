"""Several metrics tested together: which got worse, with at most `alpha` false alarms over all of them.

Under "equal models" the two models' answers to a unit (a cluster, or a question) may change places. If they do so in
*every* metric at once, the metrics' p-values come with their joint distribution, and metrics that agree, or that
did not move, cost nothing (Westfall & Young 1993, step-down minP; the draws as in Phipson & Smyth 2010):

    adjusted p_(j) = P( min over k >= j of P_k / w_k <= p_(j) / w_(j) ), the largest so far; p / w in ascending order

A metric without such units (intervals, exact tests over questions) joins with Bonferroni's bound. No adjusted p is
larger than Holm's with the same weights. Labels (a question is right or wrong) get `LABEL_WEIGHT` times the share of
alpha of a mean: a mean of real values is known so much better that it needs less.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

DRAWS = 20_000
EXACT_UNITS = 14  # 2^14 patterns are enumerated; for more units they are drawn
LABEL_WEIGHT = 4.0
_BLOCK = 2_000
_CACHED_UNITS = 128  # the patterns of so many take 10 MB


@dataclass(frozen=True)
class Swaps:
    """What a metric's difference would be if units swapped their models.

    Attributes:
        units: Names of the units, (U,): equal names in two metrics swap together.
        difference: Signs (B, U), 1 to keep and -1 to swap, to differences in worth (B,).
    """

    units: Sequence[str]
    difference: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Member:
    """One metric of a family: its own one-sided p, its weight, and its swaps if it has any."""

    p: float
    weight: float = 1.0
    swaps: Swaps | None = None


def linear(units: Sequence[str], sums: np.ndarray) -> Swaps:
    """Swaps of a mean: the difference is a sum over units, and a swap turns a unit's sign."""
    moving = np.flatnonzero(sums)
    return Swaps([units[int(i)] for i in moving], lambda signs: signs @ sums[moving])


def one_sided(swaps: Swaps, seed: int) -> tuple[float, float]:
    """One-sided p of "worse" (a small difference) and two-sided p of one metric alone."""
    values = np.concatenate([swaps.difference(signs) for signs in _signs(len(swaps.units), seed)])
    slack = 1e-9 * float(np.abs(values).max(initial=0.0))
    worse = float(np.mean(values <= values[0] + slack))
    return worse, float(np.mean(np.abs(values) >= abs(values[0]) - slack))


def adjust(tested: Mapping[str, Member], seed: int = 0) -> dict[str, float]:
    """Adjusted one-sided p-values of a family of metrics, by name."""
    names = sorted(tested, key=lambda name: tested[name].p / tested[name].weight)
    swapped = {name: t.swaps for name, t in tested.items() if t.swaps is not None and len(t.swaps.units)}
    ranks = _ranks(swapped, seed)
    adjusted: dict[str, float] = {}
    least = 0.0
    for place, name in enumerate(names):
        least = max(least, _chance(name, names[place:], tested, ranks))
        adjusted[name] = min(1.0, least)
    return adjusted


def _chance(
    name: str, remaining: Sequence[str], tested: Mapping[str, Member], ranks: Mapping[str, np.ndarray]
) -> float:
    """Chance that one of the remaining metrics has a p / w as small as this one's: joint, and at most Bonferroni's."""
    p, weight = tested[name].p, tested[name].weight
    swapping = [other for other in remaining if other in ranks]
    others = sum(tested[other].weight for other in remaining if tested[other].swaps is None)
    bound = p / weight * (others + sum(tested[other].weight for other in swapping))
    level = max(p, ranks[name][0] if name in ranks else 0.0) / weight  # drawn patterns resolve no smaller p
    joint = [ranks[other] <= level * tested[other].weight * (1 + 1e-9) for other in swapping]
    return max(p, min(bound, float(np.mean(np.any(joint, axis=0))) + level * others) if joint else bound)


def _ranks(swapped: Mapping[str, Swaps], seed: int) -> dict[str, np.ndarray]:
    """Each metric's one-sided p under each pattern of swaps, (B,); pattern 0 is what was seen."""
    units = sorted({unit for swaps in swapped.values() for unit in swaps.units})
    place = {unit: i for i, unit in enumerate(units)}
    columns = {name: np.array([place[unit] for unit in swaps.units]) for name, swaps in swapped.items()}
    values: dict[str, list[np.ndarray]] = {name: [] for name in swapped}
    for signs in _signs(len(units), seed):
        for name, swaps in swapped.items():
            values[name].append(swaps.difference(signs[:, columns[name]]))
    return {name: _rank(np.concatenate(found)) for name, found in values.items()}


def _rank(values: np.ndarray) -> np.ndarray:
    slack = 1e-9 * float(np.abs(values).max(initial=0.0))
    return np.searchsorted(np.sort(values), values + slack, side="right") / len(values)


def _signs(units: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks of sign patterns (B, units), the identity first: all of them for few units, else random ones."""
    if units <= _CACHED_UNITS:
        yield _few_signs(units, seed)
        return
    rng = np.random.default_rng([seed, units])
    yield np.ones((1, units))
    for _ in range(0, DRAWS, _BLOCK):
        yield _random_signs(rng, _BLOCK, units)


@lru_cache(maxsize=4)
def _few_signs(units: int, seed: int) -> np.ndarray:
    """All patterns, or the drawn ones in one block: the same for every metric over as many units."""
    if units <= EXACT_UNITS:
        return (1 - 2 * ((np.arange(2**units)[:, None] >> np.arange(units)) & 1)).astype(np.float32)
    drawn = _random_signs(np.random.default_rng([seed, units]), DRAWS, units)
    return np.vstack([np.ones((1, units), dtype=np.float32), drawn])


def _random_signs(rng: np.random.Generator, count: int, units: int) -> np.ndarray:
    octets = rng.integers(0, 256, size=(count, -(-units // 8)), dtype=np.uint8)
    return 1 - 2 * np.unpackbits(octets, axis=1, count=units).astype(np.float32)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]  # 3 * 0.01, 2 * 0.03, then no smaller than that
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p_values)
    least = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = least
    return adjusted
