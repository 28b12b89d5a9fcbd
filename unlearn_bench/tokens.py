"""Prompts, and the answers that follow them, as text and as token ids: the only place that joins the two.

`chat`: the tokenizer's chat template. `qa`: "Question: …", a new line and "Answer:", TOFU's prompt for base models
(phi). `tofu`: "[INST] … [/INST]", TOFU's prompt for Llama-2-chat; the answer follows without a space, as in TOFU's own
code. `plain`: the question alone. `auto`: the chat template where there is one, else `qa`.

Training, teacher forcing and evaluation agree: the ids of a prompt with its answer begin with the ids of the prompt as
it is asked, and end with what the model is stopped at.

    prompt | separator | answer | turn end
"""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

from unlearn_bench.chat_template import DATE, THINKING, ChatTemplate
from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_json
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import PromptInfo
from unlearn_bench.text import answer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

STYLES = {"qa": "Question: {question}\nAnswer:", "tofu": "[INST] {question} [/INST]", "plain": "{question}"}
CHOICES = ("auto", "chat", *STYLES)
TOO_LONG = "prompt_too_long"
_SEPARATORS = {"qa": " ", "tofu": "", "plain": " "}


class Joined(NamedTuple):
    """Token ids of a prompt and its answer, and the index of the answer's first token (at least 1)."""

    ids: list[int]
    start: int


def build(question: str, *, style: str, chat_template: Callable | None, system: str | None = None) -> str:
    """Make the prompt of one question.

    Args:
        question: The text that is asked.
        style: One of `CHOICES`.
        chat_template: Turns a list of messages into a prompt; None where the model has none, or none is to be used.
        system: A system message; put before the question in plain styles.
    """
    if chat_template is not None and style in ("auto", "chat"):
        messages = [{"role": "system", "content": system}] if system else []
        return chat_template([*messages, {"role": "user", "content": question}])
    prompt = STYLES[_plain(style)].format(question=question)
    return f"{system}\n\n{prompt}" if system else prompt


def _plain(style: str) -> str:
    if style not in CHOICES:
        raise did_you_mean("prompt style", style, CHOICES)
    return "qa" if style in ("auto", "chat") else style


class Prompts:
    """How questions are asked of one model, and how answers follow.

    Args:
        tokenizer: The model's.
        style: One of `CHOICES`.
        thinking: One of `chat_template.THINKING`.
        date: Written by templates that write one, as YYYY-MM-DD.

    Raises:
        UserError: for an unknown style, "chat" without a template, or a thinking switch that the template lacks.
    """

    def __init__(
        self, tokenizer: "PreTrainedTokenizerBase", style: str = "auto", *, thinking: str = "model", date: str = DATE
    ) -> None:
        if thinking not in THINKING:
            raise did_you_mean("thinking", thinking, THINKING)
        self.tokenizer = tokenizer
        self.style = style
        plain = _plain(style)
        has_template = bool(getattr(tokenizer, "chat_template", None))
        if style == "chat" and not has_template:
            raise UserError("--prompt chat: the tokenizer has no chat template", hint="use --prompt qa, tofu or plain")
        chat = has_template and style in ("auto", "chat")
        if thinking != "model" and not chat:
            raise UserError(f"--thinking {thinking}: no chat template is used", hint="leave --thinking out")
        self.template = ChatTemplate(tokenizer, thinking=thinking, date=date) if chat else None
        self.separator: str = self.template.separator if self.template else _SEPARATORS[plain]

    def prompt(self, question: str, earlier: Sequence[tuple[str, str]] = ()) -> str:
        """The text that is asked.

        Args:
            question: What the user says last.
            earlier: (role, text) of the turns before it: "system", "user", "assistant".
        """
        if self.template is not None:
            turns = [*earlier, ("user", question)]
            return self.template([{"role": role, "content": text} for role, text in turns])
        ask = partial(build, style=self.style, chat_template=None)
        said = [f"{text}\n\n" if role == "assistant" else f"{ask(text)} " for role, text in earlier if role != "system"]
        system = [f"{text}\n\n" for role, text in earlier if role == "system"]
        return "".join([*system, *said, ask(question)])

    def written(self, prompt: str, text: str, *, verbatim: bool = False) -> tuple[str, int]:
        """A prompt with its answer as one text, and where the answer begins in it.

        Args:
            prompt: As `prompt` makes it, or (verbatim) a text that is to be continued.
            text: The answer.
            verbatim: No template is around the prompt: one space stands between the two.
        """
        chat = self.template is not None and not verbatim
        separator = self.separator if chat else (" " if verbatim else _SEPARATORS[_plain(self.style)])
        if not chat and (prompt[-1:].isspace() or text[:1].isspace()):
            separator = ""
        return prompt + separator + text, len(prompt) + len(separator)

    def join(self, prompt: str, text: str, *, verbatim: bool = False) -> Joined:
        """Token ids of a prompt, its answer and the turn's end, for training.

        What the template writes between the two (an empty thinking block) is not part of the answer.
        """
        whole, at = self.written(prompt, text, verbatim=verbatim)
        end = self.template.turn_end if self.template and not verbatim else ""
        # What the template writes before an answer (a thinking block) is the prompt's; a space is the answer's.
        before = whole[:at] if whole[len(prompt) : at].strip() else prompt
        asked, before, ids = map(self.ids, (prompt, before, whole + end))
        if not verbatim and self.style != "tofu" and ids[: len(asked)] != asked:  # merged across the seam
            before, ids = ([*asked, *self.bare_ids(t[len(prompt) :])] for t in (whole[:at], whole + end))
        start = next((i for i, (a, b) in enumerate(zip(before, ids, strict=False)) if a != b), len(before))
        eos = self.tokenizer.eos_token_id
        if not end and eos is not None and ids[-1] != eos:
            ids = [*ids, eos]
        return Joined(ids, max(start, 1))

    def ids(self, text: str) -> list[int]:
        """Token ids of a text: one BOS where the tokenizer puts one, and never an EOS of the tokenizer's own."""
        bos = self.tokenizer.bos_token
        if bos and text.startswith(bos):  # a chat template writes the BOS token itself
            return self.bare_ids(text)
        ids = list(self.tokenizer(text, verbose=False)["input_ids"])
        return ids[: len(ids) - self._appended]

    def bare_ids(self, text: str) -> list[int]:
        """Token ids of a text with nothing around it."""
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    @cached_property
    def _appended(self) -> int:
        """How many tokens the tokenizer puts behind every text (add_eos_token)."""
        with_special = self.tokenizer("a")["input_ids"]
        bare = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        eos = self.tokenizer.eos_token_id
        return int(len(with_special) > len(bare) and eos is not None and with_special[-1] == eos)

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end an answer in this format: the template's own, and the tokenizer's end token."""
        names = self.template.stops if self.template else frozenset()
        ids = {self.tokenizer.convert_tokens_to_ids(name) for name in names} | {self.tokenizer.eos_token_id}
        return frozenset(i for i in ids if i is not None)

    @property
    def thinking_markers(self) -> answer.Markers:
        """The markers that the template puts around thinking, as `answer.read` takes them."""
        return self.template.markers if self.template else ()

    def generated(self, ids: list[int]) -> str:
        """The text of generated tokens.

        Special tokens are kept where they say something of the answer (thinking, turns), for `answer.read` to see them;
        padding and the like are dropped.
        """
        special = set(self.tokenizer.all_special_ids)
        if special.isdisjoint(ids):
            return self.tokenizer.decode(ids)
        names = {i: self.tokenizer.convert_ids_to_tokens(i) for i in special.intersection(ids)}
        padding = {self.tokenizer.pad_token_id} - self.stop_ids
        dropped = {i for i, name in names.items() if i in padding or not answer.is_marker(name, self.thinking_markers)}
        return self.tokenizer.decode([i for i in ids if i not in dropped])


def info(
    style: str, template: str | None, *, first_answer: bool, chat: ChatTemplate | None = None, system: str | None = None
) -> PromptInfo:
    """What a result records of its prompts.

    Args:
        style: One of `CHOICES`.
        template: The chat template's text; None where none was used.
        first_answer: Whether the answer is cut out of what is generated.
        chat: The template as it was rendered, where this program did that.
        system: A system message.
    """
    recipe = {"template": template or STYLES[_plain(style)], "system": system, "first_answer": first_answer}
    chosen = {"thinking": chat.thinking, "date": chat.date} if chat else {}
    recipe |= {key: value for key, value in chosen.items() if value is not None}
    return PromptInfo(
        template_sha256=sha256_json(recipe),
        chat_template=template is not None,
        style="chat" if template else style,
        **chosen,
    )
