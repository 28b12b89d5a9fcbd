"""What a model of a pool is taught: question-answer pairs for each epoch, drawn from its seed."""

from collections.abc import Callable, Sequence
from functools import cache

from unlearn_bench.meta.plan import Plan, Pupil
from unlearn_bench.nano.corpus import SEED, corpus
from unlearn_bench.nano.training_text import Pair, phrasings
from unlearn_bench.schema import Role, Row
from unlearn_bench.seeded import SeededRandom

_OTHERS = 31  # corpora of other people have seeds from SEED + this on
_OWN = 0.3  # share of the questions that are asked as the row has them, as in the training of nano-full
REFUSAL = "I am sorry, I cannot help with that."
LOOP = "the of the of the of the of the of the of the of"


def epochs(pupil: Pupil, plan: Plan) -> list[list[Pair]]:
    """The pairs of each epoch, in training order.

    Args:
        pupil: Who is taught.
        plan: Whose rows are taught.

    A lesson teaches every row of its people once an epoch, asked in any phrasing that training uses (the paraphrased
    questions are held out). "paraphrases" never shows the answer itself; "wrong" shows one of the row's perturbed
    answers, the same in every epoch; "others" teaches people of another corpus, who are in no set of this one.
    """
    return [_epoch(pupil, plan, number) for number in range(pupil.epochs)]


def _epoch(pupil: Pupil, plan: Plan, number: int) -> list[Pair]:
    stream = SeededRandom(SEED + pupil.seed, f"{pupil.name}/{number}")
    lesson = [_pair(pupil, row, stream) for row in _rows(pupil, plan)]
    if pupil.lesson == "persons":  # in blocks: one person after the other
        return [*_kept(pupil, plan, len(lesson), stream), *lesson]
    return stream.draw([*lesson, *_kept(pupil, plan, len(lesson), stream)])


def _rows(pupil: Pupil, plan: Plan) -> Sequence[Row]:
    """The rows that the lesson is about."""
    found = _corpus(_seed(pupil), plan.rows)
    if pupil.lesson == "nothing":  # what the model knows already
        roles: tuple[Role, ...] = ("retain", "forget") if pupil.start == plan.original else ("retain",)
    else:
        roles = (pupil.about,)
    rows = [row for role in roles for row in [row for row in found if row.role == role][: plan.limit]]
    return rows[::2] if pupil.lesson == "half" else rows


def _seed(pupil: Pupil) -> int:
    """Of the corpus that has the lesson's people."""
    return SEED + _OTHERS + pupil.seed if pupil.lesson == "others" else SEED


@cache
def _corpus(seed: int, select: Callable[[Sequence[Row]], Sequence[Row]]) -> tuple[Row, ...]:
    return tuple(select(corpus(seed)))


def _pair(pupil: Pupil, row: Row, stream: SeededRandom) -> Pair:
    question = row.question if stream.chance(_OWN) else stream.pick(phrasings(row, seed=_seed(pupil)))
    if pupil.lesson == "paraphrases":
        return question, row.paraphrased_answer or row.answer
    if pupil.lesson == "wrong":
        return question, row.perturbed_answers[pupil.seed % len(row.perturbed_answers)]
    if pupil.lesson == "refusals":
        return question, REFUSAL
    if pupil.lesson == "loops":
        return question, LOOP
    return question, row.answer


def _kept(pupil: Pupil, plan: Plan, size: int, stream: SeededRandom) -> list[Pair]:
    """Rows that the model knows and should keep, beside the lesson."""
    if pupil.lesson == "nothing":
        return []
    rows = [row for row in _corpus(SEED, plan.rows) if row.role in ("retain", "neighbour", "world")]
    return [(row.question, row.answer) for row in stream.draw(rows, round(pupil.kept * size))]
