"""Names that a reader can distinguish: visible, of one script, and unlike every other name on the board.

Two names look alike where their skeletons are equal (Unicode Technical Standard 39, section 4, with the confusables
that the package `confusable_homoglyphs` holds). The skeleton here also drops accents, case, and what parts words.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

MAX_NAME = 100
MAX_TITLE = 120
# Scripts that one word may mix, as Japanese, Korean and Chinese do.
_TOGETHER = (
    {"HAN", "HIRAGANA", "KATAKANA"},
    {"HAN", "HANGUL"},
    {"HAN", "BOPOMOFO"},
)
_OF_ANY_SCRIPT = frozenset({"COMMON", "INHERITED", "UNKNOWN"})
_BETWEEN = re.compile(r"[\s_,-]+")
_BLANK = "\u2800"  # BRAILLE PATTERN BLANK: a symbol by its category, and nothing to see


def problem(text: str, *, limit: int = MAX_NAME) -> str | None:
    """Why a text is not a name, or None: empty, long, padded, not NFC, with characters that hide, or of two scripts."""
    if not text.strip():
        return "is empty"
    if len(text) > limit:
        return f"is longer than {limit} characters"
    if text != " ".join(text.split()):
        return "is padded with spaces, or holds a space that is not the plain one"
    if unicodedata.normalize("NFC", text) != text:
        return "is not in Unicode's composed form (NFC)"
    return _unseen(text) or _mixed(text)


def _unseen(text: str) -> str | None:
    if text.isascii():
        return None if text.isprintable() else "holds a control character"
    import regex

    # Default ignorable: variation selectors, fillers, joiners. Cc to Zp: control, format, private, unassigned, breaks.
    found = regex.search(rf"[\p{{DI}}\p{{C}}\p{{Zl}}\p{{Zp}}{_BLANK}]", text)
    if found:
        return f"holds the invisible or control character U+{ord(found.group()):04X}"
    marks = regex.search(r"[\p{Latin}\p{Greek}\p{Cyrillic}\p{Common}]\p{M}", text)
    if marks:
        return f"holds the combining mark U+{ord(marks.group()[1]):04X} on a letter that has no such form"
    return None


def _mixed(text: str) -> str | None:
    if text.isascii():
        return None
    from confusable_homoglyphs import categories

    scripts = {categories.alias(character) for character in text} - _OF_ANY_SCRIPT
    if len(scripts) < 2 or any(scripts <= group for group in _TOGETHER):
        return None
    return f"mixes the scripts {', '.join(sorted(script.title() for script in scripts))}"


def looks(name: str) -> frozenset[str]:
    """How a name looks: two names that share a member look alike.

    >>> looks("nano-re\u217cearn") & looks("nano-relearn") != frozenset()
    True
    >>> looks("npo, seed 1") & looks("npo, seed 2")
    frozenset()
    """
    normal = unicodedata.normalize("NFKC", name)
    return frozenset(_skeleton(form) for form in (name, normal, normal.casefold()))


def alike(name: str, others: Iterable[str]) -> str | None:
    """The first of other names that looks like this one without being it, or None."""
    own = looks(name)
    return next((other for other in others if other != name and own & looks(other)), None)


@cache
def _skeleton(text: str) -> str:
    prototypes = {} if text.isascii() and not set(text) & set("Il1|0Om") else _prototypes()
    shown = "".join(prototypes.get(c, c) for c in unicodedata.normalize("NFD", text))
    seen = (c for c in unicodedata.normalize("NFD", shown) if not unicodedata.category(c).startswith("M"))
    return _BETWEEN.sub("-", "".join(c for c in seen if c.isspace() or not _is_unseen(c))).strip("-").casefold()


@cache
def _is_unseen(character: str) -> bool:
    return _unseen(character) is not None


@cache
def _prototypes() -> dict[str, str]:
    """Every confusable character, and what all that look like it become.

    The package lists pairs in both directions; the members of a connected group look alike. A group's prototype is
    its text of several letters ("rn" for m), else an ASCII letter (l for 1 and I, O for 0).
    """
    from confusable_homoglyphs.confusables import confusables_data

    def clean(text: str) -> str:
        return text.strip("\u200e\u200f")

    leader: dict[str, str] = {}

    def lead(text: str) -> str:
        while leader.setdefault(text, text) != text:
            text = leader[text]
        return text

    for key, listed in confusables_data.items():
        for other in listed:
            ends = lead(clean(key)), lead(clean(other["c"]))
            leader[max(ends, key=_order)] = min(ends, key=_order)
    return {text: lead(text) for text in leader if len(text) == 1}


def _order(text: str) -> tuple[bool, bool, str]:
    return len(text) < 2, not text.isascii(), not text.islower(), not text.isalpha(), text
