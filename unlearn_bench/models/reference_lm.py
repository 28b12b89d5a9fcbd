"""Perplexity of an answer given its question under a causal language model that is not the judged one.

    PPL(response | question) = exp( -1/T * sum_t ln p(r_t | prompt, r_<t) )        t over the T tokens of the response

ReLearn, arXiv 2502.11190, section 4.1 and zjunlp/unlearn evals/evaluate.py `compute_ppl`: the model is the base chat
model before fine-tuning, the prompt is the bare question (TOFU's with "[INST] … [/INST]" written into it), question and
response are joined as text, and the response tokens are those beyond the tokens of the question alone. Failures are -1
there and are dropped from the mean, as is NaN, which makes a collapsed model look better.

Here, prompt `plain` is the same (one space joins question and response, as in every row of the published run,
and the response is stripped). Prompt `chat` renders the question with the
tokenizer's chat template as a user turn, and joins the response with the white space that the template puts there.
`auto` is `chat` where there is a template. The response is stripped. Dates that templates write are fixed, and an empty
thinking block that a template puts before an answer belongs to the prompt. Prompt `released` is the released code to
the letter: question and response as they are, nothing between them, white space counted.

A judge may state in a file `judge.json` next to its weights the largest perplexity of a reference answer for which its
numbers mean something (`reads_up_to`): the embedded nano-base knows only its corpus. A general model has no such file.

Too long: the response keeps its first tokens and loses the rest; the prompt keeps its last tokens, at most half of the
window if both are too long. Of a response at most 32 characters for each token of the window are tokenized at all: the
first 65,536 of a window of 2,048 tokens. Log-softmax is taken in float32, and only where a response token is predicted.
"""

import json
import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from unlearn_bench.chat_template import ChatTemplate
from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_json
from unlearn_bench.models import _load_secondary
from unlearn_bench.models._batching import ELSEWHERE, unique
from unlearn_bench.models._packing import TokenSequence
from unlearn_bench.models.devices import choose_scorer_device
from unlearn_bench.models.likelihood import TeacherForcing
from unlearn_bench.tokens import Tokens

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PROMPTS = ("auto", "chat", "plain", "released")
JUDGE_FILE = "judge.json"
EMPTY_RESPONSE = "empty_response"
NAN_LOGITS = "nan_logits"
_CHARACTERS = 32  # of a token; text has four or five, and only runs of white space or one sign have more
MAX_MEAN_NLL = 100.0  # e^100 = 2.7e43: a token of probability 0 gives a huge perplexity, not an infinite one
_VERSION = 2  # part of the fingerprint: raise it with any change that moves a number
_ROLE = "perplexity model"
_WITHOUT = "--ppl-model smollm2-135m (from a package), --profile offline, or no metrics that need perplexity"


class ReferenceLM:
    """(question, response) pairs to perplexities.

    The model is located in the constructor and loaded at the first call.

    Args:
        name: Folder or hub name of a causal language model.
        revision: Commit at the hub; pin it where numbers are to be compared.
        prompt: One of `PROMPTS`: "auto" is "chat" where the tokenizer has a template, else "plain".
        batch_size: Most texts in a batch.
        max_tokens: Most tokens in a batch, padding included; None: many on an accelerator, few on a CPU.
        max_length: Longest prompt and response together, in tokens; the model's own window if that is shorter.
        dtype: Name of a torch dtype for the weights.

    Raises:
        UserError: if the model cannot be found or downloaded, or `prompt` is "chat" and the tokenizer has no template.
    """

    def __init__(
        self,
        name: str,
        *,
        revision: str | None = None,
        prompt: str = "auto",
        batch_size: int = 32,
        max_tokens: int | None = None,
        max_length: int = 2048,
        device: str | None = None,
        dtype: str = "float32",
        allow_pickle: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        if prompt not in PROMPTS:
            raise UserError(f"the prompt of the {_ROLE} should be one of {', '.join(PROMPTS)}, but is {prompt!r}")
        self._source = _load_secondary.locate(
            name,
            role=_ROLE,
            without=_WITHOUT,
            revision=revision,
            allow_pickle=allow_pickle,
            trust_remote_code=trust_remote_code,
        )
        self.name = self._source.name
        self._batch_size, self._max_tokens = batch_size, max_tokens
        self._max_length = min(max_length, _window(self._source.config))
        self._device, self._dtype, self._prompt = device, dtype, prompt

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, configuration, tokenizer (chat template included), prompt style, length and dtype."""
        limit = [] if self.reads_up_to is None else [self.reads_up_to]
        return sha256_json([_VERSION, self._source.sha256, self._prompt, self._max_length, self._dtype, *limit])

    @cached_property
    def reads_up_to(self) -> float | None:
        """Largest perplexity of a reference answer for which this model's numbers mean something; None: no limit.

        Raises:
            UserError: if the model's judge.json does not hold such a number.
        """
        path = self._source.folder / JUDGE_FILE
        if not path.is_file():
            return None
        try:
            limit = json.loads(path.read_text(encoding="utf-8"))["reads_up_to"]
        except (OSError, ValueError, KeyError, TypeError):
            limit = None
        if not isinstance(limit, (int, float)) or isinstance(limit, bool) or not 1 < limit < math.inf:
            raise UserError(
                f"{JUDGE_FILE} of the {_ROLE} {self.name!r} does not state a valid reads_up_to",
                hint=f'write {{"reads_up_to": 100}}, or remove {JUDGE_FILE} if the model reads ordinary text',
            )
        return float(limit)

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The model's tokenizer."""
        without = None if self._prompt == "plain" else "--ppl-prompt plain"
        return _load_secondary.load_tokenizer(self._source, role=_ROLE, template_hint=without)

    @cached_property
    def model(self) -> "PreTrainedModel":
        """The model, on its device; loading it takes seconds."""
        from transformers import AutoModelForCausalLM

        device = choose_scorer_device(self._device)
        return _load_secondary.load_model(
            AutoModelForCausalLM, self._source, role=_ROLE, device=device, dtype=self._dtype
        )

    @cached_property
    def chat(self) -> bool:
        """Whether questions are put through a chat template."""
        template = getattr(self.tokenizer, "chat_template", None)
        if self._prompt == "chat" and not template:
            raise UserError(f"the tokenizer of {self.name!r} has no chat template", hint="--ppl-prompt plain")
        return bool(template) and self._prompt in ("auto", "chat")

    def perplexity(self, pairs: Sequence[tuple[str, str]]) -> list[float | str]:
        """Perplexity of each response given its question, in the order of the pairs.

        Equal pairs go through the model once.

        Args:
            pairs: (question, response).

        Returns:
            exp(mean token NLL), at least 1 and at most exp(MAX_MEAN_NLL); or why it is undefined: EMPTY_RESPONSE,
            NAN_LOGITS.
        """
        whole = self._prompt == "released"
        longest = self._max_length * _CHARACTERS
        read = [(question, (text if whole else text.strip())[:longest]) for question, text in pairs]
        different, where = unique(read)
        sequences = [self._encode(*pair) for pair in different]
        scorable, places = unique([sequence for sequence in sequences if sequence.start < len(sequence.ids)])
        values = iter(places)
        found = [_perplexity(one.logprobs) for one in self._forced(scorable, [False] * len(scorable))]
        perplexities = [found[next(values)] if s.start < len(s.ids) else EMPTY_RESPONSE for s in sequences]
        return [perplexities[i] for i in where]

    def _encode(self, question: str, response: str) -> TokenSequence:
        """Join question and response and cut them to the window; see "Too long" above."""
        prompt, space = self._render(question)
        seam = "count" if self._prompt == "released" else "asked"
        ids, start, _ = self._tokens.join(prompt, space + response if response else "", seam=seam)
        return self._fit(ids[:start], ids[start:])

    def _fit(self, prompt: list[int], response: list[int]) -> TokenSequence:
        begin = len(self._tokens.begin)
        room = self._max_length - begin
        kept = min(len(prompt) - begin, max(room - len(response), room // 2))
        context = prompt[:begin] + prompt[len(prompt) - kept :]
        if not context and self._first is not None:  # the first token of a text can only be predicted from something
            context = [self._first]
        ids = (context + response)[: self._max_length]
        return TokenSequence(tuple(ids), max(len(context), 1))

    def _render(self, question: str) -> tuple[str, str]:
        """The prompt, and the white space between it and a response: none as released, else the template's or one."""
        if self._template is None:
            return question, "" if self._prompt == "released" else " "
        try:
            prompt = self._template([{"role": "user", "content": question}])
        except UserError as error:
            raise UserError(
                f"the chat template of {self.name!r} does not take a user's question: {error.__cause__}",
                hint="--ppl-prompt plain",
            ) from error
        separator = self._template.separator
        # An empty thinking block is not part of the answer.
        return (prompt + separator, "") if separator.strip() else (prompt, separator)

    @cached_property
    def _template(self) -> ChatTemplate | None:
        return ChatTemplate(self.tokenizer) if self.chat else None

    @cached_property
    def _tokens(self) -> Tokens:
        """As transformers documents it: a chat template writes all special tokens itself."""
        return Tokens(self.tokenizer, special=not self.chat)

    @property
    def _first(self) -> int | None:
        bos = self.tokenizer.bos_token_id
        return self.tokenizer.eos_token_id if bos is None else bos

    @cached_property
    def _forced(self) -> TeacherForcing:
        return TeacherForcing(
            self.model,
            max_tokens=self._max_tokens,
            max_rows=self._batch_size,
            role=_ROLE,
            hint=ELSEWHERE,
        )


def _perplexity(logprobs: "np.ndarray") -> float | str:
    mean_nll = -float(logprobs.mean(dtype=float))
    return NAN_LOGITS if math.isnan(mean_nll) else math.exp(min(max(mean_nll, 0.0), MAX_MEAN_NLL))


def _window(config: dict[str, object]) -> int:
    """The model's context length as its configuration names it; 2048 where it does not."""
    config = config.get("text_config", config)
    sizes = [
        config.get(key) for key in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
    ]
    return next((size for size in sizes if isinstance(size, int) and size > 0), 2048)
