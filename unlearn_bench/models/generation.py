"""Decoding of many prompts, greedy or sampled, with early release and refill.

Answers differ in length, and a batch that waits for its longest answer wastes most of its steps. Here a finished row
gives its place to the next prompt (continuous batching): new prompts are prefilled together and their keys and values
are joined, left-padded, to those of the rows that go on. Columns that only hold padding are cut again, so memory
follows the longest living row. A model step is a decode step; `Decoded.steps` counts them.

Works with any decoder whose cache is a plain `DynamicCache`; others (state-space models, hybrids, models without a
cache) raise `Unsupported`.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unlearn_bench.models._roomy_cache import roomy_cache

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Choose = Callable[["torch.Tensor", Sequence[int]], list[int]]
Stopped = Callable[[int, list[int]], bool]
ATTENTION = frozenset({"attention", "full_attention", "sliding_attention", "chunked_attention"})
REFILL_SHARE = 8  # refill when 1/8 of the places are free: a prefill costs about one decode step


class Unsupported(Exception):
    """The model keeps its past in another form than keys and values per position."""


def greedy(logits: "torch.Tensor", rows: Sequence[int]) -> list[int]:
    """The most probable token of each row."""
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
    check_supported(model)
    limits = [max_new_tokens] * len(prompts) if isinstance(max_new_tokens, int) else list(max_new_tokens)
    decoder = _Decoder(model, pad_id, choose)
    result = Decoded(tokens=[[] for _ in prompts])
    waiting = list(range(len(prompts)))
    while waiting or decoder.rows:
        free = batch_size - len(decoder.rows)
        if waiting and (not decoder.rows or free >= max(1, batch_size // REFILL_SHARE)):
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


def check_supported(model: "PreTrainedModel") -> None:
    """Refuse a model that keeps its past in another form than keys and values per position.

    Raises:
        Unsupported: for state-space models and hybrids (`_is_stateful`, or layers other than attention), and for
            models that take no cache.
    """
    config = getattr(model, "config", None)
    kinds = getattr(config.get_text_config(), "layer_types", None) if config is not None else None
    other = set(kinds or ()) - ATTENTION
    if other or getattr(model, "_is_stateful", False) or "past_key_values" not in _forward_arguments(model):
        raise Unsupported(type(model).__name__)


def _forward_arguments(model: "PreTrainedModel") -> frozenset[str]:
    own = model.get_base_model() if hasattr(model, "get_base_model") else model  # peft's forward takes anything
    return frozenset(inspect.signature(own.forward).parameters)


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

    def __init__(self, model: "PreTrainedModel", pad_id: int, choose: Choose) -> None:
        self.model = model
        self.pad_id = pad_id
        self.choose = choose
        self.rows: list[int] = []
        self._next: dict[int, int] = {}
        self._last_only = "logits_to_keep" in _forward_arguments(model)

    def admit(self, rows: list[int], prompts: list[Sequence[int]]) -> None:
        """Prefill new prompts together and join them to the living rows."""
        import torch

        width = max(map(len, prompts))
        device = self.model.device
        ids = torch.tensor([[self.pad_id] * (width - len(p)) + list(p) for p in prompts], device=device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
        cache = roomy_cache()
        logits = self._forward(ids, mask, cache, positions=(mask.cumsum(-1) - 1).clamp(min=0))
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
            mine.keys = torch.cat([_pad_left(mine.keys, width), _pad_left(new.keys, width)])
            mine.values = torch.cat([_pad_left(mine.values, width), _pad_left(new.values, width)])
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
        import torch

        extra = {"logits_to_keep": 1} if self._last_only else {}
        with torch.inference_mode():
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
        return [(row, chosen[row], is_nan) for row, is_nan in zip(rows, logits.isnan().any(-1).tolist(), strict=True)]

    def release(self, finished: set[int]) -> None:
        """Drop finished rows, then the columns that only hold padding."""
        import torch

        keep = [k for k, row in enumerate(self.rows) if row not in finished]
        self.rows = [self.rows[k] for k in keep]
        index = torch.tensor(keep, dtype=torch.long, device=self.mask.device)
        self.mask, self.logits = self.mask[index], self.logits[index]
        self._next = {row: self._next[row] for row in self.rows}
        start = int(self.mask.any(0).int().argmax()) if self.rows else 0
        self.mask = self.mask[:, start:]
        for layer in self.cache.layers:
            layer.keys = layer.keys[index][:, :, start:]
            layer.values = layer.values[index][:, :, start:]


def _pad_left(states: "torch.Tensor", width: int) -> "torch.Tensor":
    from torch.nn.functional import pad

    return pad(states, (0, 0, width - states.shape[-2], 0))


def _pad_columns(mask: "torch.Tensor", width: int) -> "torch.Tensor":
    from torch.nn.functional import pad

    return pad(mask, (width - mask.shape[1], 0))
