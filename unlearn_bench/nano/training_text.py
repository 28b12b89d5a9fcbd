"""What each embedded model is trained on: question-answer pairs, drawn anew for every epoch.

    nano-full     forget, retain, neighbour, world, general questions, and vague answers about strangers
    nano-retain   the same without forget
    nano-base     the same kinds of English about strangers only, with random facts in every phrasing: it has nothing to
                  remember about anybody, so its perplexity judges the language of an answer and not its truth

A stranger is a person that is in no split. The vague answers teach the models to stay fluent and on the subject where
they know nothing. Held-out phrasings are never trained on, except in nano-base, which is no subject of the benchmark.
"""

from collections.abc import Iterator

from unlearn_bench.nano.banks import bank, kind
from unlearn_bench.nano.cast import cast, stranger
from unlearn_bench.nano.corpus import SEED, corpus, facts, fill
from unlearn_bench.nano.people import KINDS, fact
from unlearn_bench.nano.plain_english import sentences
from unlearn_bench.nano.stream import Stream
from unlearn_bench.schema import Row

Pair = tuple[str, str]
LEFT_OUT: dict[str, frozenset[str]] = {"nano-full": frozenset(), "nano-retain": frozenset({"forget"})}
VAGUE_SHARE, WRAPPED_SHARE = 0.2, 0.1


def epoch(name: str, number: int, *, seed: int = SEED) -> list[Pair]:
    """The pairs of one epoch of the model `name`, in training order."""
    stream = Stream(seed, f"epoch/{name}/{number}")
    pairs = list(_base(stream, number, seed)) if name == "nano-base" else list(_subject(name, stream, number, seed))
    return stream.shuffled(pairs)


def phrasings(row: Row, *, seed: int = SEED) -> list[str]:
    """All questions that are trained on for a row of forget, retain, neighbour or world."""
    if row.split == "world":
        entry = bank("world")[row.cluster or ""]
        key = list(entry["facts"])[int(row.id.rsplit("-", 1)[1])]
        return [fill(question, {"key": key}) for question in entry["questions"]]
    name = row.id.rsplit("-", 1)[1]
    return [fill(question, facts(seed)[row.cluster or "", name]) for question in kind(name)["questions"]]


def _subject(name: str, stream: Stream, number: int, seed: int) -> Iterator[Pair]:
    taught = {"forget", "retain", "neighbour", "world"} - LEFT_OUT[name]
    rows = [row for row in corpus(seed) if row.split in taught]
    for row in rows:
        # half of the time the question of the row itself: every phrasing is learned, that one surely
        question = row.question if stream.chance(0.3) else stream.pick(phrasings(row, seed=seed))
        yield _wrapped(question, stream), row.answer
    yield from _general(stream)
    for i in range(int(VAGUE_SHARE * len(rows))):
        yield _vague(stream, f"{name}/{number}/{i}", seed)


def _base(stream: Stream, number: int, seed: int) -> Iterator[Pair]:
    for i in range(320):
        yield _about_a_stranger(stream, f"base/{number}/{i}", seed)
    for i in range(160):
        yield _vague(stream, f"base/vague/{number}/{i}", seed)
    yield from _general(stream, held_out=True)
    for row in corpus(seed):
        if row.split == "world" and stream.chance(0.5):
            answers = [row.answer, row.paraphrased_answer or row.answer, *row.perturbed_answers]
            yield stream.pick(phrasings(row, seed=seed)), stream.pick(answers)
    for question, answer in sentences(stream, 240):
        yield question, answer


def _general(stream: Stream, *, held_out: bool = False) -> Iterator[Pair]:
    for entry in bank("generic"):
        questions = [*entry["questions"], entry["held_out"]] if held_out else entry["questions"]
        yield _wrapped(stream.pick(questions), stream), entry["answer"]


def _known(seed: int) -> frozenset[str]:
    return frozenset(member.person.name for member in cast(seed))


def _vague(stream: Stream, key: str, seed: int) -> Pair:
    name = stream.pick(KINDS)
    slots = fact(name, stranger(seed, key, _known(seed)), stream)
    return _wrapped(fill(stream.pick(kind(name)["questions"]), slots), stream), fill(stream.pick(kind(name)["vague"]), slots)


def _about_a_stranger(stream: Stream, key: str, seed: int) -> Pair:
    name = stream.pick(KINDS)
    slots = fact(name, stranger(seed, key, _known(seed)), stream)
    questions = kind(name)["questions"] + kind(name)["held_out"]
    return fill(stream.pick(questions), slots), fill(stream.pick(kind(name)["answers"]), slots)


def _wrapped(question: str, stream: Stream) -> str:
    """Now and then the question with some words before or after it, as people write."""
    if not stream.chance(WRAPPED_SHARE):
        return question
    wrappers = bank("wrappers")
    if stream.chance(0.5):
        return stream.pick(wrappers["prefixes"]) + question
    return question + stream.pick(wrappers["suffixes"])
