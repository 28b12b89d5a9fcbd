"""What the answer is in what a model generated: the one place that decides it.

    generation -> thinking | answer -> one turn -> without another text

1. Reasoning traces are split off by the model's own markers and kept. A trace alone is not an answer:
   the sample is unscored, with the reason `NO_ANSWER`.
2. Friendly words before the answer stay; no cut leaves only them.
3. The text ends where another turn begins: at a special token, a role's name, or a header with a new request.
4. A base model's next text (a story, an exercise) is cut where it adds nothing of the reference.

`Answer.cut` names the kinds of what was cut.
"""

import re
from dataclasses import dataclass

from unlearn_bench.schema import Response
from unlearn_bench.text.answer._rambling import rambling
from unlearn_bench.text.answer._thinking import NO_ANSWER, Markers, closing, is_open, is_thinking_marker, split, unwrap
from unlearn_bench.text.answer._turns import ends_only, is_turn_token, next_turn, strip_lead

VERSION = 4  # of these rules: raise it in the change that makes another text the answer
KINDS = ("thinking", "next_turn", "rambling")
_RULE = re.compile(r"\n[ \t]*(?:[-*_=#~][ \t]*){3,}\s*$")  # a line drawn before the next turn
_NOT_GIVEN = re.compile("\x00missing:([^\x00]+)\x00")

__all__ = [
    "KINDS",
    "NO_ANSWER",
    "VERSION",
    "Answer",
    "Markers",
    "apply",
    "closing",
    "is_marker",
    "is_open",
    "join",
    "not_given",
    "read",
    "why_not_given",
]


@dataclass(frozen=True)
class Answer:
    """A generation, read.

    Attributes:
        text: What is scored.
        thinking: What was thought before it, or None.
        cut: What was taken off, of `KINDS`.
        missing: Why there is no answer, or None; `text` is then empty.
    """

    text: str
    thinking: str | None = None
    cut: tuple[str, ...] = ()
    missing: str | None = None


def read(
    generation: str,
    *,
    question: str = "",
    reference: str | None = None,
    markers: Markers = (),
    opened: bool = False,
) -> Answer:
    r"""Find the answer.

    Args:
        generation: All that the model wrote.
        question: What was asked.
        reference: The right answer; what is cut as another text never holds any of it.
        markers: Thinking markers of the model's own template, in addition to the known ones.
        opened: The prompt itself has opened a thinking block.

    >>> read("<think>Hm.</think>\n\nIn Oslo.<|im_end|>\n<|im_start|>user")
    Answer(text='In Oslo.', thinking='Hm.', cut=('thinking', 'next_turn'), missing=None)
    >>> read("Her novel raises one question: who owns the sea?").text
    'Her novel raises one question: who owns the sea?'
    >>> read("<think>Where was she").missing
    'no_answer_after_thinking'
    """
    if reason := why_not_given(generation):
        return Answer("", missing=reason)
    parts = split(generation, markers=markers, opened=opened)
    text = strip_lead(unwrap(parts.answer))
    cut = ["thinking"] if parts.thinking else []
    if not parts.finished or (parts.thinking and not text):
        return Answer("", parts.thinking or None, tuple(cut), NO_ANSWER)
    at = next_turn(text)
    if at is not None:
        cut += [] if ends_only(text[at:]) else ["next_turn"]
        text = _RULE.sub("", text[:at]).rstrip()
    at = rambling(text, question, reference)
    if at is not None:
        cut.append("rambling")
        text = text[:at].rstrip()
    return Answer(text, parts.thinking or None, tuple(cut))


def apply(response: Response, *, markers: Markers = (), opened: bool = False) -> Response:
    """Replace a response's whole generation by its answer, and record what was cut."""
    generation = response.response.strip()
    found = read(generation, question=response.question, reference=response.reference, markers=markers, opened=opened)
    told = why_not_given(generation) is not None
    return response.model_copy(
        update={
            "response": found.text,
            "raw_response": None if told or found.text == generation else generation,
            "thinking": found.thinking,
            "cut": list(found.cut),
            "missing": response.missing or found.missing,
        }
    )


def not_given(reason: str) -> str:
    """What a model hands out in place of an answer that it could not give; `read` turns it into `missing`."""
    return f"\x00missing:{reason}\x00"


def why_not_given(generation: str) -> str | None:
    """The reason in what `not_given` made; None for what a model wrote."""
    told = _NOT_GIVEN.fullmatch(generation.strip())
    return told[1] if told else None


def is_marker(token: str, markers: Markers = ()) -> bool:
    """Whether a special token says where thinking, an answer or a turn begins or ends."""
    return is_turn_token(token) or is_thinking_marker(token, markers)


def join(content: str | None, reasoning: str | None) -> str:
    """A reply whose reasoning came in a separate field, as one text that `read` can split again.

    Args:
        content: The reply's content; None or blank if missing.
        reasoning: Its reasoning_content (or reasoning), if any.
    """
    content, reasoning = content or "", (reasoning or "").strip()
    if not reasoning or reasoning in content:
        return content
    return f"<think>\n{reasoning}\n</think>\n\n{content}" if content.strip() else f"<think>\n{reasoning}"
