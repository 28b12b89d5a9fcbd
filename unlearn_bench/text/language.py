"""What `fluency` knows about language: scripts, the look of a word, English function words and their neighbours.

Nothing here is learned from data: the lists are the closed word classes of English grammar, and the forbidden
neighbours follow from them (an article is followed by its noun phrase, so not by "of", "is", "she" or a full stop).
Each rule has rare exceptions ("the city she was born in."), so that only their rate in a text means something.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

_ARTICLES = frozenset(("the", "a", "an", "its", "their", "our", "my", "your", "every"))
_POSSESSIVES = _ARTICLES | {"his", "her", "this", "these", "those"}
_PREPOSITIONS = frozenset(("of", "in", "on", "at", "from", "with", "for", "by", "into", "about", "between", "during"))
_BE = frozenset(("is", "are", "was", "were", "am"))
_FINITE = _BE | {"has", "have", "had", "does", "did", "do"}
_MODALS = frozenset(("will", "would", "can", "could", "should", "may", "might", "must", "shall"))
_SUBJECTS = frozenset(("he", "she", "they", "we", "i"))
_AND = frozenset(("and", "or", "but", "nor"))
_OTHERS = frozenset(
    """to as that which who whom whose what when where why how it be been being not no if than then so such
    there here also both more most other some any all each one him them us me you over under after before
    through while like because until within without among against upon only own same very just up out""".split()  # noqa: SIM905
)
FUNCTION_WORDS = _POSSESSIVES | _PREPOSITIONS | _FINITE | _MODALS | _SUBJECTS | _AND | _OTHERS

# Frequent words of German, Spanish, French, Italian, Portuguese and Dutch that are no English words.
_FOREIGN = frozenset(
    """der das und ist nicht wurde einer eine einem ein auf mit von zu dem den im hat sie sich el los las una por con
    que fue en su del es para y le les des et est dans une pour avec qui sur il di che della nel per sono era
    da os em um uma foi com não het een van op dat zijn aan bij""".split()  # noqa: SIM905
)
_SHARED_WITH_ENGLISH = frozenset(
    ("in", "am", "a", "an", "on", "no", "so", "me", "do", "as", "is", "was", "he", "i", "over")
)

# A word, then what rarely follows it. "." is the end of a sentence or clause.
_OPENERS = _PREPOSITIONS | _FINITE | _AND | {"to", "."}
_FORBIDDEN: dict[str, frozenset[str]] = {
    **dict.fromkeys(_PREPOSITIONS, _FINITE | _AND | _SUBJECTS | {"of"}),  # "born in." may end a sentence
    **dict.fromkeys(("into", "during", "between"), _FINITE | _AND | _SUBJECTS | {"of", "."}),
    "of": _FINITE | _AND | _SUBJECTS | _PREPOSITIONS | {"to", "."},
    "to": _BE | _AND | _PREPOSITIONS | _SUBJECTS | {"has", "had", "did", "does", "to", "."},
    **dict.fromkeys(_ARTICLES, _OPENERS | _POSSESSIVES | _SUBJECTS),
    "his": _OPENERS | _ARTICLES | _SUBJECTS - {"."},
    "her": _BE | _ARTICLES | {"of", "has", "had"},
    **dict.fromkeys(_SUBJECTS, _POSSESSIVES | _SUBJECTS | (_PREPOSITIONS - {"about"}) | {"."}),
    **dict.fromkeys(_AND, _AND | {"."}),
    **dict.fromkeys(_BE, _FINITE | _SUBJECTS | _MODALS),
    **dict.fromkeys(("has", "have", "had"), _BE | _SUBJECTS | _MODALS | _AND | {"do", "does", "did"}),
    **dict.fromkeys(_MODALS, _FINITE - {"have", "do"} | _MODALS | _PREPOSITIONS | _POSSESSIVES | {"to"}),
}
_DOUBLED = frozenset(("had", "that", "very", "so", "many", "long", "no", "ha", "bye", "yes"))  # may be said twice

# Abbreviations keep their full stop, which ends no sentence; then words, then single marks.
_TOKEN = re.compile(
    r"(?:Mr|Mrs|Ms|Dr|St|Jr|Sr|Prof|Ph\.D|vs|etc|No|Inc|Ltd|Co)\.|\b(?:[^\W\d_]\.)+(?!\w)|[^\W_]+(?:['’.&/@:-][^\W_]+)*|[^\w\s]"  # noqa: RUF001
)
EDGE = "\"'`“”‘’«»()[]{}<>*_~#.,;:!?…—–-/\\|。！？，、；：「」『』（）"  # noqa: RUF001
_NUMBER = re.compile(r"[$€£#+-]?\d+(?:[.,:/-]\d+)*(?:%|st|nd|rd|th|s|km|m|kg|cm)?", re.IGNORECASE)
_ADDRESS = re.compile(r"\S+@\S+\.\w{2,}|(?:https?://|www\.)\S+|\w+\.(?:com|org|net|edu)\S*", re.IGNORECASE)
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{6,}")
_VOWEL = re.compile(r"[aeiouy]")
_WITHOUT_VOWEL = frozenset("mr mrs dr st ms jr sr vs ph th nd rd s t m d ll bc km cm mm kg ft mph pm tv pc hmm".split())  # noqa: SIM905
_UNLIKELY = re.compile(r"(.)\1\1|q[^ua]|[jqvwx]{2}|[jq][bcdfghjklmnpqstvwxz]|[bcdfgjkmpqtvz]x|vb|wq|zx|fq|hx|jx")


def tokens(text: str) -> list[str]:
    """Words and punctuation marks, in order.

    >>> tokens("Ann's books, e.g. two.")
    ["Ann's", 'books', ',', 'e.g.', 'two', '.']
    """
    return _TOKEN.findall(text)


@lru_cache(maxsize=4096)
def script(character: str) -> str | None:
    """Script of a letter ("LATIN", "CYRILLIC", "CJK", …); None for anything else.

    >>> script("é"), script("Ж"), script("7")
    ('LATIN', 'CYRILLIC', None)
    """
    if not character.isalpha():
        return None
    name = unicodedata.name(character, "UNKNOWN").split(" ")[0].split("-")[0]
    return "CJK" if name in ("HIRAGANA", "KATAKANA", "HANGUL", "CJK") else name


def scripts(text: str) -> set[str]:
    """Scripts of a text's letters."""
    return {name for c in set(text) if (name := script(c))}


def is_english(words: Sequence[str], *, share: float = 0.2) -> bool:
    """Whether enough of the words are English function words.

    >>> is_english(["where", "was", "ann", "lee", "born"]), is_english(["wo", "wurde", "ann", "lee", "geboren"])
    (True, False)
    """
    return sum(w.lower() in FUNCTION_WORDS for w in words) >= max(1, share * len(words))


def is_other_language(words: Sequence[str]) -> bool:
    """Whether lower-case words of other European languages outnumber the English function words.

    >>> is_other_language("Sie ist in einer Stadt am Meer geboren".split())
    True
    >>> is_other_language("She was born in San Juan de los Lagos".split())
    False
    """
    foreign = sum(w in _FOREIGN for w in words)
    return foreign >= 2 and foreign > sum(w.lower() in FUNCTION_WORDS - _SHARED_WITH_ENGLISH for w in words)


def looks_like_word(chunk: str, allowed: set[str]) -> bool:
    """Whether a run of visible characters looks like a word, number or address in one of the allowed scripts.

    >>> [looks_like_word(c, {"LATIN"}) for c in ("Yun-Hwa,", "12/05/1991", "x9#kq!z", "bcdfgh", "Москва")]
    [True, True, False, False, False]
    """
    core = chunk.strip(EDGE)
    if not core:
        return len(chunk) <= 3  # punctuation between spaces
    if _NUMBER.fullmatch(core) or _ADDRESS.fullmatch(core):
        return True
    parts = re.split(r"['’.&/,:;+…—–-]+", core)  # noqa: RUF001
    return (len(core) <= 60 or not core.isascii()) and all(_plausible(part, allowed) for part in parts if part)


def _plausible(part: str, allowed: set[str]) -> bool:
    if part.isdigit():
        return True
    if not part.isalpha():  # letters with marks of other scripts are letters too
        letters = [c for c in part if not unicodedata.category(c).startswith("M")]
        if not all(c.isalpha() for c in letters):
            return bool(re.fullmatch(r"[A-Za-z]{1,4}\d{1,4}|\d{1,4}[A-Za-z]{1,3}", part))
    if not scripts(part) <= allowed:
        return False
    if not part.isascii() or scripts(part) != {"LATIN"}:
        return True
    if part.isupper() and len(part) <= 6:
        return True
    word = part.lower()
    return (
        len(word) <= 24 and bool(_VOWEL.search(word)) and not _CONSONANTS.search(word) and not _UNLIKELY.search(word)
    ) or word in _WITHOUT_VOWEL


def is_address(word: str) -> bool:
    """Whether a word is an e-mail or web address.

    >>> is_address("ann.lee@example.com"), is_address("Ann")
    (True, False)
    """
    return bool(_ADDRESS.fullmatch(word))


def bad_neighbours(words: Sequence[str]) -> int:
    """How many adjacent tokens can hardly stand side by side in English.

    >>> bad_neighbours(tokens("Born in the of. is Ann")), bad_neighbours(tokens("Ann was born in the city."))
    (3, 0)
    """
    return sum(_bad(a, b) for a, b in pairwise(words))


def _bad(first: str, second: str) -> bool:
    a = first.lower()
    if second in ".,;!?":
        return "." in _FORBIDDEN.get(a, ())
    if first in ".!?":
        return second[0].islower() and second.isalpha() and len(second) > 1
    if a == second.lower() and a not in _DOUBLED and a.isalpha():
        return True
    return second.islower() and second in _FORBIDDEN.get(a, ())
