"""The judged model as lm-eval sees it: `HFLM` around a model that we loaded, with our greedy decoding.

Where it differs from `HFLM`: log-softmax in float32; nothing of the checkpoint's generation_config leaks into a run
but its end tokens; answers are decoded with early release and refill; NaN logits are counted; processes started by
torchrun or accelerate share the work on a CPU, too.
"""

import logging
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from unlearn_bench.answer import not_given
from unlearn_bench.errors import UserError
from unlearn_bench.models.generation import Unsupported, generate_greedy
from unlearn_bench.tokens import TOO_LONG, Prompts

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)
_PLAIN = {"until": [], "do_sample": False, "repetition_penalty": 1.0}


class UnlearnLM(HFLM):
    """A loaded checkpoint.

    Attributes:
        nan_prompts: How many prompts made the model return NaN logits.
        decode_steps: Model calls that decoded one token per row.
        on_finish: Called with the number of answers just finished.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        *,
        prompts: Prompts | None = None,
        batch_size: int,
    ) -> None:
        from transformers import GenerationConfig

        self.prompts = prompts or Prompts(tokenizer)
        self.end_ids = _end_ids(model, self.prompts)
        ends = sorted(self.end_ids)
        own = getattr(model, "base_model", model) if hasattr(model, "peft_config") else model
        for part in {model, own}:
            part.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=tokenizer.pad_token_id)
        logging.getLogger("lm_eval.models.huggingface").setLevel(logging.ERROR)  # it warns of any loaded model
        super().__init__(
            pretrained=model, tokenizer=tokenizer, batch_size=batch_size, softmax_dtype="float32", truncation=True
        )
        self.nan_prompts = 0
        self.decode_steps = 0
        self.on_finish: Callable[[int], None] = lambda _: None
        self._join_processes()

    def _join_processes(self) -> None:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from accelerate import Accelerator

            self.accelerator = Accelerator(cpu=self.device.type == "cpu")
            self._rank = self.accelerator.process_index
            self._world_size = self.accelerator.num_processes

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Answer each request; greedy ones without stop strings by our decoder, others by lm-eval's."""
        plain = [i for i, r in enumerate(requests) if _is_plain(r.args[1])]
        answers = dict(zip(plain, self._greedy([requests[i] for i in plain]), strict=True)) if plain else {}
        rest = [i for i in range(len(requests)) if i not in answers]
        if rest:
            answers |= zip(rest, super().generate_until([requests[i] for i in rest], disable_tqdm=True), strict=True)
        return [answers[i] for i in range(len(requests))]

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as the chosen template settings write it."""
        if self.prompts.template is None:
            return super().apply_chat_template(chat_history, add_generation_prompt)
        return self.prompts.template(chat_history, add_generation_prompt)

    def _greedy(self, requests: list[Instance]) -> list[str]:
        longest = max(int(r.args[1].get("max_gen_toks", self.max_gen_toks)) for r in requests)
        room = self.max_length - longest
        if room < 1:
            raise UserError(
                f"the model's context is {self.max_length} tokens, and answers may have {longest}",
                hint=f"pass --max-gen-toks {max(1, self.max_length // 2)}",
            )
        prompts = [self.prompts.ids(r.args[0]) for r in requests]
        if not all(prompts):
            raise UserError("a prompt has no tokens", hint="is the question empty, or the tokenizer broken?")
        fitting = [i for i, prompt in enumerate(prompts) if len(prompt) <= room]
        answers = [not_given(TOO_LONG)] * len(prompts)
        for i, text in zip(fitting, self._decode(requests, prompts, fitting, longest), strict=True):
            answers[i] = text
        self.on_finish(len(prompts) - len(fitting))
        return answers

    def _decode(
        self, requests: list[Instance], prompts: list[list[int]], fitting: list[int], longest: int
    ) -> list[str]:
        try:
            decoded = generate_greedy(
                self.model,
                [prompts[i] for i in fitting],
                max_new_tokens=longest,
                end_ids=self.end_ids,
                pad_id=self.tokenizer.pad_token_id,
                batch_size=int(self.batch_size),
                on_finish=self.on_finish,
            )
        except Unsupported:
            log.info("no plain key-value cache: decoding with transformers' own generate")
            return super().generate_until([requests[i] for i in fitting], disable_tqdm=True)
        self.nan_prompts += len(decoded.nan)
        self.decode_steps += decoded.steps
        return [self.prompts.generated(tokens) for tokens in decoded.tokens]


def _is_plain(settings: dict[str, object]) -> bool:
    """Whether settings ask for nothing but greedy decoding up to the end token."""
    known = {**_PLAIN, "max_gen_toks": settings.get("max_gen_toks")}
    return all(key in known and settings[key] == known[key] for key in settings) and settings.get("until") == []


def _end_ids(model: "PreTrainedModel", prompts: Prompts) -> frozenset[int]:
    """The tokenizer's end token, those of the chat template's turns, and those of generation_config."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    ids = configured if isinstance(configured, list) else [configured]
    ends = frozenset(i for i in ids if i is not None) | prompts.stop_ids
    if not ends:
        raise UserError("the tokenizer has no end token (eos_token)", hint="set eos_token in its tokenizer_config.json")
    return ends
