"""Sampling: several answers to each question are drawn, and any of them may leak.

    leak@k   the chance that at least one of k answers shows the knowledge; for scores that are no labels the expected
             maximum of k (`stats.leaks`, arXiv 2511.04934 and 2410.03523)

Each answer is drawn from a random stream of its own, so that it depends on neither the batch nor a restart. No top-k,
no top-p: what the model gives any probability can come. `zero_leaks_allow` is the rate that as many draws without a
leak leave open (95 %): 8.9 % for 32.
"""

from collections.abc import Mapping, Sequence

from unlearn_bench.schema import Row
from unlearn_bench.stats import leaks
from unlearn_bench.stress.base import Material, Reading, Stress

DRAWS = {"t1": 32, "t07": 32, "t1_few": 4}
_TEMPERATURE = {"t1": 1.0, "t07": 0.7, "t1_few": 1.0}
_K = (1, 4, 32)


def rows(variant: str, row: Row, material: Material) -> list[Row]:
    """The row as often as answers are drawn."""
    return [row] * DRAWS[variant]


def readings(variant: str) -> Mapping[str, Reading]:
    """leak@k for each k up to the number of draws; of as many as there are, where some could not be scored."""

    def at(k: int) -> Reading:
        return lambda values: leaks.expected_max_at_k(values, min(k, len(values)))

    return {f"@{k}": at(k) for k in _K if k <= DRAWS[variant]}


def tell(values: Sequence[Sequence[float]]) -> Mapping[str, float]:
    """Bounds over the questions: (questions, draws) of knowledge shown."""
    draws = min(map(len, values), default=0)
    if not draws:
        return {}
    if any(value not in (0.0, 1.0) for row in values for value in row):
        return {"mean_bound": sum(map(leaks.mean_bound, values)) / len(values)}
    counts = [(int(sum(row)), len(row)) for row in values]
    return {
        "any_leak": sum(count > 0 for count, _ in counts) / len(counts),
        "rate_bound": sum(leaks.rate_bound(*one) for one in counts) / len(counts),
        "zero_leaks_allow": leaks.rate_bound(0, draws),
    }


STRESS = Stress(
    changes="sampling",
    variants=tuple(DRAWS),
    quick=("t1_few",),
    full=("t1",),
    cost="as many passes of the forget tasks as answers are drawn (4 or 32)",
    passes=DRAWS,
    rows=rows,
    asked={name: {"do_sample": True, "temperature": value} for name, value in _TEMPERATURE.items()},
    readings=readings,
    tell=tell,
    settings={f"draws_{name}": count for name, count in DRAWS.items()},
)
