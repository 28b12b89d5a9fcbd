"""Decoding of many prompts, greedy or sampled, with early release and refill.

Answers differ in length, and a batch that waits for its longest answer wastes most of its steps. Here a finished row
gives its place to the next prompt (continuous batching): new prompts are prefilled together and their keys and values
are joined, left-padded, to those of the rows that go on. Columns that only hold padding are cut again, so memory
follows the longest living row. What all prompts begin with (a template's system turn) goes through the model once. A
model step is a decode step; `Decoded.steps` counts them.

Works with any decoder whose cache is a plain `DynamicCache`; others (state-space models, hybrids, models without a
cache) raise `Unsupported`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

from unlearn_bench.models._decode_attention import attention_for_decoding
from unlearn_bench.models._decode_linear import packed_for_decoding
from unlearn_bench.models._fused_norm import fused_norms
from unlearn_bench.models._plain_cache import Unsupported, check_supported, forward_arguments, sees_everything
from unlearn_bench.models._roomy_cache import places_of, roomy_cache
from unlearn_bench.models._shared_prefix import SharedPrefix, common_prefix
from unlearn_bench.models._side_by_side import one_core_each

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Choose = Callable[["torch.Tensor", Sequence[int]], list[int]]
Stopped = Callable[[int, list[int]], bool]
LEAST_PACKED = 8  # tokens of the longest answer: packing takes as long as four to eight decode steps save
LEAST_PREFIX = 8  # tokens
REFILL_SHARE = 8  # refill when 1/8 of the places are free: a prefill costs about one decode step


def greedy(logits: "torch.Tensor", rows: Sequence[int]) -> list[int]:
    """The most probable token of each row, the first of equal ones."""
    import torch

    if logits.device.type == "cpu" and logits.dtype != torch.bfloat16:
        return logits.numpy().argmax(-1).tolist()  # a tenth of the time that torch takes
    return logits.argmax(-1).tolist()


@dataclass
class Decoded:
    """Answers as token ids without the end token, in the order of the prompts.

    Attributes:
        nan: Prompts at which the model returned NaN logits; their answers end there.
        steps: Model calls that decoded one token per row (prefills not counted).
    """

    tokens: list[list[int]]
    nan: set[int] = field(default_factory=set)
    steps: int = 0


def generate_greedy(
    model: "PreTrainedModel",
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int | Sequence[int],
    end_ids: frozenset[int],
    pad_id: int,
    batch_size: int,
    on_finish: Callable[[int], None] = lambda _: None,
    choose: Choose = greedy,
    stopped: Stopped = lambda _row, _tokens: False,
) -> Decoded:
    """Decode until an end token, a stop or the longest length; greedily unless `choose` says otherwise.

    Args:
        model: A causal language model in evaluation mode.
        prompts: Token ids, at least one each.
        max_new_tokens: Longest answer, of all prompts or of each; an answer does not depend on the others' lengths.
        end_ids: Tokens that end an answer; not part of it.
        pad_id: Any token; padded places are masked.
        batch_size: Most rows in one model call.
        on_finish: Called with the number of answers that were just finished.
        choose: Logits (n, V) and the prompts' numbers to n tokens.
        stopped: A prompt's number and its tokens so far to whether the answer is complete.

    Raises:
        Unsupported: before anything is decoded, if the model's cache cannot be refilled.
    """
    import torch

    check_supported(model)
    limits = [max_new_tokens] * len(prompts) if isinstance(max_new_tokens, int) else list(max_new_tokens)
    decoder = _Decoder(model, pad_id, choose, _prefix(model, prompts, limits))
    result = Decoded(tokens=[[] for _ in prompts])
    waiting = sorted(range(len(prompts)), key=lambda row: -len(prompts[row]))  # prompts of a call are of like length
    places = ceil(len(prompts) / ceil(len(prompts) / batch_size)) if prompts else 0  # 40, at most 32 at a time: 20
    packed = places if max(limits, default=0) >= LEAST_PACKED else 0
    with (
        torch.inference_mode(),
        one_core_each(model),
        packed_for_decoding(model, packed),
        attention_for_decoding(model),
        fused_norms(model),
    ):
        while waiting or decoder.rows:
            free = places - len(decoder.rows)
            if waiting and (not decoder.rows or free >= max(1, places // REFILL_SHARE)):
                admitted, waiting = waiting[:free], waiting[free:]
                decoder.admit(admitted, [prompts[i] for i in admitted])
            else:
                decoder.step()
                result.steps += 1
            finished = _collect(decoder, result, limits, end_ids, stopped)
            if finished:
                decoder.release(finished)
                on_finish(len(finished))
    return result


def _prefix(model: "PreTrainedModel", prompts: Sequence[Sequence[int]], limits: Sequence[int]) -> SharedPrefix | None:
    """What all prompts begin with, where it is worth a call of its own; at least one token of each prompt is left."""
    if not prompts:
        return None
    length = common_prefix(prompts, min(map(len, prompts)) - 1)
    if length < LEAST_PREFIX or not sees_everything(model, max(map(len, prompts)) + max(limits)):
        return None
    return SharedPrefix(model, prompts[0][:length], len(prompts))


def _collect(
    decoder: "_Decoder", result: Decoded, limits: Sequence[int], end_ids: frozenset[int], stopped: Stopped
) -> set[int]:
    finished = set()
    for row, token, is_nan in decoder.fresh():
        answer = result.tokens[row]
        if is_nan:
            result.nan.add(row)
        elif token not in end_ids:
            answer.append(token)
        if is_nan or token in end_ids or len(answer) >= limits[row] or stopped(row, answer):
            finished.add(row)
    return finished


class _Decoder:
    """The living rows: their ids, the attention mask (rows, columns), the cache, and each row's next token."""

    def __init__(self, model: "PreTrainedModel", pad_id: int, choose: Choose, prefix: SharedPrefix | None) -> None:
        self.model = model
        self.pad_id = pad_id
        self.choose = choose
        self.prefix = prefix
        self.rows: list[int] = []
        self._next: dict[int, int] = {}
        self._last_only = "logits_to_keep" in forward_arguments(model)

    def admit(self, rows: list[int], prompts: list[Sequence[int]]) -> None:
        """Prefill new prompts together and join them to the living rows."""
        import torch

        cache, device, shared = roomy_cache(), self.model.device, 0
        if self.prefix is not None:
            shared = self.prefix.length
            self.prefix.fill(cache, len(rows))
        width = max(map(len, prompts))
        padding = [width - len(prompt) for prompt in prompts]
        ids = torch.tensor(
            [[self.pad_id] * n + list(prompt[shared:]) for n, prompt in zip(padding, prompts, strict=True)],
            device=device,
        )
        mask = torch.tensor([[1] * shared + [0] * n + [1] * (width - shared - n) for n in padding], device=device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, shared:]
        logits = self._forward(ids, mask, cache, positions)
        layers = [(layer.keys, layer.values) for layer in cache.layers]
        if not layers or any(keys is None or keys.shape[-2] != width for keys, _ in layers):
            raise Unsupported(type(self.model).__name__)
        if self.rows:
            self._join(rows, mask, cache, logits)
        else:
            self.rows, self.mask, self.cache, self.logits = list(rows), mask, cache, logits
        self._new = set(rows)

    def _join(self, rows: list[int], mask: "torch.Tensor", cache: object, logits: "torch.Tensor") -> None:
        import torch

        width = max(self.mask.shape[1], mask.shape[1])
        for mine, new in zip(self.cache.layers, cache.layers, strict=True):
            mine.join(new)
        self.mask = torch.cat([_pad_columns(self.mask, width), _pad_columns(mask, width)])
        self.logits = torch.cat([self.logits, logits])
        self.rows = self.rows + list(rows)

    def step(self) -> None:
        """Feed every row its next token."""
        import torch

        positions = self.mask.sum(-1, keepdim=True)
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.rows), 1)], dim=1)
        tokens = torch.tensor([[self._next[row]] for row in self.rows], device=self.mask.device)
        self.logits = self._forward(tokens, self.mask, self.cache, positions=positions)
        self._new = set(self.rows)

    def _forward(
        self, ids: "torch.Tensor", mask: "torch.Tensor", cache: object, positions: "torch.Tensor"
    ) -> "torch.Tensor":
        extra = {"logits_to_keep": 1} if self._last_only else {}
        output = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            **extra,
        )
        if getattr(output, "past_key_values", None) is not cache:
            raise Unsupported(type(self.model).__name__)
        return output.logits[:, -1]

    def fresh(self) -> list[tuple[int, int, bool]]:
        """(row, next token, whether its logits hold NaN) of the rows that were just computed."""
        places = [k for k, row in enumerate(self.rows) if row in self._new]
        rows, logits = [self.rows[k] for k in places], self.logits[places]
        chosen = dict(zip(rows, self.choose(logits, rows), strict=True))
        self._next |= chosen
        return [(row, chosen[row], is_nan) for row, is_nan in zip(rows, logits.amax(-1).isnan().tolist(), strict=True)]

    def release(self, finished: set[int]) -> None:
        """Drop finished rows, then the columns that only hold padding."""
        import torch

        places = places_of([k for k, row in enumerate(self.rows) if row not in finished], len(self.rows))
        self.rows = [self.rows[k] for k in places]
        index = torch.tensor(places, dtype=torch.long, device=self.mask.device)
        self.mask, self.logits = self.mask[index], self.logits[index]
        self._next = {row: self._next[row] for row in self.rows}
        start = int(self.mask.any(0).int().argmax()) if self.rows else 0
        self.mask = self.mask[:, start:]
        for layer in self.cache.layers:
            layer.keep(places, start)


def _pad_columns(mask: "torch.Tensor", width: int) -> "torch.Tensor":
    from torch.nn.functional import pad

    return pad(mask, (width - mask.shape[1], 0))
