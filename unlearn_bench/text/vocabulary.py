"""Words, stems and concepts: what the offline parts share. No model, no download, no dependency.

    key(word) = concept of its stem in the lexicon, else the stem

The stemmer joins derivations of one root (culture, cultural, culturally), which an inflectional stemmer keeps apart.
The lexicon (data/lexicon.txt, written for this project) joins synonyms and names the words that carry no fact.
"""

# ruff: noqa: RUF001, RUF002, D301 (typographic characters are what this file handles)

import re
import unicodedata
from functools import cache, lru_cache
from importlib import resources
from typing import NamedTuple

from unlearn_bench.text import language

# A word: letters and digits, joined inside by ' - . & / only between word characters; a trailing + as in LGBTQ+.
WORD = re.compile(r"[^\W_]+(?:['.&-][^\W_]+)*\+?")
_APOSTROPHES = str.maketrans(
    {"’": "'", "‘": "'", "ʼ": "'", "`": "'", "–": "-", "—": " - ", "‐": "-", "‑": "-", "⁄": "/"}
)
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "″": '"', "\u2212": "-"})
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_INVISIBLE = re.compile(r"[\u200b\u200e\u200f\u202a-\u202e\u2060\ufeff]")
_FRACTION = re.compile(r"(?<=\d)[\u00bc-\u00be\u2150-\u215e]")
# Scripts written without spaces, where a run of letters is a sentence and not a word.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1780-\u17ff\u1000-\u109f]+")

STOPWORDS = language.FUNCTION_WORDS | frozenset(
    """above again although another around below doing down due either else especially etc even ever further
    furthermore having hence hers herself himself however indeed itself largely less let moreover mostly much myself
    neither now off often once ones onto others otherwise ought ours ourselves per quite rather since still theirs
    themselves thereby therefore though throughout thus too toward towards via whereas whether yet yours yourself
    yourselves yes never none cannot dont doesnt didnt isnt wasnt arent werent wont wouldnt couldnt shouldnt hasnt
    havent hadnt cant mr mrs ms dr sir additionally alongside amid amongst apart aside beside besides beyond despite
    namely regarding whilst certainly absolutely definitely sure course well one's it's he's she's that's there's
    they're always sometimes usually typically generally frequently commonly primarily mainly predominantly
    particularly currently recently personally professionally eventually initially finally later earlier soon ago
    already almost several many various numerous few lot lots multiple different certain able get got make made
    makes making take took taken give given gives giving go goes went come comes came become became becomes put say
    says said see seen use used uses using way ways thing things something someone anything everyone people person
    part parts kind kinds sort type types aspect aspects element elements example examples term terms case cases
    fact facts number set range variety""".split()  # noqa: SIM905
)


# Last words of names of a kind: two prizes or universities differ in the rest of the name.
NAME_HEADS = frozenset(
    """award awards prize medal honor honour fellowship university college institute academy school hospital street
    avenue
    road village company foundation museum library society association""".split()  # noqa: SIM905
)
# Not adverbs, though they end so.
_LY_WORDS = frozenset(
    """family italy ally reply supply assembly anomaly butterfly monopoly bully jelly belly lily july friendly elderly
    deadly
    early daily weekly monthly yearly only lovely lonely holy ugly costly scholarly motherly fatherly fly rely apply
    comply
    imply multiply monthly orderly emily sally billy kelly molly polly holly""".split()  # noqa: SIM905
)


class Lexicon(NamedTuple):
    """data/lexicon.txt, read once. Keys are stems.

    Attributes:
        concept: Stem to the name of its group of synonyms.
        vague: Stems of words that frame or praise and carry no fact.
        exclusive: Word (also its plural) to the class whose members exclude one another in the same slot (occupations,
        months, …).
        antonyms: Stem to the stems that contradict it.
    """

    concept: dict[str, str]
    vague: frozenset[str]
    exclusive: dict[str, str]
    antonyms: dict[str, frozenset[str]]


def clean(text: str) -> str:
    """Normalise what differs between keyboards and not between meanings: width, quotes, dashes, control characters.

    >>> clean("Ann’s “A\\x00B”")
    'Ann\\'s "A B"'
    """
    if not text.isascii():
        text = _FRACTION.sub(r" \g<0>", text)
        text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).translate(_QUOTES))
    return _CONTROL.sub(" ", text)


def words(text: str) -> list[str]:
    """Split into words, in order; runs of scripts without spaces become character pairs.

    >>> words("Ann's co-author, e.g. 東京都")
    ["Ann's", 'co-author', 'e.g', '東京', '京都']
    """
    return [part for word in WORD.findall(text) for part in split_unspaced(word)]


def split_unspaced(word: str) -> list[str]:
    """Character pairs of a word in a script that is written without spaces, the word itself otherwise."""
    if word.isascii() or not _UNSPACED.fullmatch(word) or len(word) < 3:
        return [word]
    return [word[i : i + 2] for i in range(len(word) - 1)]


@lru_cache(maxsize=65536)
def fold(word: str) -> str:
    """Lower-case, without accents, without the possessive.

    >>> fold("José's")
    'jose'
    """
    word = word.casefold()
    if not word.isascii():
        word = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
    if word.endswith("'s"):
        return word[:-2]
    return word.rstrip("'")


# Written without a final e or y, which is cut first. Two-letter suffixes that also end roots need a longer one to stay.
_SUFFIXES = tuple(
    sorted(
        """isation ization ation ition ution ion ical ic ial al anc enc ant ent abl ibl abilit ibilit ful less ness
        ment er or ar ist istic
        ism it at ous iv ativ iz is if ian ean ship hood th ier iest est ator itor""".split(),  # noqa: SIM905
        key=len,
        reverse=True,
    )
)
_LONGER_ROOT = frozenset("it at is if ar th est or ent ian ean er al".split())  # noqa: SIM905
_VOWELS = frozenset("aeiouy")


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Root of a word: a light derivational stemmer for English; other words stay as they are, folded.

    >>> stem("cultural") == stem("cultures") == stem("culture")
    True
    >>> stem("1997"), stem("Karachi's")
    ('1997', 'karachi')
    """
    word = fold(word)
    if len(word) <= 3 or len(word) > 40 or not word.isascii() or not word.isalpha():
        return word
    if word in _irregular():
        return _irregular()[word]
    root = _uninflect(word)
    while (shorter := _cut(root)) != root:
        root = shorter
    return root


def _uninflect(word: str) -> str:
    for ending, least in (
        ("ingly", 4),
        ("edly", 4),
        ("ally", 4),
        ("ies", 2),
        ("ied", 2),
        ("ing", 3),
        ("ly", 4),
        ("ed", 3),
    ):
        if word.endswith(ending) and len(word) - len(ending) >= least and _has_vowel(word[: -len(ending)]):
            word = word[: -len(ending)]
            break
    else:
        if word.endswith("s") and word[-2] not in "siu":
            word = word[:-1]
    return _trim(word)


def _trim(word: str) -> str:
    if len(word) > 3 and word[-1] in "ey":
        word = word[:-1]
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeious":
        word = word[:-1]
    return word


def _cut(word: str) -> str:
    for suffix in _SUFFIXES:
        root = word[: -len(suffix)]
        if word.endswith(suffix) and len(root) >= (5 if suffix in _LONGER_ROOT else 4) and _has_vowel(root):
            return _trim(root)
    return word


def _has_vowel(text: str) -> bool:
    return not _VOWELS.isdisjoint(text)


@cache
def _sections() -> dict[str, list[list[str]]]:
    text = resources.files("unlearn_bench.text").joinpath("data/lexicon.txt").read_text(encoding="utf-8")
    sections: dict[str, list[list[str]]] = {}
    current: list[list[str]] = []
    for line in text.splitlines():
        line = line.split("#", 1)[0].strip()
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), [])
        elif line:
            current.append(line.split())
    return sections


@cache
def _irregular() -> dict[str, str]:
    return {form: line[0] for line in _sections()["irregular"] for form in line}


@cache
def lexicon() -> Lexicon:
    """Read the lexicon and stem its words."""
    sections = _sections()
    concept: dict[str, str] = {}
    for line in sections["synonyms"]:
        for word in line:
            concept.setdefault(stem(word), "~" + line[0])
    antonyms: dict[str, set[str]] = {}
    for left, right in (line for line in sections["antonyms"]):
        for a, b in ((left, right), (right, left)):
            antonyms.setdefault(key_in(concept, a), set()).add(key_in(concept, b))
    exclusive = {word + end: line[0] for line in sections["exclusive"] for word in line[1:] for end in ("", "s")}
    vague = frozenset(stem(word) for line in sections["vague"] for word in line)
    return Lexicon(concept, vague, exclusive, {k: frozenset(v) for k, v in antonyms.items()})


def key_in(concept: dict[str, str], word: str) -> str:
    """Concept of a word under `concept`, else its stem."""
    root = stem(word)
    return concept.get(root, root)


def key(word: str) -> str:
    """What two words must share to say the same thing: the concept, else the stem.

    >>> key("authored") == key("penned")
    True
    """
    return key_in(lexicon().concept, word)


def is_vague(word: str) -> bool:
    """Whether a word frames, praises or grades without stating a fact ("renowned", "showcases", "deeply")."""
    folded = fold(word)
    return stem(word) in lexicon().vague or (folded.endswith("ly") and len(folded) > 4 and folded not in _LY_WORDS)


@lru_cache(maxsize=65536)
def is_stopword(word: str) -> bool:
    """Whether a word has a grammatical function only."""
    return fold(word) in STOPWORDS


def is_common(word: str) -> bool:
    """Whether a word is one of the lexicon's, so that its capital at the start of a sentence says nothing."""
    root, known = stem(word), lexicon()
    return (
        root in known.vague
        or root in known.concept
        or fold(word) in known.exclusive
        or root in _roots_irregular()
        or is_stopword(word)
    )


@cache
def _roots_irregular() -> frozenset[str]:
    return frozenset(_irregular().values())
