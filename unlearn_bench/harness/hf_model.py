"""The judged model as lm-eval sees it: `HFLM` around a model that we loaded, with our decoding.

Where it differs from `HFLM`: log-softmax in float32; nothing of the checkpoint's generation_config leaks into this
project's tasks but its end tokens; answers are decoded with early release and refill, each with its longest length; a
sampled answer has its own random stream; NaN logits are counted; processes started by torchrun or accelerate also share
the work on a CPU. Stock tasks (`as_stock`) are answered by `HFLM` itself with the checkpoint's own generation_config,
unless they sample.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from unlearn_bench.errors import UserError
from unlearn_bench.harness import gradient
from unlearn_bench.harness.likelihood import Asked, ask
from unlearn_bench.harness.lm import is_sampled
from unlearn_bench.harness.observations import question_seed
from unlearn_bench.models.generation import Decoded, Unsupported, generate_greedy
from unlearn_bench.models.gradients import GradientNorms
from unlearn_bench.models.likelihood import TeacherForcing
from unlearn_bench.models.own_generate import generate_unpadded
from unlearn_bench.models.sampling import Sampler, Sampling
from unlearn_bench.schema import Gradient, Likelihood
from unlearn_bench.text.answer import not_given
from unlearn_bench.tokens import TOO_LONG, Prompts

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Settings = Mapping[str, object]
AUTO = "auto"
AUTO_BATCH = 64  # where `auto` begins on an accelerator; halved until it fits
CPU_BATCH = 32

log = logging.getLogger(__name__)
_PLAIN = {"until": [], "do_sample": False, "repetition_penalty": 1.0, "temperature": 0.0}


class UnlearnLM(HFLM):
    """A loaded checkpoint.

    Args:
        batch_size: Most rows in one model call; "auto" is the largest that fits.
        alone: Answer everything in this process, also where other processes run.

    Attributes:
        nan_prompts: How many prompts made the model return NaN logits.
        cut_prompts: How many prompts of stock tasks were longer than the context and lost their beginning. Those of
            our tasks are never cut: such a question is not answered.
        decode_steps: Model calls that decoded one token per row.
        on_finish: Called with the number of answers just finished.
        as_stock: Answer as `lm_eval run --model hf` does.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        *,
        prompts: Prompts | None = None,
        batch_size: int | str,
        alone: bool = False,
    ) -> None:
        from transformers import GenerationConfig

        self.prompts = prompts or Prompts(tokenizer)
        self.end_ids = self.prompts.end_ids(model)
        if not self.end_ids:
            raise UserError(
                "the tokenizer has no end token (eos_token)", hint="set eos_token in its tokenizer_config.json"
            )
        self._own_config = model.generation_config
        self._plain_config = GenerationConfig(eos_token_id=sorted(self.end_ids), pad_token_id=tokenizer.pad_token_id)
        _set_generation_config(model, self._plain_config)
        logging.getLogger("lm_eval.models.huggingface").setLevel(logging.ERROR)  # it warns of any loaded model
        chosen = CPU_BATCH if batch_size == AUTO and model.device.type == "cpu" else batch_size
        super().__init__(pretrained=model, tokenizer=tokenizer, batch_size=chosen, softmax_dtype="float32")
        self._rows = AUTO_BATCH if chosen == AUTO else int(chosen)
        self.nan_prompts = 0
        self.cut_prompts = 0
        self.decode_steps = 0
        self.on_finish: Callable[[int], None] = lambda _: None
        self.as_stock = False
        if alone:
            self._rank, self._world_size = 0, 1
        else:
            self._join_processes()

    def _join_processes(self) -> None:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from accelerate import Accelerator

            self.accelerator = Accelerator(cpu=self.device.type == "cpu")
            self._rank = self.accelerator.process_index
            self._world_size = self.accelerator.num_processes

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Answer each request: plain greedy and sampled ones by our decoder, others by lm-eval's."""
        answers: dict[int, str] = {}
        sampled = [i for i, r in enumerate(requests) if is_sampled(r.args[1])]
        greedy = [i for i, r in enumerate(requests) if not self.as_stock and _is_plain(r.args[1])]
        for chosen in filter(None, (sampled, greedy)):
            answers |= zip(chosen, self._decode([requests[i] for i in chosen]), strict=True)
        rest = [i for i in range(len(requests)) if i not in answers]
        if rest:
            with self._checkpoint_generation_config():
                found = super().generate_until([requests[i] for i in rest], disable_tqdm=True)
            answers |= zip(rest, found, strict=True)
            self.on_finish(len(rest))
        return [answers[i] for i in range(len(requests))]

    def likelihood(self, asked: Sequence[Asked]) -> list[Likelihood | str]:
        """The likelihood of each text after its prompt, or why it has none."""
        return ask(asked, self.max_length, self._forced, self.on_finish)

    def gradients(self, asked: Sequence[gradient.AskedGradient]) -> list[Gradient | str]:
        """The gradient of each text after its prompt, or why it has none."""
        return gradient.ask(asked, self.max_length, GradientNorms(self.model), self.on_finish)

    @cached_property
    def _forced(self) -> TeacherForcing:
        return TeacherForcing(self.model, max_rows=self._rows)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as the chosen template settings write it."""
        if self.prompts.template is None:
            return super().apply_chat_template(chat_history, add_generation_prompt)
        return self.prompts.template(chat_history, add_generation_prompt)

    @contextmanager
    def _checkpoint_generation_config(self) -> Iterator[None]:
        """Stock tasks see the checkpoint's own defaults, as under `lm_eval run`."""
        if self.as_stock and self._own_config is not None:
            _set_generation_config(self.model, self._own_config)
        try:
            yield
        finally:
            _set_generation_config(self.model, self._plain_config)

    def _decode(self, requests: list[Instance]) -> list[str]:
        """Answers of this decoder; a prompt of this project's tasks that is longer than the context is not answered."""
        answers: list[str] = [not_given(TOO_LONG)] * len(requests)
        fitted = [self._fit(request) for request in requests]
        fitting = [i for i, prompt in enumerate(fitted) if prompt is not None]
        if fitting:
            found = self._answers([requests[i] for i in fitting], [fitted[i] for i in fitting])
            for i, text in zip(fitting, found, strict=True):
                answers[i] = text
        self.on_finish(len(requests) - len(fitting))
        return answers

    def _answers(self, requests: list[Instance], prompts: list[list[int]]) -> list[str]:
        stops = [[text for text in _listed(r.args[1].get("until")) if text] for r in requests]
        settings = {
            "max_new_tokens": [self._longest(request) for request in requests],
            "end_ids": self.end_ids,
            "pad_id": self.tokenizer.pad_token_id,
            "stopped": lambda row, tokens: bool(stops[row]) and self._has_stop(tokens, stops[row]),
        }
        decoded = self._in_memory(requests, prompts, settings)
        self.nan_prompts += len(decoded.nan)
        self.decode_steps += decoded.steps
        write = self.tok_decode if self.as_stock else self.prompts.generated
        return [_before(write(made), stops[row]) for row, made in enumerate(decoded.tokens)]

    def _longest(self, request: Instance) -> int:
        return int(request.args[1].get("max_gen_toks", self.max_gen_toks))

    def _fit(self, request: Instance) -> list[int] | None:
        """The prompt's tokens where they leave room for the longest answer; of a stock prompt the last that do."""
        longest = self._longest(request)
        room = self.max_length - longest
        if room < 1:
            raise UserError(
                f"the model's context is {self.max_length} tokens, and answers may have {longest}",
                hint=f"pass --max-gen-toks {max(1, self.max_length // 2)}",
            )
        tokens = self.tok_encode(request.args[0]) if self.as_stock else self.prompts.ids(request.args[0])
        if not tokens:
            raise UserError("a prompt has no tokens", hint="is the question empty, or the tokenizer broken?")
        if len(tokens) <= room:
            return tokens
        self.cut_prompts += self.as_stock
        return tokens[-room:] if self.as_stock else None

    def _has_stop(self, tokens: list[int], stops: Sequence[str]) -> bool:
        """Whether the newest tokens complete a stop string; a token holds at least one of its bytes."""
        text = self.tok_decode(tokens[-max(len(stop.encode("utf-8")) for stop in stops) - 2 :])
        return any(stop in text for stop in stops)

    def _in_memory(self, requests: list[Instance], prompts: list[list[int]], settings: dict[str, object]) -> Decoded:
        """Decode; where `auto` does not fit into the accelerator's memory, with half as many rows."""
        import torch

        while True:
            finished: list[int] = []
            try:
                return self._generate(requests, prompts, settings, finished)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                self.on_finish(-sum(finished))
                if self.batch_size != AUTO or self._rows == 1:
                    raise UserError(
                        f"--batch-size {self._rows} does not fit into the memory of {self.device}",
                        hint="pass a smaller --batch-size, or auto" if self._rows > 1 else "pass --dtype bfloat16",
                    ) from None
                self._rows //= 2

    def _generate(
        self, requests: list[Instance], prompts: list[list[int]], settings: dict[str, object], finished: list[int]
    ) -> Decoded:
        def on_finish(count: int) -> None:
            finished.append(count)
            self.on_finish(count)

        arguments = {**settings, "batch_size": self._rows, "on_finish": on_finish, **_choice(requests)}
        try:
            return generate_greedy(self.model, prompts, **arguments)
        except Unsupported:
            log.info("no plain key-value cache: decoding with transformers' own generate")
            return generate_unpadded(self.model, prompts, **{**arguments, **_choice(requests)})


def _choice(requests: Sequence[Instance]) -> dict[str, Sampler]:
    """The argument that makes the decoder sample; nothing for greedy requests (the two are never mixed)."""
    if not is_sampled(requests[0].args[1]):
        return {}
    return {"choose": Sampler([_sampling(r.args[1]) for r in requests], [_seed(r) for r in requests])}


def _sampling(settings: Settings) -> Sampling:
    top_k, top_p = settings.get("top_k"), settings.get("top_p")
    return Sampling(
        temperature=float(settings["temperature"]),
        top_k=int(top_k) if top_k else None,
        top_p=None if top_p is None else float(top_p),
    )


def _seed(request: Instance) -> int:
    given = request.args[1].get("seed")
    return question_seed(0, request.args[0], request.doc_id, 0) if given is None else int(given)


def _is_plain(settings: Settings) -> bool:
    """Whether settings ask for nothing but greedy decoding up to the end token."""
    known = {**_PLAIN, "max_gen_toks": settings.get("max_gen_toks")}
    return all(key in known and settings[key] == known[key] for key in settings) and settings.get("until") == []


def _listed(until: object) -> list[str]:
    return [until] if isinstance(until, str) else list(until or [])


def _before(text: str, stops: Sequence[str]) -> str:
    """The text before the first stop string."""
    for stop in stops:
        text = text.split(stop)[0]
    return text


def _set_generation_config(model: "PreTrainedModel", config: object) -> None:
    own = model.base_model if hasattr(model, "peft_config") else model
    for part in {model, own}:
        part.generation_config = config
