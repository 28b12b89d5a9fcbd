"""Taking an English question apart, as far as rules can: its type, its indirect form, its statement.

    "Where was Ann Lee born, and when?"  where    indirect "where Ann Lee was born, and when"
                                                  statement "Ann Lee was born"
    "What is Ann Lee's profession?"      what     noun phrase "Ann Lee's profession"
    "Can you name a book by Ann Lee?"    request  act "name a book by Ann Lee"

What the rules cannot take apart safely stays whole: `indirect` is None, and the question is rephrased around.
"""

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from unlearn_bench.augment._verbs import AUXILIARIES, BE, DO, HAVE, VERBS, is_participle, past, third_person

Type = Literal["who", "what", "which", "when", "where", "why", "how", "how_many", "yes_no", "request", "other"]

_WH = frozenset("what which who whom whose where when why how".split())  # noqa: SIM905
_PREPOSITIONS = frozenset("in at on by for from to under with of about through since during".split())  # noqa: SIM905
REQUEST_VERBS = frozenset(
    """tell give name describe state explain list say show provide share mention identify outline discuss recall
    summarise summarize specify elaborate highlight present write compare recommend suggest define expand comment talk
    speak""".split()  # noqa: SIM905
)
_POLITE = r"(?:please |kindly |possibly )?"
_REQUEST = re.compile(  # after "can you" any verb is a request: "could you shed light on"
    rf"^(?:please,?\s+)?(?:(?:can|could|would|will) you {_POLITE}(?P<act>[a-z]+\b.+)"
    rf"|(?P<order>(?:{'|'.join(sorted(REQUEST_VERBS))})\b.+))$",
    re.IGNORECASE,
)
_SECOND = re.compile(rf"\b(?:and|or|but) (?:{'|'.join(sorted(AUXILIARIES))})\b", re.IGNORECASE)
_TAIL = re.compile(r"(?:,\s+(?:and|or|but)\b|;\s).*$|,\s+(?:if so|since when|who|which)\b.*$", re.IGNORECASE)
_DETERMINER = frozenset("the a an another some any his her their its this that these those one two three".split())  # noqa: SIM905
_PRONOUNS = frozenset("i he she it they we you".split())  # noqa: SIM905
_PLAIN_SUBJECTS = _PRONOUNS | frozenset("one people fans readers critics visitors".split())  # noqa: SIM905
_ADVERBS = frozenset("ever always also often first still never sometimes usually".split())  # noqa: SIM905
_QUOTES = "\"'‘“"  # noqa: RUF001
_NUMBER = re.compile(r"^how\s+(?:many|much|old|long|far|tall|often|large|big)\b", re.IGNORECASE)
_LOWER_FIRST = re.compile(r"^(?:[A-Z][a-z]*)\b")


@dataclass(frozen=True)
class Question:
    """A question and its parts.

    Attributes:
        text: The question as asked, white space normalised.
        head: The question word with what belongs to it, in lower case ("in which year", "how many books").
        subject, predicate: Of the statement; the predicate's verb is inflected.
        indirect: What follows "could you tell me"; None if unknown.
        noun_phrase: What follows "please name", for questions of the form "what is X".
        act: What follows "could you", for requests.
    """

    text: str
    type: Type
    head: str = ""
    subject: str | None = None
    predicate: str | None = None
    indirect: str | None = None
    noun_phrase: str | None = None
    act: str | None = None

    @property
    def statement(self) -> str | None:
        """Subject and predicate as a sentence without its full stop; None if unknown."""
        return f"{self.subject} {self.predicate}".strip() if self.subject and self.predicate else None


def parse(text: str) -> Question:
    """Take a question apart.

    >>> parse("Where was Ann Lee born, and when?").indirect
    'where Ann Lee was born, and when'
    >>> parse("How does Ann Lee's mother influence her work?").indirect
    "how Ann Lee's mother influences her work"
    >>> parse("What is Ann Lee's profession?").noun_phrase
    "Ann Lee's profession"
    >>> parse("Has Ann Lee won a prize?").indirect
    'whether Ann Lee has won a prize'
    """
    text = " ".join(text.split())
    body = text.rstrip(" ?!.")
    if request := _REQUEST.match(body):
        return Question(text, "request", act=_lower_first(request["act"] or request["order"]))
    tail = match[0] if (match := _TAIL.search(body)) else ""
    if (tail and _has_clause(tail)) or _SECOND.search(body):
        return Question(text, _type(body))
    words = body[: len(body) - len(tail)].split()
    start = _wh_index(words)
    if start is None:
        parsed = _yes_no(text, words)
    else:
        parsed = _wh(text, words, start)
    if parsed is None:
        return Question(text, _type(body))
    indirect, phrase = (part + tail if part else None for part in (parsed.indirect, parsed.noun_phrase))
    return replace(parsed, indirect=indirect, noun_phrase=phrase)


def _has_clause(tail: str) -> bool:
    words = tail.lower().strip(",; ").split()
    return any(word in AUXILIARIES for word in words)


def _type(body: str) -> Type:
    words = [w.lower().strip(",;:'\"") for w in body.split()]
    if _NUMBER.match(body):
        return "how_many"
    for word in words[:3]:
        if word in _WH:
            return {"whom": "who", "whose": "who"}.get(word, word)  # type: ignore[return-value]
    return "yes_no" if words and words[0] in AUXILIARIES else "other"


def _wh_index(words: list[str]) -> int | None:
    """Position of the question word: first, or after a preposition."""
    lower = [w.lower() for w in words[:2]]
    if lower[:1] and lower[0] in _WH:
        return 0
    return 1 if len(lower) == 2 and lower[0] in _PREPOSITIONS and lower[1] in _WH else None


def _yes_no(text: str, words: list[str]) -> Question | None:
    if not words or words[0].lower() not in AUXILIARIES:
        return None
    parts = _statement(words[0].lower(), words[1:])
    if parts is None:
        return None
    subject, predicate = parts
    return Question(text, "yes_no", "whether", subject, predicate, f"whether {subject} {predicate}")


def _wh(text: str, words: list[str], start: int) -> Question | None:
    kind = _type(" ".join(words))
    position = _auxiliary(words, start)
    whole = " ".join([words[0].lower(), *words[1:]])
    if position is None:  # "who taught Ann Lee": the question word is the subject, order stays
        inverted = any(a in AUXILIARIES and b.lower() in _PRONOUNS for a, b in pairwise(words))
        asks_subject = kind in ("who", "what", "which") and start == 0 and len(words) > 2 and not inverted
        return Question(text, kind, words[0].lower(), indirect=whole) if asks_subject else None
    head = " ".join([words[0].lower(), *words[1:position]])
    auxiliary, rest = words[position].lower(), words[position + 1 :]
    if not rest:
        return None
    if rest[0][0].islower() and rest[0].lower() not in _DETERMINER | _PLAIN_SUBJECTS and not _titled(rest):
        in_order = auxiliary not in DO and kind in ("who", "what", "which") and start == 0
        return Question(text, kind, head, indirect=whole) if in_order else None  # "what themes are common in ..."
    if auxiliary in BE and head in ("what", "who"):
        return _what_is(text, kind, head, auxiliary, rest)
    parts = _statement(auxiliary, rest)
    if parts is None:
        return None
    subject, predicate = parts
    return Question(text, kind, head, subject, predicate, f"{head} {subject} {predicate}")


def _auxiliary(words: list[str], start: int) -> int | None:
    for i in range(start + 1, min(len(words), start + 8)):
        word = words[i]
        if word in AUXILIARIES:
            return i
        if word[0].isupper() or word[0] in "'\"":
            return None
    return None


def _what_is(text: str, kind: Type, head: str, auxiliary: str, rest: list[str]) -> Question | None:
    phrase = " ".join(rest)
    end = _name_end(rest)
    if end and not _possessive(rest[end - 1]):
        subject, left = " ".join(rest[:end]), " ".join(rest[end:])
        return Question(
            text, kind, head, subject, f"{auxiliary} {left}".strip(), f"{head} {subject} {auxiliary} {left}".strip()
        )
    if head == "who":
        return Question(text, kind, head, indirect=f"who {phrase} {auxiliary}") if len(rest) <= 6 else None
    if any(is_participle(word) for word in rest[-1:]):  # "what is Ann's book called"
        return Question(text, kind, head, indirect=f"{head} {' '.join(rest[:-1])} {auxiliary} {rest[-1]}")
    return Question(text, kind, head, noun_phrase=phrase)


def _statement(auxiliary: str, rest: list[str]) -> tuple[str, str] | None:
    """(subject, predicate) of what follows an auxiliary, or None where the subject's end is not sure."""
    end = _subject_end(auxiliary, rest)
    if end is None:
        return None
    subject, left = rest[:end], rest[end:]
    if auxiliary not in DO:
        return " ".join(subject), " ".join([auxiliary, *left])
    if not left or not left[0].isalpha() or left[0] != left[0].lower():
        return None
    adverb = left[:1] if (left[0].endswith("ly") or left[0] in _ADVERBS) and len(left) > 1 else []
    verb = left[len(adverb)]
    inflected = {"do": verb, "does": third_person(verb), "did": past(verb)}[auxiliary]
    return " ".join(subject), " ".join([*adverb, inflected, *left[len(adverb) + 1 :]])


def _subject_end(auxiliary: str, rest: list[str]) -> int | None:
    name = _name_end(rest)
    if name and not _possessive(rest[name - 1]):
        return name
    if rest[:1] and rest[0].lower() in _PLAIN_SUBJECTS:
        return 1
    if any(word[0] in _QUOTES for word in rest):  # a title may hold anything
        return None
    if _titled(rest):
        name = 1 + _name_end(rest[1:])
        return None if _possessive(rest[name - 1]) else name
    if not name and (not rest or rest[0].lower() not in _DETERMINER):
        return None
    if not name and (inner := next((i for i, w in enumerate(rest) if w[0].isupper()), None)) is not None:
        # "the author Ann Lee": an apposition ends with the name; "the Orion project" does not
        end = inner + _name_end(rest[inner:])
        closed = not _possessive(rest[end - 1]) and not any(w in _PREPOSITIONS for w in rest[:end])
        if inner > 1 and end <= 6 and closed:
            return end
    if auxiliary in BE and len(rest) <= 4 and not any(is_participle(w) for w in rest):
        return len(rest)
    return _verb_index(auxiliary, rest, (name or 1) + 1)


def _titled(rest: list[str]) -> bool:
    """Whether the phrase begins with a word and a name: "author Ann Lee"."""
    role = rest[0].isalpha() and rest[0].islower() and rest[0] not in _DETERMINER
    return role and len(rest) > 1 and rest[1][0].isupper()


def _verb_index(auxiliary: str, rest: list[str], first: int) -> int | None:
    for i in range(first, len(rest)):
        found = is_participle(rest[i]) if auxiliary in BE | HAVE else rest[i] in VERBS
        if found and not _possessive(rest[i - 1]):
            return i - 1 if rest[i - 1].endswith("ly") and i - 1 >= first else i
    return None


def _name_end(words: list[str]) -> int:
    """How many words from the start make up a name; 0 if it starts with none."""
    end = 0
    for word in words:
        small = word in ("de", "da", "van", "von", "bin", "al", "la", "der", "del", "of") and 0 < end < len(words) - 1
        if not (word[0].isupper() or (small and words[end + 1][0].isupper())):
            break
        end += 1
        if _possessive(word) or word.endswith(","):
            break
    return end


def _possessive(word: str) -> bool:
    return word.endswith(("'s", "’s", "s'", "s’"))  # noqa: RUF001


def _lower_first(text: str) -> str:
    return _LOWER_FIRST.sub(lambda match: match[0].lower(), text, count=1)
