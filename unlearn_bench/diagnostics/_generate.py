"""The model's own first words: plain greedy decoding that no generation_config can leak into."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from unlearn_bench.diagnostics._hooks import Decoder
from unlearn_bench.diagnostics._prompts import Batch, Prompt


@torch.no_grad()
def run_free(decoder: Decoder, batch: Batch, *, positions: int, ends: frozenset[int]) -> tuple[list[Prompt], Tensor]:
    """Let the model answer for a few positions.

    Args:
        decoder: The model.
        batch: The prompts; their reference answers are cut off.
        positions: How many tokens; at most as many as the reference answer has, up to the model's end token.
        ends: Ids that end an answer.

    Returns:
        The prompts with the model's answer in place of the reference, `asked` over it; the logits at these positions,
        flat, (asked, V).
    """
    positions = min(positions, max(len(p.ids) - p.start for p in batch.prompts))
    own, logits = _greedy(decoder, batch, positions)
    prompts, kept = [], []
    for row, prompt in enumerate(batch.prompts):
        length = min(positions, len(prompt.ids) - prompt.start, _until_end(own[row].tolist(), ends))
        answer = tuple(own[row, :length].tolist())
        asked = tuple(range(prompt.start, prompt.start + length))
        prompts.append(replace(prompt, ids=prompt.ids[: prompt.start] + answer, asked=asked))
        kept.append(logits[row, :length])
    return prompts, torch.cat(kept)


def _greedy(decoder: Decoder, batch: Batch, positions: int) -> tuple[Tensor, Tensor]:
    """Tokens (batch, positions) and float32 logits (batch, positions, V); prompts padded on the left for the cache."""
    longest = max(p.start for p in batch.prompts)
    padded = [[batch.pad] * (longest - p.start) + list(p.ids[: p.start]) for p in batch.prompts]
    ids = torch.tensor(padded, device=batch.device)
    starts = torch.tensor([longest - p.start for p in batch.prompts], device=batch.device)
    mask = (torch.arange(longest, device=batch.device)[None] >= starts[:, None]).long()
    cache, tokens, logits = None, [], []
    for _ in range(positions):
        places = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        output = decoder.body(
            input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache, use_cache=True
        )
        cache = output.past_key_values
        logits.append(decoder.read(output[0][:, -1]))
        ids = logits[-1].nan_to_num(0.0, 0.0, 0.0).argmax(-1, keepdim=True)
        tokens.append(ids)
        mask = torch.cat([mask, torch.ones_like(ids)], 1)
    return torch.cat(tokens, 1), torch.stack(logits, 1)


def _until_end(tokens: Sequence[int], ends: frozenset[int]) -> int:
    """Length of the answer with its end token, which is a choice of the model too."""
    return next((i + 1 for i, token in enumerate(tokens) if token in ends), len(tokens))
