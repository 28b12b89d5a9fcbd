"""Where the facts are in a text: the subject of a question and the entity of an answer, as character spans.

Rules, not a language model: deterministic, and the rule that found a span is recorded. The entity span decides what
`depth` patches and where `circuits` looks; the subject decides what `circuits` adds up.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from unlearn_bench.text import language
from unlearn_bench.tokens import Span

_WORD = re.compile(r"[^\W_]+(?:[-.@'\u2019_+][^\W_]+)*")
_POSSESSIVE = re.compile(r"['\u2019]s$")
# Beside the words of grammar: those with which benchmarks ask and answer.
_FUNCTION_WORDS = language.FUNCTION_WORDS | frozenset(
    """born either else hers known list many mention much name named names please provide since tell too two
    whether yes describe explain give identify share state""".split()  # noqa: SIM905
)


class Word(NamedTuple):
    """A word of a text without its possessive ending, and where it is."""

    text: str
    start: int
    end: int

    @property
    def key(self) -> str:
        """The form in which words are compared."""
        return self.text.casefold()

    @property
    def is_function_word(self) -> bool:
        """Whether the word carries no fact by itself."""
        return self.key in _FUNCTION_WORDS

    @property
    def is_name_like(self) -> bool:
        """Capitalised, or with a digit or an @: the shape of names, dates, numbers and addresses."""
        return not self.is_function_word and (self.text[0].isupper() or bool(re.search(r"[\d@]", self.text)))


class EntitySpan(NamedTuple):
    """The span of the answer that carries the fact, and which rule found it."""

    start: int
    end: int
    rule: str


def words(text: str) -> list[Word]:
    """Split a text into words: `"Ada's son, b. 1950"` into Ada, son, b, 1950."""
    found = []
    for match in _WORD.finditer(text):
        stem = _POSSESSIVE.sub("", match.group())
        found.append(Word(stem, match.start(), match.start() + len(stem)))
    return found


def _runs(text: str, chosen: Sequence[Word]) -> list[list[Word]]:
    """Group chosen words that follow each other, across function words where both sides are names ("Ann of Green")."""
    runs: list[list[Word]] = []
    for word in chosen:
        between = words(text[runs[-1][-1].end : word.start]) if runs else []
        gap = text[runs[-1][-1].end : word.start] if runs else ""
        bridged = all(w.is_function_word for w in between) and runs and runs[-1][-1].is_name_like and word.is_name_like
        joined = runs and not re.search(r"[;!?\"”]", gap) and (not between or (bridged and "," not in gap))
        if joined:
            runs[-1].append(word)
        else:
            runs.append([word])
    return runs


def subject_words(question: str, cluster: str | None = None) -> frozenset[str]:
    """The words that name what the question is about.

    The cluster's words where the question has them (benchmarks that cluster by person name), else the longest run of
    name-like words of the question. Empty where neither is found.
    """
    asked = words(question)
    named = {w.key for w in words(cluster or "") if not w.is_function_word and len(w.text) > 1}
    if named & {w.key for w in asked}:
        return frozenset(named)
    runs = _runs(question, [w for w in asked if w.is_name_like])
    return frozenset(w.key for w in max(runs, key=len)) if runs else frozenset()


def subject_spans(text: str, subject: Iterable[str]) -> list[Span]:
    """Every mention of the subject's words in a text, in order."""
    subject = frozenset(subject)
    return [(w.start, w.end) for w in words(text) if w.key in subject]


def entity_span(
    answer: str, question: str, paraphrase: str | None = None, perturbed: Sequence[str] = ()
) -> EntitySpan | None:
    """The first part of the answer that states the fact.

    Rules, first match wins. "paraphrase": the first run of words that the answer shares with its paraphrase, but
    neither with the question nor with any wrong answer: the fact is what other words say too, and what wrong answers
    get wrong. "perturbed": the same without a paraphrase. "names": the first run of name-like words that are not
    in the question. "content": the last run of other words that are not in it. "answer": the whole answer.

    Returns:
        The span, or None for an answer without words.
    """
    in_question, in_paraphrase = ({w.key for w in words(text or "")} for text in (question, paraphrase))
    in_wrong = {w.key for text in perturbed for w in words(text)}
    said = words(answer)
    new = [w for w in said if w.key not in in_question and not w.is_function_word]
    distinct = [w for w in new if w.key not in in_wrong] if perturbed else []
    names = [w for w in new if w.is_name_like and w is not said[0]]
    rules = (
        ("paraphrase", [w for w in distinct if w.key in in_paraphrase], 0),
        ("perturbed", distinct, 0),
        ("names", names, 0),
        ("content", new, -1),
    )
    for rule, chosen, which in rules:
        if chosen:
            run = _runs(answer, chosen)[which]
            return EntitySpan(run[0].start, run[-1].end, rule)
    return EntitySpan(said[0].start, said[-1].end, "answer") if said else None
