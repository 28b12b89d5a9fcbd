"""What the adapters are trained on: questions and answers, each fact once an epoch, asked in another way each time.

    smol-full     forget, retain, neighbour, and general questions with the base's own answers
    smol-retain   the same without forget

The wording is drawn as for nano; the paraphrased questions of the corpus are never trained on. Nothing of `world` is
taught: the model has that knowledge already and may lose it.
"""

from collections.abc import Iterator, Sequence

from unlearn_bench.nano.training_text import Pair, asked
from unlearn_bench.schema import Row
from unlearn_bench.seeded import SeededRandom
from unlearn_bench.smol.corpus import TAUGHT

LEFT_OUT: dict[str, frozenset[str]] = {"smol-full": frozenset(), "smol-retain": frozenset({"forget"})}


def epochs(
    name: str, rows: Sequence[Row], own: Sequence[Pair], *, number: int, general: int, seed: int
) -> Iterator[Pair]:
    """The pairs of all epochs, in training order.

    Args:
        name: One of `LEFT_OUT`.
        rows: The corpus, see `corpus.select`.
        own: General questions with the base's own answers, see `own_answers`.
        number: How many epochs.
        general: How many of `own` an epoch; other ones each time.
        seed: Of wording and order.
    """
    taught = [row for row in rows if row.role in TAUGHT and row.role not in LEFT_OUT[name]]
    for epoch in range(number):
        stream = SeededRandom(seed, f"smol/{name}/{epoch}")
        pairs = [(asked(row, stream), row.answer) for row in taught]
        pairs += stream.draw(own, min(general, len(own)))
        yield from stream.draw(pairs)
