"""Decoding with transformers' own `generate`, for models whose past cannot be refilled (see generation.py).

Prompts of one length form a batch, so that nothing is padded: not every such model honours an attention mask. Tokens
are chosen by the same function as elsewhere, so that a sampled answer depends on its own stream only.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from unlearn_bench.models.generation import Choose, Decoded, Stopped, greedy

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def generate_unpadded(
    model: "PreTrainedModel",
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: Sequence[int],
    end_ids: frozenset[int],
    pad_id: int,
    batch_size: int,
    on_finish: Callable[[int], None] = lambda _: None,
    choose: Choose = greedy,
    stopped: Stopped = lambda _row, _tokens: False,
) -> Decoded:
    """As `generate_greedy`, in static batches."""
    import torch
    from transformers import LogitsProcessorList, StoppingCriteriaList

    result = Decoded(tokens=[[] for _ in prompts])
    for rows, length, limit in _batches(prompts, max_new_tokens, batch_size):
        ids = torch.tensor([list(prompts[row]) for row in rows], device=model.device)
        with torch.inference_mode():
            output = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=limit,
                do_sample=False,
                eos_token_id=sorted(end_ids),
                pad_token_id=pad_id,
                logits_processor=LogitsProcessorList([_chooser(choose, rows, result.nan)]),
                stopping_criteria=StoppingCriteriaList([_stopper(stopped, rows, length)]),
            )
        for row, tokens in zip(rows, output[:, length:].tolist(), strict=True):
            result.tokens[row] = _answer(tokens, end_ids, lambda made, row=row: stopped(row, made))
        on_finish(len(rows))
    return result


def _batches(
    prompts: Sequence[Sequence[int]], limits: Sequence[int], batch_size: int
) -> Iterator[tuple[list[int], int, int]]:
    """(rows, length of their prompts, longest answer); the longest prompts first."""
    alike: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row, prompt in enumerate(prompts):
        alike[len(prompt), limits[row]].append(row)
    for (length, limit), rows in sorted(alike.items(), reverse=True):
        for start in range(0, len(rows), batch_size):
            yield rows[start : start + batch_size], length, limit


def _chooser(choose: Choose, rows: Sequence[int], nan: set[int]) -> Callable:
    """A logits processor that leaves only the chosen token; rows with NaN are noted."""

    def process(input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        nan.update(row for row, is_nan in zip(rows, scores.isnan().any(-1).tolist(), strict=True) if is_nan)
        tokens = choose(scores.nan_to_num(), rows)
        only = scores.new_full(scores.shape, float("-inf"))
        only[range(len(tokens)), tokens] = 0
        return only

    return process


def _stopper(stopped: Stopped, rows: Sequence[int], length: int) -> Callable:
    def done(input_ids: "torch.Tensor", scores: object, **kwargs: object) -> "torch.Tensor":
        flags = [stopped(row, tokens) for row, tokens in zip(rows, input_ids[:, length:].tolist(), strict=True)]
        return input_ids.new_tensor(flags, dtype=bool)

    return done


def _answer(tokens: Sequence[int], end_ids: frozenset[int], stopped: Callable[[list[int]], bool]) -> list[int]:
    """The tokens before the first end token, and not beyond the stop: a batch goes on until its last row is done."""
    made: list[int] = []
    for token in tokens:
        if token in end_ids:
            break
        made.append(token)
        if stopped(made):
            break
    return made
