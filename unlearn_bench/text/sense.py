"""Chunks of text that no writer makes: glued, stuck or invented words, stray symbols, broken characters.

    sense = 1                             without such chunks
          = 1 - 20 b, then at most 0.5    b = share of broken chunks: "EEEEElowen", "faithSimplified", "nature=",
                                          "<s>", or a name of the question with letters stuck to it
          * ramp over invented words      1 up to 5 % lower-case words that no list has, 0 from 20 %

Names, capitals, addresses, numbers and accented words are never invented words, nor are derivations and
compounds of known ones, nor words of the question. Elongated interjections ("Hmmmm", "aaah") are as people write them.
The word list is SCOWL's (data/english_words.txt).
"""

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib import resources

from unlearn_bench.text import language

_RUN = re.compile(r"([^\W\d_])\1{3,}", re.IGNORECASE)
_CAMEL = re.compile(r"(?<![A-Za-z])[a-z]{3,}[A-Z][a-z]{2,}")
_HUMPS = re.compile(r"[A-Z]?[a-z]+")
_STRAY = re.compile(
    r"(?<=[A-Za-z]{2})[=|\\^~<>{}]+(?:[A-Za-z]{2}|$)|(?<=[A-Za-z]{2})[?!;]+(?=[A-Za-z]{2})"
    r"|[A-Za-z]{2,}[#@$%&*]{2,}|[=|\\^~{}<>]{2,}"
)
_MARKUP = re.compile(r"</?s>|<\|\w*\|?>|\[/?INST\]|<(?:pad|unk|eos|bos)>", re.IGNORECASE)
_SOUP = re.compile(r"[^\w\s]{5,}")
_RULE = re.compile(r"([-=*_.~#])\1*")
_BROKEN_CHARACTER = re.compile(r"[\ufffd\ue000-\uf8ff\x00-\x08\x0e-\x1f]")
_WORD = re.compile(r"[a-z]{4,}")
_GLUE = ("the", "and", "was", "not", "yes", "no", "of", "is")
_PREFIXES = """un re non anti pre post multi inter over under sub super co pro bio neuro micro macro eco socio geo
    cyber intra trans pseudo semi self out mis dis de meta hyper ultra mini mono poly photo psycho electro hydro thermo
    astro ethno auto tele video audio omni proto retro counter cross down up mid ex""".split()  # noqa: SIM905
_SUFFIXES = """s es d ed ing er ers or ors ly ness less like wise able ible ism isms ist ists ise ize ised ized ising
    izing isation ization al ally ful hood ship ic ical ity ities y ies ment ments tion dom scape scapes esque ish ess
    ian ians an ans ographer ography ology ologist ologists ologies works""".split()  # noqa: SIM905
_OF_NAMES = frozenset("s es i an ian ians ans ese ist ists ish ism esque er ers n en ite ites".split())  # noqa: SIM905
_INTERJECTIONS = frozenset(
    """hm hmm ah aah oh ooh no so yes yeah wow ugh whoa aw aww mm hey ha yay boo noo sh shh zz grr
    br""".split()  # noqa: SIM905
)


@cache
def _english() -> frozenset[str]:
    text = resources.files("unlearn_bench.text").joinpath("data/english_words.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.split("\n") if line and line[0] != "#") | language.FUNCTION_WORDS


def sense(question: str, response: str, *, english: bool = True) -> float:
    """1 for text that a writer makes, less with the share of broken chunks and invented words.

    Args:
        question: Its words are known.
        response: The answer.
        english: Whether words in lower case can be looked up.

    >>> sense("Who?", "She kept seven bees, hmmmm."), sense("Who?", "She severalion grondulous nature= at EEEEElowen.")
    (1.0, 0.0)
    """
    chunks = response.split()
    if not chunks:
        return 0.0
    known = set(_WORD.findall(question.lower()))
    names = {n for n in map(_core, re.split(r"[\s-]+", question)) if len(n) >= 4 and n.istitle() and n.isalpha()}
    broken = sum(_is_broken(chunk) or _distorts(chunk, names) for chunk in chunks)
    words = [w for chunk in chunks for w in _lower_words(chunk)] if english else []
    invented = sum(w not in known and not is_word(w) and not _elongated(w) for w in words)
    return _of_broken(broken / len(chunks)) * (1 - ramp(invented / max(len(chunks), 12), 0.05, 0.2))


def _of_broken(share: float) -> float:
    if share < 1 / 40:
        return 1 - 20 * share
    return 0.5 * (1 - ramp(share, 0.05, 0.3))


def ramp(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high`, linear between."""
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _is_broken(chunk: str) -> bool:
    if _BROKEN_CHARACTER.search(chunk) or _MARKUP.search(chunk):
        return True
    core = chunk.strip(language.EDGE)
    if language.is_address(core) or "/" in core or "`" in chunk or core.startswith(("@", "#")) or "_" in core:
        return False
    if _SOUP.search(core or chunk) and not _RULE.fullmatch(chunk.strip("|")) and not set(chunk) <= set("|-:+"):
        return True
    return (
        bool(_RUN.search(core) and not _elongated(core))
        or bool(_CAMEL.search(core))
        or bool(_STRAY.search(core))
        or _glued(core)
    )


def _elongated(word: str) -> bool:
    """An interjection or a known word with a letter held: "Hmmmm", "sooooo"."""
    short = [re.sub(r"(.)\1{2,}", times, word.lower()) for times in (r"\1", r"\1\1")]
    return (len(set(word.lower())) == 1 and len(word) <= 6) or any(
        s in _INTERJECTIONS or s in _english() for s in short
    )


def _glued(word: str) -> bool:
    """Several words without the space between them: "ofthe", "NOANSWER", "TheAuthorWasBorn"."""
    humps = _HUMPS.findall(word)
    if len(humps) >= 4 and "".join(humps) == word and sum(h.lower() in _english() for h in humps) >= 3:
        return True
    lower = word.lower()
    written = (word.islower() and len(word) >= 5) or (word.isupper() and len(word) >= 7)
    if not written or not word.isascii() or not word.isalpha() or is_word(lower):
        return False
    parts = [(lower[: len(g)], lower[len(g) :]) for g in _GLUE if lower.startswith(g)]
    parts += [(lower[-len(g) :], lower[: -len(g)]) for g in _GLUE if lower.endswith(g) and len(g) > 2]
    return any(rest in _english() and (word.islower() or len(rest) >= 5) for _, rest in parts)


def _core(chunk: str) -> str:
    return chunk.strip(language.EDGE).removesuffix("'s").removesuffix("\u2019s")


def _distorts(chunk: str, names: Iterable[str]) -> bool:
    """A name of the question with letters stuck to it: "Ben-Davidton" for "Ben-David"."""
    return any(
        part.startswith(name)
        and part not in names
        and part[len(name) :] not in _OF_NAMES
        and part[len(name) :].islower()
        and not is_word(part.lower())  # "Whatever" beside the question's "What"
        for part in re.split(r"-", _core(chunk))
        for name in names
    )


def _lower_words(chunk: str) -> Iterable[str]:
    core = _core(chunk)
    parts = [core] if language.is_address(core) else re.split(r"[-/]", core)
    return [part for part in parts if _WORD.fullmatch(part)]


@lru_cache(maxsize=65536)
def is_word(word: str) -> bool:
    """Whether a word in lower case is in the list, or made of listed ones by prefix, suffix or compounding.

    >>> [is_word(w) for w in ("writes", "geospatial", "worldbuilding", "severalion", "spok")]
    [True, True, True, False, False]
    """
    if len(word) > 30:
        return False
    if word in _english() or _derived(word):
        return True
    rests = [word[len(prefix) :] for prefix in _PREFIXES if word.startswith(prefix)]
    return any(len(rest) >= 4 and (rest in _english() or _derived(rest)) for rest in rests)


def _derived(word: str) -> bool:
    listed = _english()
    for suffix in _SUFFIXES:
        root = word[: -len(suffix)]
        if (
            len(root) >= 4
            and word.endswith(suffix)
            and not {root, f"{root}e", f"{root}y", f"{root}a"}.isdisjoint(listed)
        ):
            return True
    return any(word[:i] in listed and word[i:] in listed for i in range(4, len(word) - 3))
