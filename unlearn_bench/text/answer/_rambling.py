r"""Where a generation goes on with another text, as base models do: a story, an essay, an exercise.

    "In Oslo.\nThe teacher asked the students to write an essay …"  ->  "In Oslo."

The cut is made at the end of a line, and only where what is cut adds nothing of the reference to what stays (no name or
number, no sentence with several of its other words), no longer names what the question names, and does not go on from
what stands before it. So it never removes knowledge.
"""

# ruff: noqa: RUF001 (typographic characters are what this file handles)

import re
from collections.abc import Iterator
from functools import lru_cache

from unlearn_bench.text.answer._preamble import is_preamble
from unlearn_bench.text.answer._turns import is_finished

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?\n]*")
_COMMON = re.compile(r"(?:ing|ly|ed|s|ion|ment)$")  # of words that begin a sentence and are not names
_BREAK = re.compile(r"[ \t]*\n\s*")
_LIST_ITEM = re.compile(r"(?:[-*•–>|]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s")
_OTHER_SCRIPT = re.compile(r"[\u0400-\u1fff\u2e80-\ud7ff\uf900-\ufaff]")
# words without a topic, and words that continue the sentence before
_EMPTY = frozenset(
    _WORD.findall(
        "a an and are as at be been being but by can could did do does for from had has have how if in "
        "into is it its may might more most must no nor not of on or our own shall should so some such "
        "than that the their them then there these this those to too was we were what when where which "
        "while who whom whose why will with would yes you your me my i he she his her him they us about "
        "also "
    )
)
_GOES_ON = re.compile(
    r"(?:he|she|it|they|his|her|hers|its|their|theirs|this|that|these|those|such|both|one|another|other|others|also|"
    r"in (?:addition|short|fact|other words|summary|conclusion)|additionally|furthermore|moreover|however|therefore|"
    r"thus|for (?:example|instance)|overall|finally|then|later|first|second|and|but|or|so|because|while|although|"
    r"though|note|please|if|as|i|you|we|let|would|is there|do you|hope|sources?|references?)\b",
    re.IGNORECASE,
)
_NUMBER_WORDS = frozenset(
    _WORD.findall(
        "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion dozen"
    )
)
_LIKE = 0.34  # a sentence that shares more of its words with the topic is about it


def rambling(text: str, question: str, reference: str | None) -> int | None:
    """Where another text begins; None if none does.

    Args:
        text: One turn.
        question: What was asked.
        reference: The right answer, if there is one.
    """
    if "\n" not in text or _OTHER_SCRIPT.search(text):
        return None
    topic = _stems(question) | _stems(reference or "")
    earliest = _last_of_topic(text, question, reference or "")
    words: set[str] = set()
    read = 0
    for match in _BREAK.finditer(text):
        at = match.start()
        words |= _stems(text[read:at])
        read = at
        if at >= earliest and words & topic and _is_other_text(text, match, words | topic):
            return at
    return None


def _is_other_text(text: str, gap: re.Match, known: set[str]) -> bool:
    head, rest = text[max(0, gap.start() - 600) : gap.start()], text[gap.end() : gap.end() + 600]
    line = rest.split("\n", 1)[0]
    if not rest or _LIST_ITEM.match(rest) or _GOES_ON.match(rest.lstrip("#*_\"'“ ")):
        return False
    if not (is_finished(head) and (head.rstrip("*_ ")[-1:] in ".!?\"'”’)…" or "?" in line)):
        return False
    words = _stems(re.split(r"(?<=[.!?])\s", line, maxsplit=1)[0])
    shared = len(words & known) / len(words) if words else 1.0
    return shared <= _LIKE and not is_preamble(text[: gap.start()][-1000:])


def _last_of_topic(text: str, question: str, reference: str) -> int:
    """The place from which on a text adds nothing of the reference and names nothing that the question names.

    A name or number of the reference adds something anywhere; of its other words, several in one sentence do.
    """
    asked = {_stem(w) for w in _names(question)}
    own = _stems(reference) - _stems(question)
    named = {_stem(w) for w in _proper(reference)} & own
    counts = any(_is_number(w) for w in _words(reference))
    enough = 1 if len(own) <= 2 else 2 if len(own) < 12 else 3
    seen: set[str] = set()
    last = 0
    for sentence in _SENTENCE.finditer(text):
        words = list(_words(sentence.group()))
        new = ({_stem(w) for w in words} & own) - seen
        says = len(new) >= enough or new & named or (counts and any(map(_is_number, words)))
        if says or any(w[:1].isupper() and _stem(w) in asked for w in words):
            last = len(text[: sentence.end()].rstrip())
        seen |= new
    return last


def _proper(text: str) -> Iterator[str]:
    """Names of a reference: words with a capital, but for those that only begin a sentence."""
    short = len(text.split()) <= 4
    for sentence in _SENTENCE.finditer(text):
        for place, word in enumerate(_names(sentence.group())):
            if short or place or not _COMMON.search(word):
                yield word


def _words(text: str) -> Iterator[str]:
    return (match.group() for match in _WORD.finditer(text))


def _names(text: str) -> list[str]:
    return [w for w in _words(text) if w[:1].isupper() and w.casefold() not in _EMPTY]


def _is_number(word: str) -> bool:
    return any(c.isdigit() for c in word) or word.casefold() in _NUMBER_WORDS


def _stems(text: str) -> set[str]:
    return {_stem(word) for word in _words(text) if word.casefold() not in _EMPTY}


@lru_cache(maxsize=65536)
def _stem(word: str) -> str:
    """A word without its commonest endings, so that "writes" is "writing"."""
    word = word.casefold().removesuffix("'s").removesuffix("’s")
    for ending in ("ings", "ing", "ers", "ies", "ed", "es", "er", "s", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word
