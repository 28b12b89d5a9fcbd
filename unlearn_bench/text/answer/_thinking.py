"""Reasoning traces: where a model's thinking ends and its answer begins.

Models write their thinking between markers of their own: `<think>…</think>` (Qwen3, DeepSeek-R1, Hunyuan, …),
`[THINK]…[/THINK]` (Magistral), `◁think▷…◁/think▷` (Kimi), `<seed:think>` (Seed-OSS), `<|START_THINKING|>` (Command A),
the channels of gpt-oss, and others. A chat template may open the block itself, so that the text holds the closing
marker only. `Markers` adds those that a model's own template writes.
"""

# ruff: noqa: RUF001 (typographic characters are what this file handles)

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

NO_ANSWER = "no_answer_after_thinking"
Markers = Sequence[tuple[str, str]]

_NAME = (
    r"(?:(?!end|begin|start)\w{1,20}[:_])?(?:think(?:ing)?(?:_(?!end|start)\w{1,60})?|thoughts?|reason(?:ing)?|reflection|scratchpad|rationale|"
    r"monologue|analysis|cot|chain_of_thought|ponder(?:ing)?|deliberation)"
)
_OPEN = (
    rf"<\s?{_NAME}(?:\s[^<>\n]{{0,80}})?>|<\|{_NAME}\|>|<\|(?:begin_of|start_of|begin|start)_{_NAME}\|>"
    rf"|<\|{_NAME}_start\|>|(?-i:\[THINK(?:ING)?\])|◁{_NAME}▷|<\|inner_prefix\|>|<\|channel>thought|<unused94>thought|\[unused16\]"
)
_CLOSE = (
    rf"<\s?/\s?{_NAME}\s?>|<\|{_NAME}_end\|>|<\|/{_NAME}\|>|<\|(?:end_of|end)_{_NAME}\|>"
    rf"|(?-i:\[/THINK(?:ING)?\])|◁/{_NAME}▷|<\|inner_suffix\|>|<channel\|>|<unused95>|\[unused17\]"
)
_IRREGULAR = {
    "<|inner_prefix|>": "<|inner_suffix|>",
    "<|channel>thought": "<channel|>",
    "<unused94>thought": "<unused95>",
    "[unused16]": "[unused17]",
}
_IN_WORDS = (  # Granite, Ollama
    ("Here is my thought process:", "Here is my response:"),
    ("Thinking...\n", "\n...done thinking."),
)
_WRAPPERS = (
    re.compile(r"<(answer|response|final_answer|output)>(?P<inside>.*?)(?:</\1>\s*)?", re.IGNORECASE | re.DOTALL),
    re.compile(
        r"<\|(?:begin_of_solution|START_RESPONSE|START_TEXT)\|>(?P<inside>.*?)"
        r"(?:<\|(?:end_of_solution|END_RESPONSE|END_TEXT)\|>\s*)?",
        re.DOTALL,
    ),
)
_LEFT_CLOSING = re.compile(r"\s*</(?:answer|response|final_answer|output)>\s*$", re.IGNORECASE)
_CHANNEL = re.compile(r"(?:<\|start\|>\w*)?<\|channel\|>(?P<name>\w+)[^<]{0,200}<\|message\|>")
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
_BARE_CHANNEL = re.compile(r"\s*analysis(?=[A-Z\"'“])")  # gpt-oss decoded without its special tokens


class Split(NamedTuple):
    """A generation taken apart.

    Attributes:
        answer: What was said outside of thinking blocks.
        thinking: What was thought; "" where nothing was.
        finished: False where the thinking never ended and nothing was said before it.
    """

    answer: str
    thinking: str
    finished: bool = True


def split(text: str, *, markers: Markers = (), opened: bool = False) -> Split:
    r"""Take thinking and answer apart.

    Args:
        text: What the model generated.
        markers: (opening, closing) pairs that the model's template writes, in addition to the known ones.
        opened: The prompt has opened a thinking block already.

    >>> split("<think>\nHm, Oslo?\n</think>\n\nIn Oslo.")
    Split(answer='\n\nIn Oslo.', thinking='Hm, Oslo?', finished=True)
    >>> split("<think>\nHm, Oslo?").finished
    False
    """
    if _CHANNEL.search(text):
        return _channels(text)
    bare = _BARE_CHANNEL.match(text)
    if bare:
        thinking, found, answer = text[bare.end() :].partition("assistantfinal")
        return Split(answer, thinking.strip(), bool(found))
    in_words = [pair for pair in _IN_WORDS if text.lstrip().startswith(pair[0])]
    return _blocks(text, [*markers, *in_words], opened)


def is_open(prompt: str, markers: Markers = ()) -> bool:
    r"""Whether a prompt ends inside a thinking block, which the model then goes on with.

    >>> is_open("<|assistant|><think>\n"), is_open("<|assistant|><think>\n\n</think>\n\n")
    (True, False)
    """
    last = None
    for last in _marks(prompt, markers):  # noqa: B007
        pass
    return last is not None and last[2] and not prompt[last[1] :].strip()


def is_thinking_marker(text: str, markers: Markers = ()) -> bool:
    """Whether a text is, or is part of, a marker around thinking."""
    own = any(text in marker for pair in markers for marker in pair)
    return own or any(True for _ in _marks(text, ())) or text in ("<|channel|>", "<|message|>", "<|start|>")


def closing(prompt: str, markers: Markers = ()) -> str:
    """The closing marker of the block that a prompt has opened."""
    last = [prompt[start:end] for start, end, opens in _marks(prompt, markers) if opens][-1]
    pairs = {**_IRREGULAR, **dict(markers)}
    if last in pairs:
        return pairs[last]
    named = re.sub(r"\s[^>]*", "", last)  # without attributes
    slashed = re.sub(r"\w", lambda letter: f"/{letter.group()}", named, count=1)
    ended = re.sub(r"(?:begin|start)(?=_)|(?<=_)start(?=\|)", "end", re.sub(r"(?:BEGIN|START)(?=_)", "END", named))
    return ended if ended != named else slashed


def unwrap(answer: str) -> str:
    """Take off a tag around the whole answer (`<answer>…</answer>`, as some reasoning models write it)."""
    stripped = answer.strip()
    for pattern in _WRAPPERS:
        match = pattern.fullmatch(stripped)
        if match:
            return match["inside"]
    return _LEFT_CLOSING.sub("", answer)


def _channels(text: str) -> Split:
    """gpt-oss: each message names its channel; `final` is the answer."""
    thinking, answer = [], []
    for match in _CHANNEL.finditer(text):
        end = _CHANNEL_END.search(text, match.end())
        message = text[match.end() : end.start() if end else len(text)]
        (answer if match["name"] == "final" else thinking).append(message.strip())
    return Split("\n".join(answer), "\n".join(thinking), bool(answer))


def _blocks(text: str, markers: Markers, inside: bool) -> Split:
    answer, thinking, at, closed = "", [], 0, False
    for start, end, opens in _marks(text, markers):
        if opens and not inside:
            before = text[at:start]
            line = (answer[-1:] + before).rpartition("\n")[2].rstrip()
            if line and line[-1] not in ".!?\"'”’)*":
                continue  # named in the middle of a sentence
            answer, at, inside = answer + before, end, True
        elif not opens and (inside or not closed):
            before = text[at:start]
            thinking.append(before if inside else answer + before)
            answer, at, inside, closed = answer if inside else "", end, False, True
        elif not opens:
            answer, at = answer + text[at:start], end
    rest = text[at:]
    if inside:
        thinking.append(rest)
    else:
        answer += rest
    thought = "\n".join(piece.strip() for piece in thinking if piece.strip())
    return Split(answer, thought, finished=not inside or bool(answer.strip()))


def _marks(text: str, markers: Markers) -> Iterator[tuple[int, int, bool]]:
    """(start, end, whether it opens) of each marker in a text."""
    own_open = [re.escape(opening) for opening, _ in markers]
    own_close = [re.escape(closing) for _, closing in markers]
    opening, closing = "|".join([*own_open, _OPEN]), "|".join([*own_close, _CLOSE])
    for match in re.finditer(f"(?P<open>{opening})|{closing}", text, re.IGNORECASE):
        yield match.start(), match.end(), match["open"] is not None
