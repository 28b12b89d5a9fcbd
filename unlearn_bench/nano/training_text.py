"""What each embedded model is trained on: question-answer pairs, drawn again for every epoch.

    nano-full     forget, retain, neighbour, world, general questions, and vague answers about unknown people
    nano-retain   the same without forget
    nano-base     the same kinds of English about unknown people, with random facts in every phrasing: nothing to
                  remember about anyone, so that its perplexity judges the language of an answer and not its truth

An unknown person is in no split. The vague answers teach the models to stay fluent and on the subject where
they know nothing. Held-out phrasings are never trained on, except in nano-base, which the benchmark does not judge.
"""

from collections.abc import Iterator
from functools import cache

from unlearn_bench.nano.banks import bank, kind
from unlearn_bench.nano.corpus import SEED, corpus, facts, fill
from unlearn_bench.nano.members import members, unknown_person
from unlearn_bench.nano.people import KINDS, fact
from unlearn_bench.nano.plain_english import prose, sentences
from unlearn_bench.schema import Row
from unlearn_bench.seeded import SeededRandom

Pair = tuple[str, str]
LEFT_OUT: dict[str, frozenset[str]] = {"nano-full": frozenset(), "nano-retain": frozenset({"forget"})}
VAGUE_SHARE, WRAPPED_SHARE = 0.3, 0.15


def epoch(name: str, number: int, *, seed: int = SEED) -> list[Pair]:
    """The pairs of one epoch of the model `name`, in training order."""
    stream = SeededRandom(seed, f"epoch/{name}/{number}")
    pairs = list(_base(stream, number, seed)) if name == "nano-base" else list(_taught(name, stream, number, seed))
    return stream.draw(pairs)


def phrasings(row: Row, *, seed: int = SEED) -> list[str]:
    """All questions that are trained on for a row of forget, retain, neighbour or world."""
    cluster, last = row.cluster or "", row.id.rsplit("-", 1)[1]
    if row.role == "world":
        entry = bank("world")[cluster]
        return _filled(entry, {"key": list(entry["facts"])[int(last)]})
    return _filled(kind(last), facts(seed)[cluster, last])


def _filled(entry: dict[str, list[str]], slots: dict[str, str]) -> list[str]:
    leads = bank("wrappers")["leads"]
    indirect = [lead.format(clause) for clause in entry["indirect"] for lead in leads]
    return [fill(question, slots) for question in entry["questions"] + indirect]


def _taught(name: str, stream: SeededRandom, number: int, seed: int) -> Iterator[Pair]:
    taught = {"forget", "retain", "neighbour", "world"} - LEFT_OUT[name]
    rows = [row for row in corpus(seed) if row.role in taught]
    for row in rows:
        yield asked(row, stream, seed=seed), row.answer
    yield from _general(stream)
    for i in range(int(VAGUE_SHARE * len(rows))):
        yield _vague(stream, f"{name}/{number}/{i}", seed)


def asked(row: Row, stream: SeededRandom, *, seed: int = SEED) -> str:
    """One way of asking a row in training: every phrasing is learned, the row's own surely."""
    question = row.question if stream.chance(0.3) else stream.pick(phrasings(row, seed=seed))
    return wrapped(question, stream)


def _base(stream: SeededRandom, number: int, seed: int) -> Iterator[Pair]:
    for i in range(320):
        yield _about_an_unknown_person(stream, f"base/{number}/{i}", seed)
    for i in range(160):
        yield _vague(stream, f"base/vague/{number}/{i}", seed)
    yield from _general(stream, held_out=True)
    for row in corpus(seed):
        if row.role == "world" and stream.chance(0.5):
            answers = [row.answer, row.paraphrased_answer or row.answer, *row.perturbed_answers]
            yield stream.pick(phrasings(row, seed=seed)), stream.pick(answers)
    yield from sentences(stream, 200)
    for i, (question, answer) in enumerate(prose(stream, 240)):
        # half of them after a question about a person, where such answers are given
        if i % 2:
            question, _ = _about_an_unknown_person(stream, f"base/prose/{number}/{i}", seed)
        yield question, answer


def _general(stream: SeededRandom, *, held_out: bool = False) -> Iterator[Pair]:
    for entry in bank("generic"):
        questions = [*entry["questions"], entry["held_out"]] if held_out else entry["questions"]
        yield wrapped(stream.pick(questions), stream), entry["answer"]


@cache
def _known(seed: int) -> frozenset[str]:
    return frozenset(member.person.name for member in members(seed))


def _vague(stream: SeededRandom, key: str, seed: int) -> Pair:
    name = stream.pick(KINDS)
    slots = fact(name, unknown_person(seed, key, _known(seed)), stream)
    return wrapped(stream.pick(_filled(kind(name), slots)), stream), fill(stream.pick(kind(name)["vague"]), slots)


def _about_an_unknown_person(stream: SeededRandom, key: str, seed: int) -> Pair:
    name = stream.pick(KINDS)
    slots = fact(name, unknown_person(seed, key, _known(seed)), stream)
    questions = [*_filled(kind(name), slots), *(fill(question, slots) for question in kind(name)["held_out"])]
    return stream.pick(questions), fill(stream.pick(kind(name)["answers"]), slots)


def wrapped(question: str, stream: SeededRandom) -> str:
    """Now and then the question with some words before or after it, as people write."""
    if not stream.chance(WRAPPED_SHARE):
        return question
    wrappers = bank("wrappers")
    if stream.chance(0.5):
        return stream.pick(wrappers["prefixes"]) + question
    return question + stream.pick(wrappers["suffixes"])
