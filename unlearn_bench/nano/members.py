"""Which people there are, to which group each belongs, and which kinds of facts are asked about each.

forget       16 people, 8 facts each; a fifth of all people
retain       52 people, 8 facts each; 16 of them are look-alikes of a forget person: the same occupation, and the same
             surname or given name
neighbour    4 more facts about each look-alike, of kinds that are also asked about the forget person
holdout      12 people, 8 facts each, in no training set
"""

from dataclasses import dataclass

from unlearn_bench.nano.banks import bank
from unlearn_bench.nano.people import KINDS, Person, a_person
from unlearn_bench.seeded import SeededRandom

FORGET, RETAIN, HOLDOUT = 16, 52, 12
FACTS_EACH, FACTS_NEIGHBOUR = 8, 4
_ALWAYS = ("name", "birth")


@dataclass(frozen=True)
class Member:
    """A person, the group, and the split of each kind of fact that is asked about."""

    person: Person
    group: str
    kinds: dict[str, str]


def members(seed: int) -> list[Member]:
    """All people of the corpus, forget first, then retain (look-alikes first), then holdout."""
    stream = SeededRandom(seed, "cast")
    originals = _originals(stream, FORGET + RETAIN + HOLDOUT)
    forget, others = originals[:FORGET], originals[FORGET:]
    found = [Member(person, "forget", _kinds(stream, "forget")) for person in forget]
    found += [_look_alike(stream, found[i], others[i], same_surname=i % 2 == 0) for i in range(FORGET)]
    plain = others[FORGET:]
    groups = ["retain"] * (RETAIN - FORGET) + ["holdout"] * HOLDOUT
    return found + [Member(p, g, _kinds(stream, g)) for p, g in zip(plain, groups, strict=True)]


def unknown_person(seed: int, key: str, known: frozenset[str]) -> Person:
    """Somebody who is not in the corpus: a new pair of a given name and a surname, both from the banks."""
    stream = SeededRandom(seed, f"stranger/{key}")
    names = bank("names")
    while True:
        gender = stream.pick(("female", "male"))
        given, surname = stream.pick(names[gender]), stream.pick(names["surnames"] + names["other_surnames"])
        if f"{given} {surname}" not in known:
            return a_person(stream, given, surname, gender)


def _originals(stream: SeededRandom, n: int) -> list[Person]:
    """`n` people of whom no two share a given name or, as long as the bank lasts, a surname."""
    names = bank("names")
    given = stream.draw([(name, gender) for gender in ("female", "male") for name in names[gender]], n)
    surnames = (stream.draw(names["surnames"]) + stream.draw(names["other_surnames"]))[:n]
    occupations = sorted(bank("fields")["occupations"])
    order = [occupation for _ in range(n // len(occupations) + 1) for occupation in stream.draw(occupations)]
    return [
        a_person(stream, first, last, gender, occupation=occupation)
        for (first, gender), last, occupation in zip(given, surnames, order, strict=False)
    ]


def _kinds(stream: SeededRandom, group: str) -> dict[str, str]:
    others = [kind for kind in KINDS if kind not in _ALWAYS]
    chosen = set(_ALWAYS) | set(stream.draw(others, FACTS_EACH - len(_ALWAYS)))
    return {kind: group for kind in KINDS if kind in chosen}


def _look_alike(stream: SeededRandom, model: Member, other: Person, *, same_surname: bool) -> Member:
    given = other.given if same_surname else model.person.given
    surname = model.person.surname if same_surname else other.surname
    gender = other.gender if same_surname else model.person.gender
    person = a_person(stream, given, surname, gender, occupation=model.person.occupation)
    near = set(stream.draw(sorted(set(model.kinds) - set(_ALWAYS)), FACTS_NEIGHBOUR))
    rest = [kind for kind in KINDS if kind not in near and kind not in _ALWAYS]
    chosen = set(_ALWAYS) | set(stream.draw(rest, FACTS_EACH - len(_ALWAYS)))
    return Member(person, "retain", {k: "neighbour" if k in near else "retain" for k in KINDS if k in near | chosen})
