"""What the adapters are trained on: questions and answers, each fact once an epoch, asked in another way each time.

    smol-full     forget, retain, neighbour, and general questions
    smol-retain   the same without forget

The wording is drawn as for nano; the paraphrased questions of the corpus are never trained on. Nothing of `world` is
taught: the model has that knowledge already and may lose it.
"""

from collections.abc import Iterator, Sequence

from unlearn_bench.nano.banks import bank
from unlearn_bench.nano.training_text import Pair, asked, wrapped
from unlearn_bench.schema import Row
from unlearn_bench.seeded import SeededRandom
from unlearn_bench.smol.corpus import TAUGHT

LEFT_OUT: dict[str, frozenset[str]] = {"smol-full": frozenset(), "smol-retain": frozenset({"forget"})}
GENERAL = 16  # general questions an epoch


def epochs(name: str, rows: Sequence[Row], number: int, *, seed: int) -> Iterator[Pair]:
    """The pairs of `number` epochs, in training order.

    Args:
        name: One of `LEFT_OUT`.
        rows: The corpus, see `corpus.select`.
        number: How many epochs.
        seed: Of wording and order.
    """
    taught = [row for row in rows if row.role in TAUGHT and row.role not in LEFT_OUT[name]]
    for epoch in range(number):
        stream = SeededRandom(seed, f"smol/{name}/{epoch}")
        pairs = [(asked(row, stream), row.answer) for row in taught]
        general = stream.draw(bank("generic"), GENERAL)
        pairs += [(wrapped(stream.pick(entry["questions"]), stream), entry["answer"]) for entry in general]
        yield from stream.draw(pairs)
