"""How probable a causal language model finds given continuations: one teacher-forced pass over what is distinct.

For the token c_t of a continuation after its prompt, with p = softmax of the logits that predict it:

    logprob  = ln p(c_t)
    hit      = c_t is the most probable token
    mean     = sum over the vocabulary of p ln p               (Min-K++, arXiv 2404.02936, eq. 3)
    variance = sum over the vocabulary of p (ln p - mean)^2

What sequences have in common goes through the model once: equal sequences, and the tokens that several begin with (a
template's system turn, the prompt of several answers, answers that differ in one fact). They are packed into rows whose
mask lets a token see its own ancestors only (`_packing`); on a CPU what is masked is not computed (`_tree_attention`).
Of TOFU's forget10_perturbed, seven continuations a question, 40 % of the tokens are left. Models that know no such mask
(state-space models, sliding windows shorter than a text, flash attention) read each sequence by itself.

Logits are computed where a continuation's token is predicted, and never all at once: on a CPU for a part of the
vocabulary at a time, whose sums are then added up; elsewhere for a block of places. They are taken to float32 there;
log-softmax is float32.
"""

import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from unlearn_bench.models import _output_layer, _packing, _tree_attention, _vocabulary
from unlearn_bench.models._batching import length_sorted_batches, run_batches, tokens_per_batch, unique
from unlearn_bench.models._fused_norm import fused_norms
from unlearn_bench.models._output_layer import OutputLayer
from unlearn_bench.models._packing import Row, TokenSequence, pack, rows_of_one
from unlearn_bench.models._plain_cache import sees_everything
from unlearn_bench.models._side_by_side import side_by_side
from unlearn_bench.models._tree_attention import attention_in_blocks, blocks_of, reading
from unlearn_bench.models._vocabulary import LEAST_LOGPROB, statistics

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_PART = 1 << 20  # elements of a part of the vocabulary on a CPU, where it stays in the cache
_BLOCK = {"cpu": 1 << 22}  # elements of a block of places with the whole vocabulary
_BLOCK_ELSEWHERE = 1 << 26
_MAX_TOKENS = 8192  # in a batch on an accelerator
_ROW_TOKENS = 512  # of a packed row: attention looks at all pairs of its tokens
_ROW_TOKENS_IN_BLOCKS = 768  # where it looks at few of them; each row holds what all texts begin with once

__all__ = ["LEAST_LOGPROB", "TeacherForcing", "TokenSequence", "TokenValues", "unique"]
_MOVES_NUMBERS = (_packing, _output_layer, _tree_attention, _vocabulary)
SOURCES = [*(Path(module.__file__) for module in _MOVES_NUMBERS), Path(__file__)]

log = logging.getLogger(__name__)


class TokenValues(NamedTuple):
    """Of the T tokens of a continuation, float32 (T,); NaN where the model returned NaN.

    Attributes:
        logprobs: At least `LEAST_LOGPROB`.
        hits: 1 for the most probable token, else 0; None where only log-probabilities were asked for, as are means and
            variances.
    """

    logprobs: np.ndarray
    hits: np.ndarray | None = None
    means: np.ndarray | None = None
    variances: np.ndarray | None = None

    @property
    def plain(self) -> "TokenValues":
        """The log-probabilities alone."""
        return TokenValues(self.logprobs)


class TeacherForcing:
    """Token sequences to what a model says of their continuations.

    Args:
        model: A causal language model in evaluation mode.
        max_tokens: Most tokens in a batch, padding included; None: many on an accelerator, few on a CPU.
        max_rows: Most rows in a batch.
        role: What the model is called where it does not fit into memory.
        hint: What to do then.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        *,
        max_tokens: int | None = None,
        max_rows: int = 64,
        role: str = "model",
        hint: str = "pass --dtype bfloat16",
    ) -> None:
        self.model = model
        self._output = OutputLayer(model)
        self._row_tokens = max_tokens
        self._max_tokens = max_tokens or tokens_per_batch(model.device.type, accelerator=_MAX_TOKENS)
        self._max_rows = max_rows
        self._role, self._hint = role, hint
        self._cuts = False  # whether attention knows blocks

    def __call__(
        self,
        sequences: Sequence[TokenSequence],
        detailed: Sequence[bool],
        on_finish: Callable[[int], None] = lambda _: None,
    ) -> list[TokenValues]:
        """Read every sequence.

        Args:
            sequences: All different, each with at least one token to predict.
            detailed: Whether hits, means and variances are wanted, too.
            on_finish: Called with the number of sequences just read.
        """
        with attention_in_blocks(self.model) as self._cuts, fused_norms(self.model):
            return self._values(sequences, detailed, on_finish)

    def _values(
        self, sequences: Sequence[TokenSequence], detailed: Sequence[bool], on_finish: Callable[[int], None]
    ) -> list[TokenValues]:
        rows = self._rows(sequences)
        values = self._read(rows, sequences, detailed, on_finish)
        # Within a packed row, NaN spreads through masked attention (0 * NaN) to sequences that have none of their own.
        spoilt = [i for row in rows if row.branches for i in row.paths if np.isnan(values[i].logprobs).any()]
        if spoilt:
            alone = [sequences[i] for i in spoilt]
            again = self._read(rows_of_one(alone), alone, [detailed[i] for i in spoilt], lambda _: None)
            for i, own in zip(spoilt, again, strict=True):
                values[i] = own
        return values

    def _rows(self, sequences: Sequence[TokenSequence]) -> list[Row]:
        longest = max((len(sequence.ids) for sequence in sequences), default=0)
        config = self.model.config.get_text_config()
        if len(sequences) < 2 or not sees_everything(self.model, longest) or not self._packs:
            return rows_of_one(sequences)
        positions = getattr(config, "max_position_embeddings", None) or _ROW_TOKENS
        usual = _ROW_TOKENS_IN_BLOCKS if self._cuts else min(self._max_tokens, _ROW_TOKENS)
        return pack(sequences, min(self._row_tokens or usual, usual, positions))

    @cached_property
    def _packs(self) -> bool:
        """Whether the model knows rows with branches: tried once, for a class may ignore or refuse their mask."""
        import torch

        pair = [TokenSequence((0, 1, 2, 3, 0), 1), TokenSequence((0, 2, 1, 3, 0), 1)]
        try:
            (packed,) = pack(pair, 8)
            together = self._states([packed])[0]
            apart = self._states(rows_of_one(pair))
        except Exception as error:  # a model class may refuse such a mask in any way
            log.info("sequences are read one by one: %s: %s", type(self.model).__name__, error)
            return False
        tolerance = 1e-3 if self.model.dtype == torch.float32 else 5e-2
        same = [together[packed.paths[i]] for i in (0, 1)]
        difference = (torch.stack(same) - apart).abs().max() / apart.abs().max()
        return bool(difference < tolerance)

    def _read(
        self,
        rows: Sequence[Row],
        sequences: Sequence[TokenSequence],
        detailed: Sequence[bool],
        on_finish: Callable[[int], None],
    ) -> list[TokenValues]:
        found: dict[int, TokenValues] = {}

        def run(batch: list[int]) -> list[None]:
            values = self._forward([rows[i] for i in batch], sequences, detailed)
            found.update(values)
            on_finish(len(values))
            return [None] * len(batch)

        batches = length_sorted_batches(
            [len(row) for row in rows], max_items=self._max_rows, max_tokens=self._max_tokens
        )
        with side_by_side(self.model) as each:
            run_batches(run, batches, len(rows), role=self._role, hint=self._hint, each=each)
        return [found[i] for i in range(len(sequences))]

    def _states(self, rows: Sequence[Row]) -> "torch.Tensor":
        """What the output layer reads of each place: (rows, T, width), rows padded on the right."""
        import torch

        device, width = self.model.device, max(map(len, rows))
        ids = [row.ids + row.ids[-1:] * (width - len(row)) for row in rows]
        inputs: dict[str, object] = {"input_ids": torch.tensor(ids, device=device), "use_cache": False}
        blocks = None
        if any(row.branches for row in rows):
            hidden = np.ones((len(rows), 1, width, width), dtype=bool)
            for i, row in enumerate(rows):
                hidden[i, 0, : len(row), : len(row)] = ~row.visible()
                hidden[i, 0, len(row) :, 0] = False  # padding must see something
            mask = torch.zeros(hidden.shape, dtype=self.model.dtype, device=device)
            inputs["attention_mask"] = mask.masked_fill_(
                torch.from_numpy(hidden).to(device), torch.finfo(mask.dtype).min
            )
            depths = [row.depths + [0] * (width - len(row)) for row in rows]
            inputs["position_ids"] = torch.tensor(depths, device=device)
            blocks = blocks_of(hidden[:, 0]) if self._cuts else None
        with torch.inference_mode(), reading(blocks):
            return self._output.states(**inputs)

    def _forward(
        self, rows: Sequence[Row], sequences: Sequence[TokenSequence], detailed: Sequence[bool]
    ) -> dict[int, TokenValues]:
        """Number of a sequence to its values, of all sequences in some rows."""
        states = self._states(rows)
        inside = [
            (number, i * states.shape[1], row.paths[number]) for i, row in enumerate(rows) for number in row.paths
        ]
        inside.sort(key=lambda entry: not detailed[entry[0]])
        places: dict[int, int] = {}  # place in the batch -> place among those whose logits are needed
        at, targets = [], []
        details = 0
        for number, offset, path in inside:
            sequence = sequences[number]
            at += [places.setdefault(offset + place, len(places)) for place in path[sequence.start - 1 :]]
            targets += sequence.ids[sequence.start :]
            details = len(places) if detailed[number] else details
        columns = self._columns(states.flatten(0, 1), list(places), details, np.array(at), np.array(targets))
        ends = np.cumsum([len(sequences[number].ids) - sequences[number].start for number, _, _ in inside])
        return {
            number: TokenValues(*(part if detailed[number] else part[:1]))
            for (number, _, _), part in zip(inside, np.split(columns, ends[:-1], axis=1), strict=True)
        }

    def _columns(
        self, states: "torch.Tensor", places: list[int], details: int, at: np.ndarray, targets: np.ndarray
    ) -> np.ndarray:
        """(4, N): log-probability, hit, mean and variance of N tokens; the last three of the first places only.

        Args:
            states: (P, width) of all places of a batch.
            places: Those that predict tokens.
            details: How many of them, from the first on, predict a token of which everything is wanted.
            at: (N,) which of `places` predicts each token.
            targets: (N,) the tokens.
        """
        import torch

        vocabulary = int(self.model.config.get_text_config().vocab_size)
        size = max(1, _BLOCK.get(states.device.type, _BLOCK_ELSEWHERE) // vocabulary)
        divided = states.device.type == "cpu" and self._output.divides
        if divided:
            size = len(places)
        cuts = sorted({*range(0, details, size), *range(details, len(places), size), len(places)})
        order = np.argsort(at, kind="stable")
        bounds = np.searchsorted(at[order], cuts)
        columns = np.full((4, len(targets)), np.nan, dtype=np.float32)
        with torch.inference_mode():
            for k, (first, last) in enumerate(pairwise(cuts)):
                own = order[bounds[k] : bounds[k + 1]]
                chosen = torch.as_tensor(np.stack([at[own] - first, targets[own]]), device=states.device)
                block = states[torch.tensor(places[first:last], device=states.device)]
                parts = self._output.parts(block, _PART) if divided else [(0, self._output.logits(block))]
                part = statistics(parts, chosen, detailed=first < details)
                columns[: len(part), own] = part.cpu().numpy()
        return columns
