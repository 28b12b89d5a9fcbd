"""Where a generation goes on with another turn.

A turn begins at a special token of a chat template, at a role's name that is left of one ("…Norway.assistant"), or at a
header ("Question:", "User:", "### Instruction:") that stands at the start of a line or right after a sentence and is
followed by a request. "It raises one question: who …" is not such a header.
"""

# ruff: noqa: RUF001 (typographic characters are what this file handles)

import re
from collections.abc import Iterator

from unlearn_bench.text.answer._preamble import is_preamble

_ROLES = r"assistant|user|system|model|human"
_SPECIAL = re.compile(
    r"<\|/?(?:im_|eot|eom|end|start|user|system|assistant|human|observation|bos|eos|begin|return|call|message)[\w-]{0,40}\|>"
    r"|<(?:start|end)_of_turn>|<\|turn>|<turn\|>|\[/?INST\]|<</?SYS>>|</s>|<s>(?=\s*\[INST\])|<eos>|<\|?pad\|?>|\[(?:EOS|PAD)\]|<extra_id_\d+>|<reserved_\d+>|\[\|\w{1,20}\|\]|<\|fim_\w+\|>|<｜[^｜\n]{1,40}｜>",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"\s*(?:"
    r"(?:\*\*|\#{1,6}[ \t]*)?(?:Answer|A|Assistant|Response|Output)[ \t]*(?:\*\*)?:(?:\*\*)?\s*"
    r"|(?:<s>|<\|(?:im_start|start)\|>|<start_of_turn>|<\|start_header_id\|>|<\|assistant\|>|<｜Assistant｜>|\[/INST\])"
    r"(?:(?:assistant|model)\b)?(?:<\|end_header_id\|>|<\|message\|>)?\s*"
    r"|(?:assistant|model)\n+(?=\S))*",
    re.IGNORECASE,
)
# A role's name, left of a header whose special tokens were dropped: after a sentence, or glued to its last word.
_LEFT_ROLE = re.compile(
    rf"(?<=[.!?\"'”’)\]…。！？])(?:[ \t]*(?:{_ROLES})[ \t]*(?=\n|$)|(?:{_ROLES}):)"
    rf"|(?<=[^\W_])assistant(?=\n\n|$)|\n[ \t]*(?:{_ROLES})[ \t]*(?=\n)"
)
_HEADER = re.compile(
    r"(?P<before>\n[ \t]*|(?<=[.!?\"'”’)\]…])[ \t]*)(?P<mark>\#{1,6}[ \t]*|\*\*|\d{1,3}[.)][ \t]*)?"
    r"(?:(?P<question>Question|QUESTION|Q|Exercise|Problem)|(?P<user>User|USER|Human|HUMAN|Instruction|Student))"
    r"[ \t]*\d{0,3}[ \t]*(?:\*\*)?:(?:\*\*)?(?P<gap>\s*)",
)
_HEADING = re.compile(r"\n\#{1,6}[ \t]*(?:Instruction|User|Human|Input)s?[ \t]*\d{0,3}:?[ \t]*(?:\n|$)")
_ANSWER = re.compile(
    r"(?:\n|\?)\s*(?:\#{1,6}\s*|\*\*)?(?:Answer|ANSWER|A|Assistant|ASSISTANT|AI|Response|Output|Bot|Model|Solution)\s*\d{0,3}\s*(?:\*\*)?:"
)
_REQUEST = re.compile(
    r"(?:please|can|could|would|what|who|whom|whose|where|when|why|how|which|is|are|was|were|do|does|did|has|have|and|"
    r"write|describe|explain|tell|give|list|name|summari[sz]e|translate|compare|create|compose|generate|identify|find|"
    r"provide|make|rewrite|classify|discuss|thanks?|ok)\b",
    re.IGNORECASE,
)
_SENTENCE_END = (".", "!", "?", '"', "'", "”", "’", ")", "]", "…", "。", "！", "？")
_GOES_ON = (":", ",", ";", "–", "—")  # what follows belongs to the sentence
_QUOTES = ('"', "'", "”", "’")
_WINDOW = 2000  # characters read after a header


def strip_lead(text: str) -> str:
    """Take off a role marker or "Answer:" at the start, and white space at both ends."""
    return text[_LEAD.match(text).end() :].strip()


def next_turn(text: str) -> int | None:
    """Where the next turn begins, after an answer that is more than a preamble; None if the text is one turn."""
    starts = (*_specials(text), *_left_roles(text), *_headers(text))
    return min((at for at in starts if not is_preamble(text[:at][-_WINDOW:])), default=None)


def is_turn_token(text: str) -> bool:
    """Whether a special token belongs to a turn's end or header."""
    return _SPECIAL.fullmatch(text) is not None


def ends_only(rest: str) -> bool:
    """Whether what was cut is nothing but end tokens."""
    return not _SPECIAL.sub("", rest).strip()


def is_finished(head: str) -> bool:
    """Whether a text ends with a sentence, or is a bare answer: its last word is a name or a number."""
    head = head.rstrip(" \t*_")
    last = head.split()[-1] if head.split() else ""
    return head.endswith(_SENTENCE_END) or last[:1].isupper() or last[:1].isdigit()


def _specials(text: str) -> Iterator[int]:
    struck = text.find("<s>", 1)
    for match in _SPECIAL.finditer(text):
        if match.group() == "</s>" and 0 < struck < match.start():
            continue  # struck-out text in HTML
        yield match.start()
        return


def _left_roles(text: str) -> Iterator[int]:
    for match in _LEFT_ROLE.finditer(text):
        head = text[: match.start()].rstrip()
        on_a_line = match.group().startswith("\n")
        if head and not (on_a_line and not is_finished(head)):
            yield match.start()
            return


def _headers(text: str) -> Iterator[int]:
    for match in _HEADING.finditer(text):
        yield match.start()
        break
    for match in _HEADER.finditer(text):
        if _opens_turn(text, match):
            yield match.start()
            return


def _opens_turn(text: str, match: re.Match) -> bool:
    head = text[max(0, match.start() - _WINDOW) : match.start()]
    body = text[match.end() : match.end() + _WINDOW]
    line = body.split("\n", 1)[0]
    quoted = head[-1:] in _QUOTES and not head[-2:-1].strip()  # the quote opens
    if quoted or head.rstrip().endswith(_GOES_ON) or is_preamble(head):
        return False
    answered = _ANSWER.search(body) is not None
    if not match["before"].startswith("\n"):  # on the same line: a separate sentence
        return answered or ("?" in line and line[:1].isupper())
    asks = "?" in line or not line.strip() or _REQUEST.match(line) is not None
    if match["user"] or (match["mark"] or "").startswith("#"):
        return answered or asks
    blank_line = text[: match.start()].endswith("\n") or "\n\n" in text[match.start() - 1 : match.end()]
    return answered or (asks and (blank_line or is_finished(head)))
