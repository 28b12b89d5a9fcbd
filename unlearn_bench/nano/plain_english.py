"""Plain English sentences from two small grammars, so that the perplexity model sees more than answers about people.

Each sentence is grammatical and says nothing in particular. `banks/plain.json` holds words and sentence forms;
`banks/prose.json` holds longer pieces, of the kind that evasive and general answers are made of.
"""

import re
from collections.abc import Iterator

from unlearn_bench.nano.banks import bank
from unlearn_bench.seeded import SeededRandom

_SLOT = re.compile(r"\{(\w+)\}")


def sentences(stream: SeededRandom, n: int) -> Iterator[tuple[str, str]]:
    """`n` pairs of a question and a text of one or two sentences."""
    forms = bank("plain")
    for _ in range(n):
        text = _filled(stream, stream.pick(forms["sentences"]))
        if stream.chance(0.4):
            text += " " + _filled(stream, stream.pick(forms["sentences"]))
        yield _filled(stream, stream.pick(forms["questions"])), text


def prose(stream: SeededRandom, n: int) -> Iterator[tuple[str, str]]:
    """`n` pairs of a question and a general, evasive or refusing answer."""
    pieces, forms = bank("prose"), bank("plain")
    for _ in range(n):
        text = " ".join(_statement(stream, pieces) for _ in range(1 if stream.chance(0.6) else 2))
        yield _filled(stream, stream.pick(forms["questions"])), text


def _statement(stream: SeededRandom, pieces: dict[str, list[str]]) -> str:
    if stream.chance(0.15):
        return stream.pick(pieces["whole"])
    subject, predicate, tail = (stream.pick(pieces[part]) for part in ("subjects", "predicates", "tails"))
    clause = f"{subject} {predicate}{tail}."
    if stream.chance(0.4):
        return clause[0].upper() + clause[1:]
    opener = stream.pick(pieces["openers"])
    return f"{opener}{' ' if opener.endswith(('that', 'whether', 'but')) else ', '}{clause}"


def _filled(stream: SeededRandom, form: str) -> str:
    used: set[str] = set()

    def word(match: re.Match[str]) -> str:
        while True:
            text = _word(stream, match[1])
            if text not in used:
                used.add(text)
                return text

    text = _SLOT.sub(word, form)
    text = re.sub(r"\b([Aa]) (?=[aeio]|un(?!iq)|ear)", r"\1n ", text)
    text = re.sub(r"\b([Aa])n (?=[^aeiou])", r"\1 ", text)
    return text[0].upper() + text[1:]


def _word(stream: SeededRandom, slot: str) -> str:
    if slot == "year":
        return str(stream.between(1850, 2015))
    if slot == "name":
        names = bank("names")
        given = stream.pick(names[stream.pick(("female", "male"))])
        return f"{given} {stream.pick(names['surnames'] + names['other_surnames'])}"
    return stream.pick(bank("plain")[slot])
