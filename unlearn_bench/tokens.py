"""Prompts, and the answers that follow them, as text and as token ids: the only place that joins the two.

`chat`: the tokenizer's chat template. `qa`: "Question: …", a new line and "Answer:", TOFU's prompt for base models
(phi). `tofu`: "[INST] … [/INST]", TOFU's prompt for Llama-2-chat; the answer follows without a space, as in TOFU's own
code. `plain`: the question alone. `auto`: the chat template where there is one, else `qa`. `auto-plain`: the chat
template where there is one, else `plain`.

Training, teacher forcing and evaluation agree: the ids of a prompt with its answer begin with the ids of the prompt as
it is asked, and end with what the model is stopped at.

    prompt | separator | answer | turn end

What ends an answer (`ENDS`): `turn`: the template's end of a turn, else EOS. `open-unlearning`: all that the template
writes after an answer, and EOS where that is not its last token (Qwen's end of turn then stands there twice). `none`:
nothing (MUSE, multiple choice, raw text).

White space in the separator belongs to the answer ("Ġthe" is one token); anything else, such as an empty thinking
block, belongs to the prompt.
"""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal, NamedTuple

from unlearn_bench.chat_template import DATE, THINKING, ChatTemplate
from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_json
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import PromptInfo
from unlearn_bench.text import answer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

STYLES = {"qa": "Question: {question}\nAnswer:", "tofu": "[INST] {question} [/INST]", "plain": "{question}"}
CHOICES = ("auto", "auto-plain", "chat", *STYLES)
TEMPLATE_STYLES = ("auto", "auto-plain", "chat")  # those that use a chat template where there is one
OPEN_UNLEARNING = "open-unlearning"
ENDS = ("turn", OPEN_UNLEARNING, "none")
TOO_LONG = "prompt_too_long"
_SEPARATORS = {"qa": " ", "tofu": "", "plain": " "}


Span = tuple[int, int]


class Encoded(NamedTuple):
    """A prompt and its answer as token ids.

    Attributes:
        ids: Of both.
        answer_start: Index of the answer's first token.
        spans: Characters [first, last + 1) of each token in the joined text; empty unless asked for.
    """

    ids: list[int]
    answer_start: int
    spans: Sequence[Span] = ()


class Continued(NamedTuple):
    """A prompt and what follows it, for teacher forcing.

    Attributes:
        ids: Of both.
        start: Index of the continuation's first token, at least 1.
        ending: How many of the last tokens only end it.
    """

    ids: list[int]
    start: int
    ending: int


class Tokens:
    """Token ids of texts under one tokenizer, and where an answer begins among them.

    Args:
        tokenizer: Of the model that reads the texts.
        special: Put the tokenizer's own beginning (BOS) before a text that does not begin with it. Without, special
            tokens are those that the text itself writes.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", *, special: bool = True) -> None:
        self.tokenizer = tokenizer
        self.special = special
        self._asked: tuple[tuple[str, bool] | None, tuple[list[int], list[Span]]] = (None, ([], []))

    def ids(self, text: str) -> list[int]:
        """Token ids of a text: one BOS where the tokenizer puts one, and never an EOS of the tokenizer's own."""
        return self._read(text)[0]

    def bare_ids(self, text: str) -> list[int]:
        """Token ids of a text with nothing around it."""
        return self._read(text, bare=True)[0]

    def first(self, text: str, count: int) -> str:
        """The text of its first tokens; one that begins every text (BOS) is counted, as in MUSE's code.

        Args:
            text: The whole.
            count: Of tokens.
        """
        ids = self.ids(text)
        return text if len(ids) <= count else str(self.tokenizer.decode(ids[:count], skip_special_tokens=True))

    @cached_property
    def begin(self) -> list[int]:
        """What the tokenizer puts before every text: BOS, or nothing."""
        return self.ids("")

    def join(
        self,
        prompt: str,
        answer: str,
        *,
        lead: str = "",
        seam: Literal["asked", "text", "count"] = "asked",
        spans: bool = False,
    ) -> Encoded:
        """Token ids of a prompt followed by an answer, joined as they stand.

        The three are tokenised as one text. A tokenizer may then merge the end of the prompt with the beginning of the
        answer into one token, which the prompt alone does not have:

            asked  the prompt keeps the ids that it has alone (what a model is given that generates), and the rest is
                   tokenised apart
            text   the merged token stays, and belongs to the answer
            count  the merged token stays, and as many tokens belong to the prompt as the prompt has alone: the rule of
                   TOFU's and ReLearn's code

        Args:
            prompt: As the model is asked.
            answer: With the white space before it and what ends the turn, if wanted.
            lead: Between the two, not part of the answer: a thinking block.
            seam: What happens to a merged token.
            spans: Give the tokens' characters, too; the tokenizer must be a fast one.
        """
        read = partial(self._read, spans=spans)
        if self._asked[0] != (prompt, spans):  # the answers of one prompt mostly come one after the other
            self._asked = (prompt, spans), read(prompt)
        asked, whole = self._asked[1], read(prompt + lead + answer)
        before = read(prompt + lead)[0] if lead else asked[0]
        if seam == "asked" and whole[0][: len(asked[0])] != asked[0]:
            rest, size = read(lead + answer, bare=True), len(prompt)
            before = asked[0] + self.bare_ids(lead)
            whole = asked[0] + rest[0], asked[1] + [(first + size, last + size) for first, last in rest[1]]
        differ = (i for i, (a, b) in enumerate(zip(before, whole[0], strict=False)) if a != b)
        start = len(before) if seam == "count" else next(differ, len(before))
        return Encoded(whole[0], start, whole[1])

    def _read(self, text: str, *, bare: bool = False, spans: bool = False) -> tuple[list[int], list[Span]]:
        """Token ids of a text, and the characters of each where they are asked for."""
        bos = self.tokenizer.bos_token
        bare = bare or not self.special or bool(bos and text.startswith(bos))  # a chat template writes BOS itself
        read = self.tokenizer(text, add_special_tokens=not bare, return_offsets_mapping=spans, verbose=False)
        end = len(read["input_ids"]) - (0 if bare else self._appended)
        return list(read["input_ids"][:end]), [tuple(span) for span in read["offset_mapping"][:end]] if spans else []

    @cached_property
    def _appended(self) -> int:
        """How many tokens the tokenizer puts behind every text (add_eos_token)."""
        with_special = self.tokenizer("a")["input_ids"]
        bare = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        eos = self.tokenizer.eos_token_id
        return int(len(with_special) > len(bare) and eos is not None and with_special[-1] == eos)


def build(
    question: str,
    *,
    style: str,
    chat_template: Callable | None,
    system: str | None = None,
    earlier: Sequence[tuple[str, str]] = (),
) -> str:
    """Make the prompt of one question.

    Args:
        question: The text that is asked.
        style: One of `CHOICES`.
        chat_template: Turns a list of messages into a prompt; None where the model has none, or none is to be used.
        system: A system message; put before the question in plain styles.
        earlier: (role, text) of the turns before it: "system", "user", "assistant".
    """
    turns = [*([("system", system)] if system else []), *earlier]
    if chat_template is not None and style in TEMPLATE_STYLES:
        return chat_template([{"role": role, "content": text} for role, text in [*turns, ("user", question)]])
    ask = STYLES[_plain(style)].format
    said = [f"{text}\n\n" for role, text in turns if role == "system"]
    said += [
        f"{text}\n\n" if role == "assistant" else f"{ask(question=text)} " for role, text in turns if role != "system"
    ]
    return "".join([*said, ask(question=question)])


def _plain(style: str) -> str:
    if style not in CHOICES:
        raise did_you_mean("prompt style", style, CHOICES)
    return {"auto": "qa", "chat": "qa", "auto-plain": "plain"}.get(style, style)


class Prompts(Tokens):
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
        super().__init__(tokenizer)
        self._ends: dict[str, list[int]] = {}
        self.style = style
        plain = _plain(style)
        has_template = bool(getattr(tokenizer, "chat_template", None))
        if style == "chat" and not has_template:
            raise UserError("--prompt chat: the tokenizer has no chat template", hint="use --prompt qa, tofu or plain")
        chat = has_template and style in TEMPLATE_STYLES
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
        return build(question, style=self.style, chat_template=self.template, earlier=earlier)

    def between(self, prompt: str, text: str, *, verbatim: bool = False, begun: bool = False) -> str:
        """What stands between a prompt and its answer.

        Args:
            prompt: As `prompt` makes it, or (verbatim) a text that is to be continued.
            text: The answer.
            verbatim: No template is around the prompt: one space stands between the two.
            begun: The prompt ends with the beginning of the answer; one space follows.
        """
        if not prompt:
            return ""
        if self.template is not None and not verbatim and not begun:
            return self.separator
        separator = " " if verbatim or begun else _SEPARATORS[_plain(self.style)]
        return "" if prompt[-1:].isspace() or text[:1].isspace() else separator

    def continued(self, prompt: str, text: str, *, end: str = "turn", begun: bool = False) -> Continued:
        """Token ids of a prompt and a continuation; `start` is behind the last token where nothing is to be predicted.

        Args:
            prompt: As the model is asked; "" for raw text.
            text: What follows.
            end: One of `ENDS`.
            begun: The prompt ends with the beginning of the answer.
        """
        bare = self.encode(prompt, text, end="none", begun=begun)
        tail = self._turn_end(end) if self.template else ""
        if tail and not self.template.is_special(tail):  # what ends the answer may merge with its last word
            whole = self.encode(prompt, text, end=end, begun=begun).ids
        else:
            whole = self._ended(bare.ids + (self._ids_of_end(tail) if tail else []), end, tail)
        return Continued(whole, bare.answer_start, len(whole) - len(bare.ids))

    def encode(
        self,
        prompt: str,
        text: str,
        *,
        verbatim: bool = False,
        begun: bool = False,
        end: str = "turn",
        spans: bool = False,
    ) -> Encoded:
        """Token ids of a prompt and its answer, for training and teacher forcing; the answer never starts at 0.

        Args:
            prompt: As `prompt` makes it, or (verbatim) a text that is to be continued.
            text: The answer.
            verbatim: No template is around the prompt.
            begun: The prompt ends with the beginning of the answer.
            end: What is put behind the answer, one of `ENDS`.
            spans: Give the tokens' characters, too.
        """
        between = self.between(prompt, text, verbatim=verbatim, begun=begun)
        lead, space = (between, "") if between.strip() else ("", between)
        turn_end = self._turn_end(end) if self.template and not verbatim else ""
        seam = "text" if verbatim or self.style == "tofu" else "asked"
        encoded = self.join(prompt, space + text + turn_end, lead=lead, seam=seam, spans=spans)
        ids = self._ended(encoded.ids, end, turn_end)
        return encoded._replace(ids=ids, answer_start=max(encoded.answer_start, 1))

    def _ids_of_end(self, tail: str) -> list[int]:
        """`bare_ids` of what ends every answer, tokenised once."""
        if tail not in self._ends:
            self._ends[tail] = self.bare_ids(tail)
        return self._ends[tail]

    def _ended(self, ids: list[int], end: str, turn_end: str) -> list[int]:
        """Token ids with the EOS that `end` asks for behind what the template has written."""
        eos = self.tokenizer.eos_token_id
        complete = end == "none" or (turn_end and end != "open-unlearning")
        return ids if complete or eos is None or ids[-1:] == [eos] else [*ids, eos]

    def _turn_end(self, end: str) -> str:
        """What the template writes behind an answer."""
        return {"turn": self.template.turn_end, "open-unlearning": self.template.tail, "none": ""}[end]

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end an answer in this format: the template's own, and the tokenizer's end token."""
        names = self.template.stops if self.template else frozenset()
        ids = {self.tokenizer.convert_tokens_to_ids(name) for name in names} | {self.tokenizer.eos_token_id}
        return frozenset(i for i in ids if i is not None)

    def end_ids(self, model: "PreTrainedModel") -> frozenset[int]:
        """Tokens that end a model's answer: `stop_ids`, and the end tokens of its generation_config."""
        configured = getattr(model.generation_config, "eos_token_id", None)
        configured = configured if isinstance(configured, list) else [configured]
        return self.stop_ids.union(i for i in configured if i is not None)

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
    style: str,
    template: str | None,
    *,
    first_answer: bool,
    answer_end: str = "turn",
    chat: ChatTemplate | None = None,
    system: str | None = None,
) -> PromptInfo:
    """What a result records of its prompts.

    Args:
        style: One of `CHOICES`.
        template: The chat template's text; None where none was used.
        first_answer: Whether the answer is cut out of what is generated.
        answer_end: One of `ENDS`.
        chat: The template as it was rendered, where this program did that.
        system: A system message.
    """
    recipe = {"template": template or STYLES[_plain(style)], "system": system, "first_answer": first_answer}
    chosen = {"thinking": chat.thinking, "date": chat.date} if chat else {}
    recipe |= {"answer_end": answer_end} if answer_end != "turn" else {}
    recipe |= {key: value for key, value in chosen.items() if value is not None}
    return PromptInfo(
        template_sha256=sha256_json(recipe),
        chat_template=template is not None,
        style="chat" if template else style,
        **chosen,
    )
