"""Untrusted text in another format: each writer of the leaderboard passes every text through one of these once.

HTML is escaped by Jinja and markupsafe; here are Markdown, CSV, LaTeX, and the lines of a terminal or a CI log.
"""

import re
import unicodedata

from unlearn_bench.untrusted.strings import shown

_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*{}[]<>|~$"} | {"&": "&amp;"})
_LONE_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")  # inside a word it is not markup
_OPENING = re.compile(r"^(\s*\d*)([#+\-=.)])(?=[\s#=-])")  # begins a heading, list or rule
_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
    }
)
_FORMULA = frozenset("=+-@")


def markdown(text: str) -> str:
    r"""A text that no Markdown reader takes for markup or a formula, in a table cell or out of one.

    >>> markdown("<b>a|b</b> $x$")
    '\\<b\\>a\\|b\\</b\\> \\$x\\$'
    >>> markdown("nano_kfr")
    'nano_kfr'
    """
    escaped = _LONE_UNDERSCORE.sub(r"\\_", shown(text).translate(_MARKDOWN))
    return _OPENING.sub(r"\1\\\2", escaped)


def csv_text(text: str) -> str:
    """A text that no spreadsheet takes for a formula: one that begins like one gets an apostrophe in front.

    >>> csv_text("\uff1d1+1")
    "'\uff1d1+1"
    """
    first = unicodedata.normalize("NFKC", text).lstrip()[:1]
    return f"'{shown(text)}" if first in _FORMULA and first else shown(text)


def latex(text: str) -> str:
    r"""A text that LaTeX prints as it is.

    >>> latex("50% of $x_1$")
    '50\\% of \\$x\\_1\\$'
    """
    return shown(text).translate(_LATEX)


def line(text: str) -> str:
    r"""One line for a terminal or a CI log, which takes no part of it for a command.

    >>> line("::error::x\n")
    '\\::error::x\\n'
    """
    seen = shown(text).replace("##[", "##\\[")
    return f"\\{seen}" if seen.lstrip().startswith("::") else seen


def lines(text: str) -> str:
    """A text of several lines, each as `line` prints it."""
    return "\n".join(map(line, text.split("\n")))
