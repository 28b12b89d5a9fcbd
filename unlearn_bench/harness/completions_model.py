"""A model behind an OpenAI-compatible `/completions` endpoint: it continues texts, and says how probable they are.

The log-probabilities of a given text come back with `echo` and `logprobs`, as lm-eval's `local-completions` asks for
them (vLLM, SGLang and others give them). The server tells neither the template nor the tokens, so the model's tokenizer
lies here: prompt and continuation are joined as for a checkpoint in this process (`tokens.Prompts`) and sent as token
ids. So the continuation begins where the prompt ends, also where a tokenizer would merge the two into one token. A
server that takes texts only (`prompts=text`) tokenises them itself: a text whose tokens are then others than ours has
no likelihood (`tokens_differ`).

What the server does not tell is unavailable and never guessed: whether a token is the most probable one, where the
reply has no `top_logprobs`; the mean and variance over the vocabulary, always.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from lm_eval.api.model import TemplateLM

from unlearn_bench.errors import UserError
from unlearn_bench.harness.api_model import NOT_GIVEN, ChatServerLM, check_arguments
from unlearn_bench.harness.likelihood import Asked, ask
from unlearn_bench.llm import NO_ECHO, Completion, Echo, LLMFailure, PlainText
from unlearn_bench.models.likelihood import LEAST_LOGPROB, TokenSequence, TokenValues
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import Likelihood
from unlearn_bench.tokens import Prompts

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

TOKENS_DIFFER = "tokens_differ"
_UNKNOWN_LENGTH = 1 << 30  # the server refuses what is longer than its context
_FORMS = ("ids", "text")


class CompletionsServerLM(ChatServerLM, TemplateLM):
    """A completions server.

    Args:
        model: Its name at the server.
        own_prompts: How the model is asked, with its tokenizer.
        prompts: What is sent: token ids, or "text".
        arguments: As `ChatServerLM`.

    Attributes:
        as_stock: Prompts are tokenised as `lm_eval run` does it.
    """

    def __init__(self, model: str, own_prompts: Prompts, *, prompts: str = "ids", **arguments: object) -> None:
        super().__init__(model, **arguments)
        if prompts not in _FORMS:
            raise did_you_mean("form of prompts", str(prompts), _FORMS)
        self.prompts, self.tokenizer = own_prompts, own_prompts.tokenizer
        self._as_text = prompts == "text"
        self._echoes = False  # whether the server has shown that it does
        self.as_stock = False

    def likelihood(self, asked: Sequence[Asked]) -> list[Likelihood | str]:
        """The likelihood of each text after its prompt, or why it has none.

        Raises:
            UserError: if the server gives no log-probabilities of given texts, or those of other texts.
        """
        return ask(asked, _UNKNOWN_LENGTH, self._read, self.on_finish)

    def _read(
        self, sequences: Sequence[TokenSequence], detailed: Sequence[bool], on_finish: Callable[[int], None]
    ) -> list[TokenValues | str]:
        texts = [self._plain(sequence.ids) for sequence in sequences]
        sent = [i for i, text in enumerate(texts) if text is not None]
        on_finish(len(texts) - len(sent))
        said = []
        while not self._echoes and len(said) < len(sent):  # a server that cannot do this need not be asked for all
            said += self._ask([(texts[sent[len(said)]], {})])
            self._echoes = self._shows_echo(said[-1], sequences[sent[len(said) - 1]])
        said += self._ask([(texts[i], {}) for i in sent[len(said) :]])
        reasons = [NOT_GIVEN + one.reason if isinstance(one, LLMFailure) else None for one in said]
        self._count_missing("texts", [r and r.removeprefix(NOT_GIVEN) for r in reasons], said)
        found = {i: reason or _values(one, sequences[i]) for i, one, reason in zip(sent, said, reasons, strict=True)}
        return [found.get(i, TOKENS_DIFFER) for i in range(len(texts))]

    def _plain(self, ids: Sequence[int]) -> PlainText | None:
        """A sequence as it is sent; None where its text has other tokens."""
        if not self._as_text:
            return PlainText(list(ids), echoed=len(ids))
        begin = self.prompts.begin
        text = self.tokenizer.decode(list(ids[len(begin) :]), clean_up_tokenization_spaces=False)
        return PlainText(text, echoed=len(ids)) if self.prompts.ids(text) == list(ids) else None

    def _shows_echo(self, said: Completion | LLMFailure, sequence: TokenSequence) -> bool:
        """Whether a reply shows that the server echoes; False where it failed for a reason of its own.

        Raises:
            UserError: if it shows that the server does not, or that it has another tokenizer.
        """
        if isinstance(said, LLMFailure):
            if said.reason == NO_ECHO:
                raise UserError(
                    "the server gives no log-probabilities of a given text (echo with logprobs)",
                    hint="vLLM and SGLang do; else run the checkpoint with --backend hf, or choose tasks that it "
                    "answers in words",
                )
            return False
        read = "".join(_echo(said).text.split())
        own = (self.tokenizer.decode(list(sequence.ids), skip_special_tokens=skip) for skip in (True, False))
        if read and not any("".join(one.split()) in read for one in own):
            raise UserError(
                "the server reads another text than was sent", hint="pass --tokenizer FOLDER of the served model"
            )
        return True

    def _sent(self, context: str) -> PlainText:
        if self._as_text:
            return PlainText(str(context))
        return PlainText(self.tok_encode(str(context)) if self.as_stock else self.prompts.ids(str(context)))

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[tuple[str, str], list[int], list[int]]], **_: object
    ) -> list[tuple[float, bool]]:
        """Sum and greediness of lm-eval's own (context, continuation) tokens."""
        sequences = [TokenSequence((*context, *rest), len(context)) for _, context, rest in requests]
        different = list(dict.fromkeys(sequences))
        found = dict(zip(different, self._read(different, [True] * len(different), self.on_finish), strict=True))
        told = []
        for sequence in sequences:
            values = found[sequence]
            if isinstance(values, str) or values.hits is None or not np.isfinite(values.logprobs).all():
                reason = values if isinstance(values, str) else "no top_logprobs, or NaN"
                raise UserError(
                    f"an option has no log-likelihood ({reason}), and lm-eval's tasks need all", hint="use --backend hf"
                )
            told.append((float(values.logprobs.sum(dtype=np.float64)), bool(values.hits.all())))
        return told

    def loglikelihood(self, requests: Sequence["Instance"], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """lm-eval's own way to tokens, and the server's log-probabilities of them."""
        return TemplateLM.loglikelihood(self, requests, disable_tqdm=True)

    def loglikelihood_rolling(self, requests: Sequence["Instance"], disable_tqdm: bool = False) -> list[float]:
        """Refused: such texts are longer than a context.

        Raises:
            UserError: always.
        """
        raise UserError("a task wants the log-likelihood of whole documents", hint="run it with --backend hf or vllm")

    @property
    def eot_token_id(self) -> int:
        """The tokenizer's end token."""
        return self.tokenizer.eos_token_id

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text without a context: BOS where there is one."""
        bos = self.tokenizer.bos_token_id
        return self.eot_token_id if bos is None else bos

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: object) -> list[int]:
        """Tokens of a stock task's text, as lm-eval's hf backend makes them."""
        special = {} if add_special_tokens is None else {"add_special_tokens": add_special_tokens}
        if add_special_tokens is None and string.startswith(self.tokenizer.decode([self.prefix_token_id])):
            special = {"add_special_tokens": False}
        return self.tokenizer.encode(string, **special)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as the tokenizer's template writes it."""
        if self.prompts.template is None:
            raise UserError("the tokenizer has no chat template", hint="use --prompt qa, tofu or plain")
        return self.prompts.template(chat_history, add_generation_prompt)


def _echo(said: Completion) -> Echo:
    return Echo(**json.loads(said.text))


def _values(said: Completion, sequence: TokenSequence) -> TokenValues:
    """Of each token of a continuation what the server tells; its first token is told nothing of."""
    echo, start = _echo(said), sequence.start - 1
    logprobs = np.array(echo.logprobs[start:], dtype=np.float64)
    hits = None if echo.hits is None else np.array(echo.hits[start:], dtype=np.float32)
    return TokenValues(np.maximum(logprobs, LEAST_LOGPROB).astype(np.float32), hits)


def load(
    model: str, arguments: Mapping[str, object], own_prompts: Prompts, *, seed: int, kept: Path | None
) -> CompletionsServerLM:
    """A completions server from the command line's arguments.

    Raises:
        UserError: for an unknown argument, or one that holds a key.
    """
    check_arguments(arguments, ("prompts",))
    return CompletionsServerLM(model, own_prompts, seed=seed, kept=kept, **arguments)
