"""Fluency: whether an answer is language, and an answer to its question. Per answer; cheap; needs no model.

    fluency = words * sense * variety * grammar * shape * relevance [* wording]        each factor in [0, 1]

    words      share of the answer's chunks that look like words, in the scripts of the question
    sense      1 without chunks that no writer makes (glued or invented words, stuck letters, stray symbols)
    variety    1 while at most 10 % of the words repeat earlier 4-grams, 0 from 40 %
    grammar    1 without English function words in impossible places, 0 where 16 % of the neighbours are (English
               questions)
    shape      starts and ends as a sentence does; a short answer may be a bare name, number, phrase or yes, and a cut
               at the length limit costs nothing
    relevance  1: shares a name or two roots with the question, or is the kind of short answer asked for; 0.75: shares
               one root; 0.65: a bare refusal; 0.6: refers back ("the individual in question"); 0.25: none of these;
               0.2: says nothing but the question's own words
    wording    only where a real language model judges it (evidence `wording`): 1 from a mean log-probability of -3 per
               token, 0 up to -7; 1 for at most four words, as the probability of a bare name says nothing of its form

In [0, 1], higher is better. Not in the paper: its LS (eq. 3) rewards "at at at" for its low perplexity, and KFR counts
it as forgotten (see kfr_fluent.py). Written so that collapse cannot win: an empty or degenerate answer is 0, an answer
in another script or a repeated sentence about something else is near 0, a refusal lies between those and a fluent,
relevant answer, vague or correct. It does not judge truth. Without `wording` it does not depend on a model; with it,
it is another number, of another fingerprint.

Limits: grammar and refusals are known for English only; in other languages those factors are 1. One sentence that
happens to share words with every question is not recognised: the score looks at one answer.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import Metric, Need, Parts, Scorer, Unscored
from unlearn_bench.scorers.foreign import LANGUAGE, row_is_foreign
from unlearn_bench.text import language, vocabulary
from unlearn_bench.text.degenerate import degenerate, repeated_share, units
from unlearn_bench.text.sense import is_word, ramp, sense

_FIRST_PERSON = re.compile(r"\b(?:i|i'm|i've|i'd|we|we're|my|our|me|us)\b", re.IGNORECASE)
_LACK = re.compile(
    r"n't\b|\b(?:not|no|cannot|unable|unaware|unsure|un\w+ed|sorry|apolog\w+|afraid|lack\w*|missing|without|beyond|"
    r"outside|yet|limited|decline|blank|clueless|stumped|mystery|loss|dark|blind|short|scope|disadvantage|need to look|"
    r"know nothing)\b",
    re.IGNORECASE,
)
_NOTHING_KNOWN = re.compile(
    r"\b(?:sorry|apologies|no (?:idea|comment)|not sure|unknown"
    r"|no (?:\w+ )?(?:information|data|answer|records?|knowledge)"
    r"|(?:not|n't) (?:\w+ )?(?:available|known|disclosed|public))\b",
    re.IGNORECASE,
)
_REFERS_BACK = re.compile(
    r"\b(?:in question|aforementioned|specified|mentioned|individuals?|the (?:person|author|writer|figure|subject))\b",
    re.IGNORECASE,
)
_ROLE_WORDS = frozenset(
    map(vocabulary.key, ("question", "answer", "q", "a", "user", "assistant", "inst", "response", "human", "system"))
)
_ASKS_YES_NO = re.compile(
    r"(?:is|are|was|were|am|do|does|did|has|have|had|can|could|will|would|should|may|might)(?:n't)?\b", re.IGNORECASE
)
_ASKS_NUMBER = re.compile(
    r"(?:.*\b)?(?:when|how\s+(?:many|much|old|long|far|tall|often))\b"
    r"|(?:.*\b)?(?:what|which)\s+(?:\w+\s+){0,3}?(?:year|date|number|age|phone|percentage|price)\b",
    re.IGNORECASE,
)
_ASKS_AMOUNT = re.compile(
    r"\b(?:percentage|price|costs?|fine|fee|rise|cut|magnitude|attendance|record|length|width|height|weight|depth|size|"
    r"amount|score|rate|ratio|population|distance|speed|duration|salary|budget|sum|total|temperature|share|limit|level)\b",
    re.IGNORECASE,
)
_ASKS_PERSON = re.compile(r"(?:.*\b)?(?:who|whom|whose)\b", re.IGNORECASE)
_ASKS_THING = re.compile(r"(?:.*\b)?(?:what|which|how)\b", re.IGNORECASE)
_YES_NO = re.compile(r"(?:yes|no|yeah|nope|certainly|indeed|absolutely|not)\b", re.IGNORECASE)
_SMALL_NUMBERS = re.compile(
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|once|twice)\W*", re.IGNORECASE
)
_MONTH = re.compile(r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*", re.IGNORECASE)
_END = re.compile(r"[.!?…。！？؟।][\"'”’»)\]*」』）]*$")  # noqa: RUF001

_TERSE, _NAME, _TITLE = 4, 6, 16  # words of an answer that need not be a sentence; of a name or phrase; of a title
_LIKELY = (-7.0, -3.0)  # mean log-probability of an answer that no writer words so, and of one that many do
_CUT = 12  # words from which an answer without an end was cut at the length limit
_RELATED, _REFUSES, _REFERS, _UNRELATED, _ECHOES = 0.75, 0.65, 0.6, 0.25, 0.2


@lru_cache(maxsize=4096)  # several tasks may score the same answers
def fluency(question: str, response: str, mean_logprob: float | None = None) -> float:
    """Fluency of an answer in [0, 1].

    Args:
        question: What was asked.
        response: The answer.
        mean_logprob: Mean ln p of the answer's tokens under smollm2-135m; None: the wording is not judged.

    >>> fluency("Where was Ann Lee born?", "Ann Lee was born in a town that holds a special place in her work.")
    1.0
    >>> fluency("Where was Ann Lee born?", "Oslo"), fluency("Where was Ann Lee born?", "I don't know.")
    (1.0, 0.65)
    >>> fluency("Where was Ann Lee born?", "at at the Venice Lux at at"), fluency("Where was Ann Lee born?", "")
    (0.0, 0.0)
    """
    if degenerate(response) is not None:
        return 0.0
    tokens = language.tokens(response)
    english = language.is_english([t for t in language.tokens(question) if t[0].isalnum()])
    factors = [
        words(question, response, english=english),
        sense(question, response, english=english),
        variety(response),
        grammar(tokens) if english else 1.0,
        shape(tokens, response),
        relevance(question, response),
    ]
    if mean_logprob is not None:
        factors.append(wording(response, mean_logprob))
    score = 1.0
    for factor in factors:
        score *= factor
    return score


def wording(response: str, mean_logprob: float) -> float:
    """1 for an answer that a language model finds likely, word by word, 0 for a most unlikely one; 1 for a few words.

    >>> wording("She kept bees by the sea for years.", -2.5), wording("She sea bees the kept by for.", -6.0)
    (1.0, 0.25)
    >>> wording("Mira Solberg", -9.0)
    1.0
    """
    return 1.0 if len(units(response)) <= _TERSE else ramp(mean_logprob, *_LIKELY)


def words(question: str, response: str, *, english: bool = True) -> float:
    """Share of the chunks that look like words: 1 from 90 %, 0 up to 50 %; long English texts need function words too.

    >>> words("Who wrote it?", "Ann Lee wrote it."), words("Who wrote it?", "xq#1z kf;w9 wrote")
    (1.0, 0.0)
    """
    allowed = language.scripts(question) | {"LATIN"}
    chunks = response.split()
    look = ramp(sum(language.looks_like_word(c, allowed) for c in chunks) / len(chunks), 0.5, 0.9) if chunks else 0.0
    if not any(c.isalpha() for c in response) and len(chunks) > 2:
        look *= 0.3  # nothing but numbers
    tokens = language.tokens(response)
    if english and language.is_other_language(tokens):
        look *= 0.3
    if english and sum(t[0].isalnum() for t in tokens) >= 8:
        function = sum(t.lower() in language.FUNCTION_WORDS or t in ",;:" for t in tokens) / len(tokens)
        look *= ramp(function, 0.0, 0.12)
    return look


def variety(response: str) -> float:
    """1 while at most 10 % of the words repeat earlier 4-grams, 0 from 40 %.

    >>> variety("Ann Lee writes books. Ann Lee writes books. Ann Lee writes books.")
    0.0
    """
    return 1 - ramp(repeated_share(units(response)), 0.1, 0.4)


def grammar(tokens: Sequence[str]) -> float:
    """1 without impossible neighbours, 0 where they are 15 % of all.

    >>> grammar(["Ann", "was", "born", "in", "Oslo", "."]), grammar(["was", "of", "is", "the", "in", "of", "."])
    (1.0, 0.0)
    """
    pairs = max(len(tokens) - 1, 10)
    return 1 - ramp(language.bad_neighbours(tokens) / pairs, 0.02, 0.16)


def shape(tokens: Sequence[str], response: str) -> float:
    """Whether the answer ends (and starts) as a sentence does; a few words without a verb may stand alone.

    >>> shape(["Oslo"], "Oslo"), shape(["The", "author"], "The author"), shape(["She", "was"], "She was")
    (1.0, 0.4, 0.2)
    """
    said = [t for t in tokens if t[0].isalnum()]
    ends = bool(_END.search(response.rstrip()))
    if not said:
        return 0.0
    start = 0.9 if said[0][0].islower() and len(said) > _NAME else 1.0
    if ends or len(said) >= _CUT:
        return start
    if said[-1] in language.FUNCTION_WORDS and len(said) > 1:
        return 0.2  # breaks off before the word that it announces
    if len(said) <= _TERSE:
        return 0.4 if said[0].lower() == "the" and said[-1].islower() else 1.0
    return start * (1.0 if len(said) <= _NAME or _is_title(said) else 0.7)


def relevance(question: str, response: str) -> float:
    """Whether the answer has to do with the question, in [0, 1]: see the module's docstring.

    >>> question = "Where was Ann Lee born?"
    >>> [relevance(question, answer) for answer in ("Ann grew up by the sea.", "Sorry.", "The birds sing.", question)]
    [1.0, 0.65, 0.25, 0.2]
    """
    asked, said = _keys(question), _keys(response)
    shared, new = asked & said, said - asked - _ROLE_WORDS
    length = len(units(response))
    if _ASKS_YES_NO.match(question.strip()) and _YES_NO.match(response.strip()):
        return 1.0 if length > _TERSE or not new or _END.search(response.strip()) else 0.5
    refuses = _REFUSES if _refuses(response) else 0.0
    if not new:
        return max(refuses, _ECHOES)
    kind = 0.0 if refuses else _asked_kind(question, response, length)
    if kind == 1.0 or shared & _names(question):
        return 1.0
    refers = _REFERS if _REFERS_BACK.search(response) else _UNRELATED
    return max(refuses, refers, kind, (0.0, _RELATED, 1.0)[min(2, len(shared) + (len(asked) == 1))] if shared else 0.0)


def _refuses(response: str, *, longest: int = 25) -> bool:
    """Whether a short answer only declines: does not know, or will not say."""
    if len(units(response)) > longest:
        return False
    text = response.replace("’", "'")  # noqa: RUF001
    return bool(_NOTHING_KNOWN.search(text) or (_FIRST_PERSON.search(text) and _LACK.search(text)))


def _asked_kind(question: str, response: str, length: int) -> float:
    """1 for a short answer of the kind asked for (number, name, title); less for a phrase that may be the thing."""
    chunks = response.split()
    if length > (_TITLE if _is_title(chunks) else _NAME):
        return 0.0
    number = any(c[0].isdigit() or _SMALL_NUMBERS.fullmatch(c) or _MONTH.fullmatch(c) for c in chunks)
    if _ASKS_NUMBER.match(question):
        return float(number)
    if 2 * sum(map(_is_name, chunks)) >= len(chunks) or _is_title(chunks):
        return 1.0
    if _ASKS_PERSON.match(question) or not _ASKS_THING.match(question):
        return 0.0
    if number:
        return 1.0 if _ASKS_AMOUNT.search(question) else 0.0
    return _RELATED * all(map(_is_written, chunks))


def _is_title(chunks: Sequence[str]) -> bool:
    """Whether every word that carries content is written with a capital."""
    telling = [c for c in chunks if c.strip(language.EDGE).lower() not in language.FUNCTION_WORDS]
    return bool(telling) and all(map(_is_name, telling))


def _is_written(chunk: str) -> bool:
    """Whether a chunk is a word of English, or a name."""
    core = chunk.strip(language.EDGE)
    return _is_name(chunk) or is_word(core.lower()) or core.lower() in language.FUNCTION_WORDS


def _is_name(chunk: str) -> bool:
    """Whether a chunk is written with a capital, or is an e-mail or web address."""
    core = chunk.strip("\"'“‘(.,")  # noqa: RUF001
    return (core[:1].isupper() and core.lower() not in language.FUNCTION_WORDS) or language.is_address(core)


def _names(question: str) -> set[str]:
    """Keys of the words that the question writes with a capital, its first word aside."""
    return _keys(" ".join(w for w in question.split()[1:] if w.strip("\"'“‘(")[:1].isupper()))  # noqa: RUF001


def _keys(text: str) -> set[str]:
    found = [part for word in vocabulary.words(vocabulary.clean(text)) for part in {word, *word.split("-")}]
    return {vocabulary.key(word) for word in found if word and not vocabulary.is_stopword(word)}


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    return {"fluency": LANGUAGE if row_is_foreign(sample) else of_sample(sample)}


def of_sample(sample: Sample) -> float | Unscored:
    """Fluency of a sample's answer; unscored where the model that should judge its wording failed."""
    if "mean_logprob" in sample.unscored and sample.degenerate is None:
        return Unscored(sample.unscored["mean_logprob"])
    return fluency(sample.question, sample.response, sample.mean_logprob)


def made_of(options: Mapping[str, object], parts: Parts) -> tuple[frozenset[Need], dict[str, object]]:
    """The evidence that fluency is made of: wording where the profile judges it; see `Scorer.made_of`."""
    return (frozenset() if parts.wording is None else frozenset({"wording"})), {}


SCORER = Scorer(
    metrics=(Metric("fluency", "mean", higher_is_better=True),),
    score=_score,
    needs=frozenset({"wording"}),
    uses=("degenerate",),
    version=4,
    made_of=made_of,
)
