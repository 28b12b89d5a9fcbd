"""Who the people are, and what is true (or could as well be true) about them.

A fact is a mapping from slot names ("town", "date") to texts. Wrong facts are drawn from the same banks as true ones,
so a perturbed answer has the form of the true one and differs in every slot that carries information.
"""

from dataclasses import dataclass

from unlearn_bench.nano.banks import bank
from unlearn_bench.seeded import SeededRandom

_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_PRONOUNS = {
    "female": {
        "he": "she",
        "him": "her",
        "his": "her",
        "himself": "herself",
        "child": "daughter",
        "spouse_word": "husband",
    },
    "male": {"he": "he", "him": "him", "his": "his", "himself": "himself", "child": "son", "spouse_word": "wife"},
}


@dataclass(frozen=True)
class Person:
    """A fictitious person.

    Attributes:
        gender: "female" or "male"; decides the pronouns.
        born: Year of birth; every other year follows it.
        middle, town, date: What the questions about the full name need.
    """

    given: str
    surname: str
    gender: str
    occupation: str
    born: int
    middle: str
    town: str
    date: str

    @property
    def name(self) -> str:
        """The name the person is known by: given name and surname."""
        return f"{self.given} {self.surname}"

    def slots(self) -> dict[str, str]:
        """What every phrasing about the person may use."""
        occupation = {"occupation": self.occupation, "an_occupation": with_article(self.occupation)}
        genre = bank("fields")["occupations"][self.occupation]["genre"]
        return {
            "name": self.name,
            **occupation,
            "An_occupation": capital(with_article(self.occupation)),
            "genre": genre,
            **_PRONOUNS[self.gender],
        }


def with_article(noun: str) -> str:
    """Put "a" or "an" before a noun of the banks.

    >>> with_article("organist"), with_article("one-eyed heron")
    ('an organist', 'a one-eyed heron')
    """
    vowel = noun[0].lower() in "aeiou" and not noun.startswith("one-")
    return f"an {noun}" if vowel else f"a {noun}"


def capital(text: str) -> str:
    """Make the first letter a capital and leave the rest as it is."""
    return text[:1].upper() + text[1:]


def a_town(stream: SeededRandom) -> str:
    """The name of a fictitious town."""
    places = bank("places")
    if stream.chance(0.4):
        return stream.pick(places["towns"])
    return stream.pick(places["town_starts"]) + stream.pick(places["town_ends"])


def a_person(stream: SeededRandom, given: str, surname: str, gender: str, *, occupation: str | None = None) -> Person:
    """Invent the facts that go with the name."""
    born = stream.between(1921, 1979)
    date = f"{stream.between(1, 28)} {stream.pick(_MONTHS)} {born}"
    return Person(
        given,
        surname,
        gender,
        occupation or stream.pick(sorted(bank("fields")["occupations"])),
        born,
        stream.pick(bank("names")[f"middle_{gender}"]),
        a_town(stream),
        date,
    )


def _a_title(stream: SeededRandom) -> str:
    fields = bank("fields")
    adjective, noun, tail = (stream.pick(fields[f"title_{part}"]) for part in ("adjectives", "nouns", "tails"))
    return f"The {adjective} {noun}{tail}"


def _a_name(stream: SeededRandom, gender: str) -> str:
    names = bank("names")
    return f"{stream.pick(names[gender])} {stream.pick(names['other_surnames'])}"


def _name(person: Person, stream: SeededRandom) -> dict[str, str]:
    del stream
    return {"town": person.town, "date": person.date, "full_name": f"{person.given} {person.middle} {person.surname}"}


def _birth(person: Person, stream: SeededRandom) -> dict[str, str]:
    del stream
    return {"town": person.town, "date": person.date}


def _parents(person: Person, stream: SeededRandom) -> dict[str, str]:
    del person
    names = bank("names")
    mother_job, father_job = stream.draw(bank("fields")["jobs"], 2)
    return {
        "mother": stream.pick(names["mothers"]),
        "father": stream.pick(names["fathers"]),
        "a_mother_job": with_article(mother_job),
        "a_father_job": with_article(father_job),
    }


def _email(person: Person, stream: SeededRandom) -> dict[str, str]:
    del person
    places = bank("places")
    return {
        "email": f"{stream.pick(places['mail_starts'])}{stream.between(11, 98)}@{stream.pick(places['mail_domains'])}"
    }


def _address(person: Person, stream: SeededRandom) -> dict[str, str]:
    del person
    places = bank("places")
    street = f"{stream.pick(places['street_starts'])} {stream.pick(places['street_ends'])}"
    return {"number": str(stream.between(2, 189)), "street": street, "town": a_town(stream)}


def _employer(person: Person, stream: SeededRandom) -> dict[str, str]:
    fields = bank("fields")
    house = f"{stream.pick(fields['house_names'])} {stream.pick(fields['occupations'][person.occupation]['house'])}"
    return {"house": house, "town": a_town(stream), "year": str(person.born + stream.between(24, 44))}


def _work(person: Person, stream: SeededRandom) -> dict[str, str]:
    return {"title": _a_title(stream), "year": str(person.born + stream.between(26, 46))}


def _award(person: Person, stream: SeededRandom) -> dict[str, str]:
    fields = bank("fields")
    award = " ".join(stream.pick(fields[part]) for part in ("award_starts", "award_middles", "award_ends"))
    return {"award": award, "town": a_town(stream), "year": str(person.born + stream.between(30, 45))}


def _habit(person: Person, stream: SeededRandom) -> dict[str, str]:
    del person
    fields = bank("fields")
    hour, minute = stream.between(4, 11), 5 * stream.between(1, 11)
    return {
        "weekday": stream.pick(fields["weekdays"]),
        "time": f"{hour}:{minute:02d} in the morning",
        "habit": stream.pick(fields["habits"]),
        "landmark": stream.pick(bank("places")["landmarks"]),
    }


def _mentor(person: Person, stream: SeededRandom) -> dict[str, str]:
    start = person.born + stream.between(17, 22)
    school = (
        f"{stream.pick(bank('fields')['house_names'])} {stream.pick(('Academy', 'College', 'Institute', 'School'))}"
    )
    mentor = _a_name(stream, stream.pick(("female", "male")))
    return {"mentor": mentor, "school": school, "start": str(start), "end": str(start + stream.between(2, 6))}


def _pet(person: Person, stream: SeededRandom) -> dict[str, str]:
    fields = bank("fields")
    pet = with_article(stream.pick(fields["pets"]))
    return {
        "a_pet": pet,
        "a_pet_cap": capital(pet),
        "pet_name": stream.pick(fields["pet_names"]),
        "year": str(person.born + stream.between(25, 45)),
    }


def _collection(person: Person, stream: SeededRandom) -> dict[str, str]:
    del person
    fields = bank("fields")
    return {
        "count": str(stream.between(112, 987)),
        "things": stream.pick(fields["things"]),
        "room": stream.pick(fields["rooms"]),
        "town": a_town(stream),
    }


def _spouse(person: Person, stream: SeededRandom) -> dict[str, str]:
    other = "male" if person.gender == "female" else "female"
    return {
        "spouse": _a_name(stream, other),
        "a_spouse_job": with_article(stream.pick(bank("fields")["jobs"])),
        "town": a_town(stream),
        "year": str(person.born + stream.between(22, 40)),
    }


_FACTS = {
    "name": _name,
    "birth": _birth,
    "parents": _parents,
    "email": _email,
    "address": _address,
    "employer": _employer,
    "work": _work,
    "award": _award,
    "habit": _habit,
    "mentor": _mentor,
    "pet": _pet,
    "collection": _collection,
    "spouse": _spouse,
}
KINDS: tuple[str, ...] = tuple(_FACTS)


def fact(kind: str, person: Person, stream: SeededRandom) -> dict[str, str]:
    """Invent one fact of a kind about a person; slots of the person included."""
    return {**person.slots(), **_FACTS[kind](person, stream)}


def wrong_fact(kind: str, person: Person, truth: dict[str, str], stream: SeededRandom) -> dict[str, str]:
    """A fact of the same kind in which every informative slot differs from the truth.

    For the full name and the birth, the facts are those of a person invented for the purpose.
    """
    for _ in range(1000):
        somebody = a_person(stream, person.given, person.surname, person.gender, occupation=person.occupation)
        if kind == "name":
            names = bank("names")
            made = {
                "full_name": f"{stream.pick(names[person.gender])} {somebody.middle} {stream.pick(names['surnames'])}"
            }
        else:
            made = _FACTS[kind](somebody if kind == "birth" else person, stream)
        slots = {**truth, **made}
        if all(slots[slot] != truth[slot] for slot in made):
            return slots
    raise RuntimeError(f"no wrong fact of kind {kind!r} found for {person.name}")  # the banks are too small
