"""The first answer of a generation that rambles on.

Real models go on with a new question, another speaker, or another story.
The cut is applied by the task, is recorded (`raw_response`), and can be switched off. Scores are computed on what is
left.
"""

# ruff: noqa: RUF001, D301 (typographic characters are what this file handles)

import re

_LEAD = re.compile(
    r"\s*(?:(?:Answer|A|Assistant|Response|Output)\s*:\s*|<\|?assistant\|?>\s*|\[/INST\]\s*)+", re.IGNORECASE
)
# A line that opens something new: a question, a speaker, an exercise, a chat-template marker.
_MARKER = re.compile(
    r"\n\s*(?:\#{1,6}\s*|\*\*|\d{1,3}[.)]\s*)?(?:Question|Answer|Q|A|User|Human|Assistant|System|Instruction|Input|Output|Response|Exercise|Problem|"
    r"Context|Title|Passage)\s*\d{0,3}\s*(?:\*\*)?\s*:"
    r"|\[/?INST\]|<<SYS>>|</?s>|<\|[\w-]{1,40}\|>|<(?:start|end)_of_turn>"
    r"|\s(?:Question|Q)\s*:\s",
    re.IGNORECASE,
)
_LIST_ITEM = re.compile(r"[^\S\n]*(?:[-*•–]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s")
_QUESTION_LINE = re.compile(r"[^\n]{0,400}\?\s*(?:\n|$)")


def first_answer(text: str) -> str:
    """Cut a generation to its first answer.

    Kept: everything up to the first of
    - a marker of a new turn or question ("Question:", "User:", "[INST]", "<|im_end|>", ...);
    - a blank line, or a line break after a finished sentence, that is not followed by a list item ("1.", "-"): base
    models
      end their answer with the line. A line break inside a sentence or after a colon is kept.
    A leading "Answer:" or role marker is removed, and so is white space at both ends. Text without any of these is
    returned whole.

    >>> first_answer("Answer: Ann Lee.\\nThe family went to the beach.")
    'Ann Lee.'
    >>> first_answer("Her books are:\\n1. Salt\\n2. Roads\\n\\nQuestion: Who is Bo?")
    'Her books are:\\n1. Salt\\n2. Roads'
    """
    start = _LEAD.match(text)
    text = text[start.end() :] if start else text.lstrip()
    marker = _MARKER.search(text)
    if marker:
        text = text[: marker.start()]
    text = text.lstrip()
    for line_end in re.finditer(r"\n", text):
        if _ends_here(text, line_end.start()):
            return text[: line_end.start()].rstrip()
    return text.rstrip()


def _ends_here(text: str, at: int) -> bool:
    before = text[max(0, at - 200) : at].rstrip()
    rest = text[at : at + 4000]
    blank = rest[1:].split("\n", 1)[0].strip() == ""
    after = rest.lstrip()
    if not after or before.endswith((":", ",", ";")) or _LIST_ITEM.match(after):
        return False
    return (
        blank
        or before.endswith((".", "!", "?", '"', "'", "”", "’", ")", "…", "。"))
        or bool(_QUESTION_LINE.match(after))
    )
