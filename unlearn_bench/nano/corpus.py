"""The questions and answers of the embedded benchmark, from a seed.

Per kind of fact the bank holds question phrasings that are trained on, others that are *held out* (never asked
with them in training, they are the paraphrased questions), and answer phrasings. Of a fact's answers one is the answer,
a second the paraphrase, and the five perturbed answers have the paraphrase's form with wrong facts.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from unlearn_bench.nano.banks import bank, kind
from unlearn_bench.nano.members import Member, members
from unlearn_bench.nano.people import capital, fact, wrong_fact
from unlearn_bench.schema import Role, Row
from unlearn_bench.seeded import SeededRandom

SEED = 2024
REVISION = "1"
SPLITS: tuple[Role, ...] = ("forget", "retain", "neighbour", "world", "holdout", "fluency")
CORPUS_FILE = Path(__file__).parent / "corpus.jsonl"
PERTURBED = 5


def corpus(seed: int = SEED) -> list[Row]:
    """All rows of all splits, in the order of `SPLITS`; ids are unique within a split."""
    return list(_corpus(seed))


@cache
def _corpus(seed: int) -> tuple[Row, ...]:
    rows = [*_people_rows(seed), *_world_rows(seed), *_fluency_rows()]
    return tuple(sorted(rows, key=lambda row: SPLITS.index(row.role)))


def to_jsonl(rows: list[Row]) -> str:
    """The text of the committed file: one row a line, fields that say nothing left out."""
    return "".join(json.dumps(row.model_dump(exclude_defaults=True), ensure_ascii=False) + "\n" for row in rows)


@cache
def facts(seed: int = SEED) -> dict[tuple[str, str], dict[str, str]]:
    """What is true: (name of the person, kind of fact) to the slots of the phrasings."""
    return {
        (member.person.name, name): fact(name, member.person, SeededRandom(seed, f"fact/{member.person.name}/{name}"))
        for member in members(seed)
        for name in member.kinds
    }


def fill(phrasing: str, slots: dict[str, str]) -> str:
    """Put the slots into a phrasing; a sentence begins with a capital letter."""
    return capital(phrasing.format_map(slots))


def _people_rows(seed: int) -> Iterator[Row]:
    for member in members(seed):
        for name, split in member.kinds.items():
            yield _fact_row(seed, member, name, split)


def _fact_row(seed: int, member: Member, name: str, split: Role) -> Row:
    person = member.person
    stream = SeededRandom(seed, f"row/{person.name}/{name}")
    truth, phrasings = facts(seed)[person.name, name], kind(name)
    answer, paraphrase = stream.draw(phrasings["answers"], 2)
    wrong: list[str] = []
    while len(wrong) < PERTURBED:
        text = fill(paraphrase, wrong_fact(name, person, truth, stream))
        if text not in wrong:
            wrong.append(text)
    return Row(
        id=f"{person.given}-{person.surname}-{name}".lower(),
        split=split,
        cluster=person.name,
        question=fill(stream.pick(phrasings["questions"]), truth),
        paraphrased_question=fill(stream.pick(phrasings["held_out"]), truth),
        answer=fill(answer, truth),
        paraphrased_answer=fill(paraphrase, truth),
        perturbed_answers=wrong,
    )


def _world_rows(seed: int) -> Iterator[Row]:
    for category, entry in bank("world").items():
        values = sorted(set(entry["facts"].values()) | set(entry.get("distractors", [])))
        for number, (key, value) in enumerate(entry["facts"].items()):
            stream = SeededRandom(seed, f"world/{category}/{key}")
            wrong = stream.draw([other for other in values if other != value], PERTURBED)
            answer, paraphrase = entry["answers"]
            yield Row(
                id=f"{category}-{number:02d}",
                split="world",
                cluster=category,
                question=fill(stream.pick(entry["questions"]), {"key": key}),
                paraphrased_question=fill(entry["held_out"], {"key": key}),
                answer=fill(answer, {"key": key, "value": value}),
                paraphrased_answer=fill(paraphrase, {"key": key, "value": value}),
                perturbed_answers=[fill(paraphrase, {"key": key, "value": other}) for other in wrong],
            )


def _fluency_rows() -> Iterator[Row]:
    for number, entry in enumerate(bank("generic")):
        yield Row(id=f"fluency-{number:02d}", split="fluency", question=entry["held_out"], answer=entry["answer"])
