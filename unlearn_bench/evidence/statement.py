"""Short references: whether an answer states one.

    yes or no     the answer's polarity against the reference's; "Yes, she is." states "Yes, Ada Lima is married."
    an option     the letter, in any brackets, or the text that the question gives it: "B", "(B)", "The answer is B"
    a phrase      a name, number or a few words that stand in the answer word for word, or as the same value in another
                  notation, and are not denied there ("not Oslo", "Rome rather than Oslo") or offered as a choice

Coverage and inference compare what two texts say. A short reference says too little for that: "Yes." has no entity, and
an answer that adds a date to "Neil Armstrong" looks as if it made things up. `agreement` asks these rules first.
"""

import re
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from unlearn_bench.text import vocabulary
from unlearn_bench.text.degenerate import degenerate
from unlearn_bench.text.values import Value, read, same, special_spans, standard

_IS = r"(?:(?:that|this|it)(?:\s+is|\s+was|'s)\s+)?"
_YES = re.compile(
    rf"\W*(?:y(?=\W*$)|{_IS}(?:true|correct)\b(?!\s+that\b)|yes|yeah|yep|indeed|certainly|absolutely|definitely|"
    r"of course|that's right)\b",
    re.I,
)
_NO = re.compile(
    rf"\W*(?:n(?=\W*$)|{_IS}(?:incorrect|false|untrue|not\s+(?:true|correct))|no|nope|not at all|never)\b"
    r"(?!\s+(?:doubt|matter|wonder|one)\b)",
    re.I,
)
_ELLIPSIS = re.compile(  # "She does.", "They haven't, sadly."
    r"\W*(?:he|she|it|they|we|there)\s+(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|may|might)"
    r"(?P<no>n't|\s+not|\s+never)?\s*(?:[.,;!]|$)",
    re.I,
)
_ASKS = re.compile(
    r"(?:.{0,200}[,:.]\s)?(?:is|are|was|were|am|do|does|did|has|have|had|can|could|will|would|should|may|might)(?:n't)?\s",
    re.I,
)
_DEGREE = re.compile(
    r"how\s+(?!many|much|long|old|often|did|do|does|has|have|is|are|was|were|can|could|would|might|will|far|tall|big|high|fast)"
    r"[a-z]+\s+(?:is|are|was|were|has|have|did|does|do)\b",
    re.I,
)
_DENIES = re.compile(r"\b(?:not(?!\s+(?:only|just))|never|no|none|neither|cannot|without|\w+n't)\b", re.I)
_UNSURE = re.compile(
    r"\b(?:i\s+(?:do\s+not|don't|cannot|can't|have\s+no|am\s+not\s+(?:sure|able|aware))|i'm\s+(?:not|unable|sorry)|unclear|"
    r"not\s+(?:known|sure|available|public|disclosed|clear)|no\s+(?:\w+\s+)?(?:information|data|record|details?)|unknown|"
    r"maybe|perhaps|possibly|might|hard\s+to\s+say|depends)\b",
    re.I,
)
_FRAME = re.compile(
    r"^(?:(?:it|this|that|he|she|they|the\s+(?:correct\s+)?answer)\s+(?:is|was|were|are)\s+|answer:\s*)(?:called\s+)?",
    re.I,
)
_OPTION = re.compile(r"\W*([A-H])\W*(?:[.):\]]\s*(?P<text>.*))?", re.S)
_BRACKETED = re.compile(r"\W*[A-H]\s*[):\]]")
_OPTIONS = re.compile(r"(?:^|[\s(\[])\(?([A-H])[.):\]]\s+(.+?)(?=\s*(?:[\s(\[]\(?[A-H][.):\]]\s|$))", re.S)
_SAID_OPTION = re.compile(
    r"^\W*([a-h])(?=\W*$)|^\W*([A-H])(?=\W*$|\s*[.):\]]|\s+[-\u2013\u2014]\s)|\(([A-H])\)|\*\*([A-H])\b|\b(?:answer|option|choice)\W+(?:is\W+|would\s+be\W+)?([A-H])\b(?!')"
    r"|\b([B-H])(?=\W*$|[.,;)]|\s+is\b)|\b([A-H])(?=\s+or\s+\(?[A-H]\b)|\bA(?=[.)]?\W*$)()",
)
_NOT_BEFORE = re.compile(
    r"\b(?:not|isn't|wasn't|never|rather\s+than|instead\s+of|unlike|than|except|nor)\s+"
    r"(?:\(|option\s+|the\s+|by\s+|in\s+|a\s+)?$",
    re.I,
)
_DENIED = frozenset(
    [
        "not",
        "isn't",
        "wasn't",
        "never",
        "nor",
        "neither",
        "unlike",
        "except",
        "excluding",
        "without",
        "aren't",
        "weren't",
        "didn't",
        "doesn't",
    ]
)
_DENIED_PAIRS = frozenset((("rather", "than"), ("instead", "of"), ("other", "than"), ("as", "opposed")))
_CLAUSE_END = frozenset(".,;:!?()—")
_ARTICLES = frozenset(("a", "an", "the"))
_REACH = 4  # tokens before a mention in which a denial is of it
_MOST_WORDS = 8  # of a phrase
_MAX_CHARS = 20_000
_VERBS = frozenset("is are was were has have had does did will would can could".split())  # noqa: SIM905


class _Token(NamedTuple):
    text: str  # folded; a mark of punctuation as it is
    value: Value | None


class Verdict(NamedTuple):
    """What a rule says of an answer.

    Attributes:
        rule: "option", "yes_no" (the reference is no more than yes or no), "polarity" (it says more), or "phrase".
        stated: Whether the answer states the reference; of "polarity": whether it says yes or no as the reference does.
    """

    rule: str
    stated: bool


@lru_cache(maxsize=1024)  # asked for the verdict and for its parts
def states(question: str, reference: str, response: str) -> Verdict | None:
    """Whether the response states a short reference; None if the reference is not short, or the rules do not decide.

    >>> states("Is Ada Lima married?", "Yes, Ada Lima is married.", "Yes, she is.")
    Verdict(rule='yes_no', stated=True)
    >>> states("Who won?", "Bo Tan", "It was Ada Lima, not Bo Tan, who won."), states("Who won?", "Bo Tan", "Ann Lee.")
    (Verdict(rule='phrase', stated=False), None)
    """
    question, reference, response = (standard(t[:_MAX_CHARS]).strip() for t in (question, reference, response))
    chosen = _option(question, reference, response)
    if chosen is not None:
        return Verdict("option", chosen)
    said = _polarity(question, reference, response)
    if said is not None:
        return said
    stands = _phrase(question, reference, response)
    return None if stands is None else Verdict("phrase", stands)


def is_unsure(text: str) -> bool:
    """Whether a text says, anywhere in it, that something is not known or not sure."""
    return bool(_UNSURE.search(text))


def same_polarity(question: str, reference: str, response: str) -> int | None:
    """1 where the answer says yes or no as the reference does, -1 where it says the opposite, 0 where it says neither.

    None where neither is asked. "How successful was it?" is read as "Was it successful?".

    >>> same_polarity("Is Ada married?", "Yes, to Bo.", "No."), same_polarity("Who won?", "Bo Tan", "Bo Tan")
    (-1, None)
    """
    question, reference, response = (standard(t[:_MAX_CHARS]) for t in (question, reference, response))
    asks = (_ASKS.match(question) and " or " not in question) or _DEGREE.match(question)
    wanted = _leading(reference)
    if not wanted:
        if not asks:
            return None
        wanted = -1 if _DENIES.search(reference) else 1
    return wanted * _said(question, reference, response, wanted)


def _option(question: str, reference: str, response: str) -> bool | None:
    wanted = _OPTION.fullmatch(reference)
    texts = {letter: text.strip(" .\n,;") for letter, text in _OPTIONS.findall(question)}
    if not wanted and texts:
        letters = [letter for letter, text in texts.items() if _same_words(text, reference)]
    else:
        named = wanted and (not wanted["text"] or len(texts) > 1 or _BRACKETED.match(reference))  # not "E. B. White"
        letters = [wanted[1]] if wanted and named else []
    if len(letters) != 1:
        return None
    text = (wanted["text"] if wanted else None) or texts.get(letters[0], "")
    texts.setdefault(letters[0], text)
    said = {
        next((g.upper() for g in m.groups() if g), "A")
        for m in _SAID_OPTION.finditer(response)
        if not _NOT_BEFORE.search(response[max(0, m.start() - 24) : m.start()])
    }
    if not said:
        said = {
            letter for letter, words in texts.items() if words and any(_mentions(_tokens(words), _tokens(response)))
        }
    if not said and (wanted is None or wanted["text"]):
        return None
    return said == set(letters)


def _same_words(a: str, b: str) -> bool:
    return [t.text for t in _words(_tokens(a))] == [t.text for t in _words(_tokens(b))]


def _polarity(question: str, reference: str, response: str) -> Verdict | None:
    asks = bool(_ASKS.match(question)) and " or " not in question
    wanted = _leading(reference)
    if not wanted and not asks:
        return None
    told = _keys(question)
    new = [
        token
        for token in _words(_tokens(_without_yes(reference)))
        if not vocabulary.is_stopword(token.text) and token.text not in told and vocabulary.key(token.text) not in told
    ]
    if not wanted:
        if new or len(reference.split()) > 30:
            return None
        wanted = -1 if _DENIES.search(reference) else 1
    said = _said(question, reference, response, wanted)
    if not said:
        evades = degenerate(response) is not None or _UNSURE.search(response) or not _keys(response) - told
        return Verdict("yes_no", False) if evades and not new else None
    rule = "polarity" if new else "yes_no"
    if said != wanted:
        return Verdict(rule, False)
    particulars = any(t.value or (t.text[:1].isupper()) for t in new) or len(new) > _MOST_WORDS // 2
    return None if particulars else Verdict(rule, True)


def _leading(text: str) -> int:
    return 1 if _YES.match(text) else -1 if _NO.match(text) else 0


def _without_yes(text: str) -> str:
    match = _YES.match(text) or _NO.match(text)
    return text[match.end() :] if match else text


def _said(question: str, reference: str, response: str, wanted: int) -> int:
    """+1 or -1 where the answer says yes or no, or its first sentence says what was asked or denies it; else 0.

    "It opened after the war" says no where the reference is "No, it opened after the war"; "He does not" says yes to
    "Does he not eat meat?" where the reference is "Correct".
    """
    leading = _leading(response)
    if leading:
        return leading
    sentence = re.split(r"(?<=[.!?])\s", response.strip(), maxsplit=1)[0]
    rest = _without_yes(reference)
    if rest != reference and vocabulary.words(rest) and _same_words(sentence, rest):
        return wanted
    sign = -1 if _YES.match(reference) and _DENIES.search(question) else 1
    elliptic = _ELLIPSIS.match(sentence)
    if elliptic:
        return sign * (-1 if elliptic["no"] else 1)
    keys, told = _keys(sentence), _keys(question) | _keys(reference)
    if _UNSURE.search(sentence) or len(keys & told) < max(1, len(keys) / 2):
        return 0
    return sign * (-1 if _DENIES.search(sentence) else 1)


def _keys(text: str) -> set[str]:
    return {vocabulary.key(w) for w in vocabulary.words(text) if not vocabulary.is_stopword(w)}


def _phrase(question: str, reference: str, response: str) -> bool | None:
    """Whether a phrase is in the answer; False if only where it is denied."""
    core = _words(_tokens(_FRAME.sub("", reference)))
    sentence = any(t.text.lower() in _VERBS for t in core) and len(core) > 3
    if not core or len(core) > _MOST_WORDS or sentence:
        return None
    if all(vocabulary.is_stopword(t.text) for t in core):
        return None
    asked, said = _mentions(core, _tokens(question)), _mentions(core, _tokens(response))
    if asked:  # "Boston" to a question about the Boston Tea Party
        return True if len(said) > len(asked) and any(said) else None
    return any(said) if said else None


def _mentions(phrase: list[_Token], tokens: list[_Token]) -> list[bool]:
    """For each place where the phrase stands, whether it is meant: not denied, not offered as a choice."""
    phrase = _words(phrase)
    places = [i for i, t in enumerate(tokens) if t.text not in _CLAUSE_END and t.text not in _ARTICLES]
    words = [tokens[i] for i in places]
    return [
        _meant(tokens, places[k], places[k + len(phrase) - 1])
        for k in range(len(words) - len(phrase) + 1)
        if all(_equal(a, b) for a, b in zip(phrase, words[k:], strict=False))
    ]


def _equal(wanted: _Token, found: _Token) -> bool:
    if wanted.value and found.value:
        return same(wanted.value, found.value)
    return wanted.text == found.text or (not wanted.value and not found.value and _plural(wanted.text, found.text))


def _plural(a: str, b: str) -> bool:
    return a.rstrip("s") == b.rstrip("s") and len(a) > 3


def _meant(tokens: list[_Token], first: int, last: int) -> bool:
    before: list[str] = []
    for token in reversed(tokens[max(0, first - _REACH) : first]):
        if token.text in _CLAUSE_END or token.text == "but":  # "not Rome but Oslo"
            break
        before.insert(0, token.text)
    if not _DENIED.isdisjoint(before) or any(pair in _DENIED_PAIRS for pair in pairwise(before)):
        return "only" in before or "just" in before
    after = tokens[last + 1].text if last + 1 < len(tokens) else ""
    return "or" not in (after, *before[-1:]) and "either" not in before


def _words(tokens: list[_Token]) -> list[_Token]:
    return [t for t in tokens if t.text not in _CLAUSE_END and t.text not in _ARTICLES]


def _tokens(text: str) -> list[_Token]:
    """Words, values (an amount, a date, …) and marks that end a clause, in order."""
    tokens: list[_Token] = []
    position = 0
    for start, end, value, kind in [*special_spans(text), (len(text), len(text), "", "word")]:
        if kind == "title":
            continue
        tokens += [
            _Token(vocabulary.fold(w), None)
            for w in re.findall(r"[^\W_]+(?:['.&-][^\W_]+)*|[.,;:!?()—]", text[position:start])
        ]
        if value:
            tokens.append(_Token(value.casefold(), read(value)))
        position = max(position, end)
    return tokens
