"""A tokenizer's chat template, rendered the same on every day and machine, and what it says of turns.

Templates are programs. What one does is found by rendering short conversations: what it writes between a prompt and an
answer, what ends a turn, which markers it puts around thinking, whether it knows a thinking switch or a date.
"""

import datetime
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from unlearn_bench.errors import UserError
from unlearn_bench.text import answer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DATE = "2024-07-26"  # what Llama 3.1's own template falls back to
THINKING = ("model", "on", "off")
Message = Mapping[str, str]

_ASK: Message = {"role": "user", "content": "QUESTION"}
_SAY: Message = {"role": "assistant", "content": "ANSWER"}
_SWITCHES = ("enable_thinking", "thinking")  # Qwen3 and most others; DeepSeek-V3.1, Granite


def read_date(text: str) -> str:
    """A date as YYYY-MM-DD; "today" is that of this machine.

    Raises:
        UserError: for any other text.
    """
    if text == "today":
        return datetime.date.today().isoformat()
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        raise UserError(f"--template-date {text}: not a date", hint="write it as YYYY-MM-DD, or today") from None


class ChatTemplate:
    """The template of one tokenizer.

    Args:
        tokenizer: Has a chat template.
        thinking: "on" and "off" set the template's own switch; "model" leaves the template's default.
        date: What templates that write a date write, as YYYY-MM-DD.

    Raises:
        UserError: for "on" or "off" where the template has no such switch.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", *, thinking: str = "model", date: str = DATE) -> None:
        self.tokenizer = tokenizer
        self.source: str = tokenizer.get_chat_template()
        self.thinking = None if thinking == "model" else thinking
        writes_date = "strftime_now" in self.source or "date_string" in self.source
        self.date = date if writes_date else None
        if self.thinking and self._render([_ASK], "on") == self._render([_ASK], "off"):
            raise UserError(
                f"--thinking {thinking}: the model's chat template has no thinking switch",
                hint="leave --thinking out: the model then answers as its template makes it",
            )

    def __call__(self, messages: Sequence[Message], add_generation_prompt: bool = True) -> str:
        """Render a conversation; lm-eval calls the template with the same arguments.

        Raises:
            UserError: if the template refuses it. A system message that it does not know is put before the question.
        """
        try:
            return self._render(messages, self.thinking, add_generation_prompt)
        except Exception as error:  # a template is a program of its author's and may raise anything
            if messages[0]["role"] != "system" or len(messages) < 2:
                raise UserError(
                    f"the chat template refuses a conversation: {error}", hint="use --prompt qa or plain"
                ) from error
        system, first, *rest = messages
        joined = {**first, "content": f"{system['content']}\n\n{first['content']}"}
        return self([joined, *rest], add_generation_prompt)

    def _render(self, messages: Sequence[Message], thinking: str | None, add_generation_prompt: bool = True) -> str:
        known = {} if thinking is None else dict.fromkeys(_SWITCHES, thinking == "on")
        if self.date is not None:
            known["date_string"] = datetime.date.fromisoformat(self.date).strftime("%d %b %Y")
        return self.tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            chat_template=self._dated,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            **known,
        )

    @cached_property
    def _dated(self) -> str:
        """The template with a fixed date in place of the clock, in every format that it asks for."""
        if self.date is None or "strftime_now" not in self.source:
            return self.source
        day = datetime.datetime.fromisoformat(self.date)
        formats = re.findall(r"""(['"])([^'"{}]*%[^'"{}]*)\1""", self.source)
        table = {form: day.strftime(form) for _, form in formats if "%}" not in form}
        macro = (
            f"{{% macro strftime_now(form) %}}{{{{ {table!r}.get(form, {self.date!r}) }}}}{{% endmacro %}}{{{{ '' }}}}"
        )
        return macro + self.source

    @cached_property
    def prompt(self) -> str:
        """The prompt of a question, up to where the model begins."""
        return self([_ASK])

    @cached_property
    def _whole(self) -> str:
        """The question and an answer, as the template writes them at the end of a conversation; "" if it cannot."""
        try:
            whole = self([_ASK, _SAY], add_generation_prompt=False)
        except UserError:  # a template without turns of the assistant
            return ""
        return whole if _SAY["content"] in whole else ""

    @cached_property
    def separator(self) -> str:
        """What the template writes between a prompt and an answer: nothing, white space, or an empty thinking block.

        A block that the prompt has opened is closed again.
        """
        if self._whole.startswith(self.prompt):
            return self._whole[len(self.prompt) : self._whole.rindex(_SAY["content"])]
        if answer.is_open(self.prompt, self.markers):
            return f"\n{answer.closing(self.prompt, self.markers)}\n\n"
        return ""

    @cached_property
    def tail(self) -> str:
        """All that the template writes after the last answer of a conversation."""
        return self._whole.rpartition(_SAY["content"])[2] if self._whole else ""

    @cached_property
    def turn_end(self) -> str:
        """What ends an answer: the text up to and with the template's end token; "" where it writes none."""
        tail = self.tail
        first = self._special.search(tail) if self._special else None
        if first is None:
            return ""
        end = first.end()
        while (more := self._special.match(tail, end)) is not None:
            end = more.end()
        return tail[:end]

    @cached_property
    def stops(self) -> frozenset[str]:
        """Tokens that end an answer: those that end a turn, and a token that only begins a user's turn."""
        if self._special is None:
            return frozenset()
        ends = {match.group() for match in self._special.finditer(self.turn_end)}
        own = self.prompt.rpartition(_ASK["content"])[2] + self.separator + "".join(map("".join, self.markers))
        try:
            after = self([_ASK, _SAY, _ASK]).rpartition(_SAY["content"])[2].partition(_ASK["content"])[0]
        except UserError:  # a template for one question and one answer
            return frozenset(ends)
        begins = next((match.group() for match in self._special.finditer(after) if match.group() not in ends), None)
        return frozenset(ends | ({begins} if begins and begins not in own else set()))

    @cached_property
    def markers(self) -> answer.Markers:
        """(opening, closing) of a thinking block, as the template writes one; empty where it writes none."""
        thought = {**_SAY, "reasoning_content": "REASON", "thinking": "REASON"}
        try:
            whole = self([_ASK, thought], add_generation_prompt=False)
        except UserError:
            return ()
        before, found, after = whole.partition("REASON")
        if not found or _SAY["content"] not in after:
            return ()
        opening = before.rpartition(_ASK["content"])[2].strip().rpartition("\n")[2]
        turn = self.prompt.rpartition(_ASK["content"])[2].strip().rpartition("\n")[2]
        opening = opening.removeprefix(turn).strip() or opening
        closing = after.partition(_SAY["content"])[0].strip()
        return ((opening, closing),) if opening and closing else ()

    def is_special(self, text: str) -> bool:
        """Whether a text begins with a special token, which merges with nothing before it."""
        return self._special is not None and self._special.match(text) is not None

    @cached_property
    def _special(self) -> re.Pattern | None:
        """Any of the tokenizer's special or added tokens."""
        added = set(self.tokenizer.get_added_vocab()) | set(self.tokenizer.all_special_tokens)
        names = sorted(filter(str.strip, added), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, names))) if names else None
