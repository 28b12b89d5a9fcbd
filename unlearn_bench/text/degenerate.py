"""When an answer is not language, for any question: the flags `empty` and `degenerate`.

    empty          no visible character (white space, control and zero-width characters do not count)
    no_words       no letter and no digit
    unreadable     more than 30 % replacement, private-use or control characters
    single_token   one word, three times or more, and nothing else (in an endless word: one letter)
    repetition     more than half of the answer repeats earlier word 4-grams, or one character over and over

The rules look at one answer alone and hold for every script: a word is a run of letters or digits, a character in
scripts that are written without spaces. Short answers ("Paris.", "1945", "No.") are not degenerate, nor is an answer in
another language: whether it fits the question is for `fluency`. An empty answer is degenerate too, with the reason
"empty".
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby

# CJK, kana, Thai, Lao, Burmese, Khmer: no spaces between words, so that a character is the unit.
_UNIT = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_\u0e00-\u9fff]+"
)
VERSION = 1  # raise it with any change that moves a flag: see evidence/versions.py
_INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp", "Cn"})
_UNREADABLE = frozenset({"Cc", "Co", "Cn", "Cs"})


def is_empty(text: str) -> bool:
    r"""Whether a text has no visible character.

    >>> is_empty(" \n\u200b"), is_empty(".")
    (True, False)
    """
    return not text.strip() or all(unicodedata.category(c) in _INVISIBLE for c in text)


@lru_cache(maxsize=4096)  # asked by several scorers and tasks of the same answers
def degenerate(text: str, *, repeated: float = 0.5, unreadable: float = 0.3) -> str | None:
    """Why a text is not language, or None.

    >>> degenerate("at at at at"), degenerate("?!?!"), degenerate("Paris."), degenerate("他出生在北京。")
    ('single_token', 'no_words', None, None)
    """
    if is_empty(text):
        return "empty"
    visible = [c for c in text if not c.isspace()]
    if sum(map(_is_unreadable, visible)) > unreadable * len(visible):
        return "unreadable"
    tokens = units(text)
    if not tokens:
        return "no_words"
    if len(tokens) >= 3 and len(set(tokens)) == 1:
        return "single_token"
    if _one_character(visible) or repeated_share(tokens) > repeated:
        return "repetition"
    return None


def units(text: str) -> list[str]:
    """The words of a text in lower case; characters, where a script has no spaces or the text is one endless word.

    >>> units("Born in 1990, 北京")
    ['born', 'in', '1990', '北', '京']
    """
    tokens = _UNIT.findall(text.casefold())
    if tokens and sum(map(len, tokens)) > 25 * len(tokens):
        return [c for token in tokens for c in token]
    return tokens


def repeated_share(tokens: Sequence[str], *, n: int = 4) -> float:
    """Share of the tokens that lie in an n-gram which occurred before.

    >>> repeated_share("a b c d a b c d".split()), repeated_share("a b c d e f".split())
    (0.5, 0.0)
    """
    seen: set[tuple[str, ...]] = set()
    covered = until = 0
    for i in range(len(tokens) - n + 1):
        gram = tuple(tokens[i : i + n])
        if gram in seen:
            covered += i + n - max(until, i)
            until = i + n
        seen.add(gram)
    return covered / len(tokens) if tokens else 0.0


def _one_character(visible: Sequence[str], *, longest: int = 12) -> bool:
    """Whether one character's unbroken run makes up more than half of a text."""
    run = max(sum(1 for _ in group) for _, group in groupby(visible))
    return run > longest and run > len(visible) / 2


def _is_unreadable(character: str) -> bool:
    return character == "\ufffd" or unicodedata.category(character) in _UNREADABLE
