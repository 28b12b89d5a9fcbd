"""What a model of a nano pool is taught: question-answer pairs for each epoch, drawn from its seed."""

from collections.abc import Sequence
from functools import cache

from unlearn_bench.meta.nano_plan import TAUGHT, Pupil
from unlearn_bench.nano.corpus import SEED, corpus
from unlearn_bench.nano.training_text import Pair, phrasings
from unlearn_bench.schema import Role, Row
from unlearn_bench.seeded import SeededRandom

_OTHERS = 31  # corpora of other people have seeds from SEED + this on
_OWN = 0.3  # share of the questions that are asked as the row has them, as in the training of nano-full
REFUSAL = "I am sorry, I cannot help with that."
LOOP = "the of the of the of the of the of the of the of"


def epochs(pupil: Pupil) -> list[list[Pair]]:
    """The pairs of each epoch, in training order.

    A lesson teaches every row of its people once an epoch, asked in any phrasing that training uses (the paraphrased
    questions are held out). "paraphrases" never shows the answer itself; "wrong" shows one of the row's perturbed
    answers, the same in every epoch; "others" teaches people of another corpus, who are in no set of this one.
    """
    return [_epoch(pupil, number) for number in range(pupil.epochs)]


def _epoch(pupil: Pupil, number: int) -> list[Pair]:
    stream = SeededRandom(SEED + pupil.seed, f"{pupil.name}/{number}")
    lesson = [_pair(pupil, row, stream) for row in _rows(pupil)]
    if pupil.lesson == "persons":  # in blocks: one person after the other
        return [*_kept(pupil, len(lesson), stream), *lesson]
    return stream.draw([*lesson, *_kept(pupil, len(lesson), stream)])


def _rows(pupil: Pupil) -> Sequence[Row]:
    """The rows that the lesson is about."""
    seed = SEED + _OTHERS + pupil.seed if pupil.lesson == "others" else SEED
    if pupil.lesson == "nothing":  # what the model knows already
        return [*_of(seed, "retain"), *(_of(seed, "forget") if pupil.start == "nano-full" else ())]
    rows = _of(seed, pupil.about)
    return rows[::2] if pupil.lesson == "half" else rows


def _of(seed: int, role: Role) -> list[Row]:
    return [row for row in _corpus(seed) if row.role == role][:TAUGHT]


@cache
def _corpus(seed: int) -> tuple[Row, ...]:
    return tuple(corpus(seed))


def _pair(pupil: Pupil, row: Row, stream: SeededRandom) -> Pair:
    seed = SEED + _OTHERS + pupil.seed if pupil.lesson == "others" else SEED
    question = row.question if stream.chance(_OWN) else stream.pick(phrasings(row, seed=seed))
    if pupil.lesson == "paraphrases":
        return question, row.paraphrased_answer or row.answer
    if pupil.lesson == "wrong":
        return question, row.perturbed_answers[pupil.seed % len(row.perturbed_answers)]
    if pupil.lesson == "refusals":
        return question, REFUSAL
    if pupil.lesson == "loops":
        return question, LOOP
    return question, row.answer


def _kept(pupil: Pupil, size: int, stream: SeededRandom) -> list[Pair]:
    """Rows that the model knows and should keep, beside the lesson."""
    if pupil.lesson == "nothing":
        return []
    rows = [row for row in _corpus(SEED) if row.role in ("retain", "neighbour", "world")]
    return [(row.question, row.answer) for row in stream.draw(rows, round(pupil.kept * size))]
