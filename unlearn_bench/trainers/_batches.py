"""From encoded rows to batches: what is drawn in which order, and how it is padded.

An epoch passes once over the forget set (the retain set where there is no forget term) and draws as many retain rows
from an endless shuffled stream, so that all of them come round equally often. The order of an epoch depends on the
rows, the seed and the rows per optimizer step only: one process with batch 4 takes the same steps as two with batch
2.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unlearn_bench.losses.base import IGNORE, Group
from unlearn_bench.trainers._data import Encoded

GROUPS: tuple[Group, ...] = ("forget", "preferred", "retain")
FILLER = -1  # fills the last step of an epoch; has no answer token and so counts nowhere


@dataclass(frozen=True)
class Example:
    """One draw: for each group the row's index (FILLER for none) and its tokens."""

    rows: Mapping[Group, tuple[int, Encoded | None]]


class PairedDataset(torch.utils.data.Dataset):
    """Forget rows, their preferred answers, and retain rows; indexed by a pair (forget index, retain index)."""

    def __init__(self, groups: Mapping[Group, Sequence[Encoded]]) -> None:
        self.groups = dict(groups)
        forget, preferred = self.groups.get("forget"), self.groups.get("preferred")
        if forget is not None and preferred is not None and len(forget) != len(preferred):
            raise ValueError("each forget row needs one preferred answer")
        if not any(self.groups.values()):
            raise ValueError("no rows to train on")

    @property
    def passed_over(self) -> Sequence[Encoded]:
        """The rows of which an epoch takes each once."""
        return next(self.groups[name] for name in GROUPS if name in self.groups)

    def __len__(self) -> int:
        return len(self.passed_over)

    def __getitem__(self, pair: tuple[int, int]) -> Example:
        index = {"forget": pair[0], "preferred": pair[0], "retain": pair[1]}
        return Example(
            {
                group: (index[group], None if index[group] == FILLER else rows[index[group]])
                for group, rows in self.groups.items()
            }
        )


class StepSampler(torch.utils.data.Sampler):
    """Pairs (forget index, retain index) in steps of similar length.

    Args:
        rows_per_step: Rows of an optimizer step, over all processes and accumulated micro-batches.
        group_by_length: Sort by length within pools of up to 50 steps, at least four pools an epoch, so that steps stay
            random while little is padded.
    """

    def __init__(self, data: PairedDataset, *, rows_per_step: int, seed: int = 0, group_by_length: bool = True) -> None:
        self.data = data
        self.rows_per_step = rows_per_step
        self.seed = seed
        self.group_by_length = group_by_length
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration follows."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.data) // self.rows_per_step) * self.rows_per_step

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rows, retain = self.data.passed_over, self.data.groups.get("retain")
        paired = retain is not None and rows is not retain
        size = len(self.data)
        first = self._order(self.epoch, size)
        second = self._stream(len(retain), size) if paired else first
        steps = []
        for start in range(0, size, self._pool(size)):
            stop = start + self._pool(size)
            left = self._sorted(first[start:stop], rows)
            right = self._sorted(second[start:stop], retain) if paired else left
            steps += self._steps(list(zip(left, right, strict=True)))
        for place in self._order(self.epoch, len(steps), stream=2):
            yield from steps[place]

    def _pool(self, size: int) -> int:
        steps = size // (4 * self.rows_per_step)
        return self.rows_per_step * max(1, min(50, steps)) if self.group_by_length else self.rows_per_step

    def _sorted(self, indices: Sequence[int], rows: Sequence[Encoded]) -> list[int]:
        if not self.group_by_length:
            return [int(i) for i in indices]
        return [int(i) for i in sorted(indices, key=lambda i: len(rows[i].input_ids))]

    def _steps(self, pairs: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
        chunks = [pairs[i : i + self.rows_per_step] for i in range(0, len(pairs), self.rows_per_step)]
        chunks[-1] = chunks[-1] + [(FILLER, FILLER)] * (self.rows_per_step - len(chunks[-1]))
        return chunks

    def _order(self, epoch: int, size: int, *, stream: int = 0) -> np.ndarray:
        return np.random.default_rng([self.seed, stream, epoch]).permutation(size)

    def _stream(self, n_rows: int, size: int) -> np.ndarray:
        """Places epoch * size … of the endless concatenation of permutations of the retain rows."""
        begin = self.epoch * size
        passes = range(begin // n_rows, (begin + size - 1) // n_rows + 1)
        joined = np.concatenate([self._order(p, n_rows, stream=1) for p in passes])
        offset = begin - passes.start * n_rows
        return joined[offset : offset + size]


@dataclass(frozen=True)
class Collator:
    """Examples to one padded batch of all groups: the model runs once a step, which DDP and FSDP need."""

    pad_token_id: int

    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Pad to the longest row.

        Returns:
            input_ids, attention_mask, labels (R, T); group (R,), an index into GROUPS; row (R,), one into the group.
        """
        entries = [(g, *e.rows[name]) for g, name in enumerate(GROUPS) for e in examples if name in e.rows]
        width = max((len(encoded.input_ids) for _, _, encoded in entries if encoded is not None), default=1)
        input_ids = torch.full((len(entries), width), self.pad_token_id)
        labels = torch.full((len(entries), width), IGNORE)
        attention = torch.zeros(len(entries), width, dtype=torch.long)
        for place, (_, _, encoded) in enumerate(entries):
            ids = encoded.input_ids if encoded is not None else [self.pad_token_id]
            input_ids[place, : len(ids)] = torch.tensor(ids)
            attention[place, : len(ids)] = 1
            if encoded is not None:
                labels[place, : len(ids)] = torch.tensor(encoded.labels)
        return {
            "input_ids": input_ids,
            "attention_mask": attention,
            "labels": labels,
            "group": torch.tensor([g for g, _, _ in entries]),
            "row": torch.tensor([r for _, r, _ in entries]),
        }


def count_elements(batch: Mapping[str, Tensor], *, ignore_first: int = 0) -> Tensor:
    """How many elements of each of `KINDS` each group has: (3 groups, 4 kinds), int64.

    Args:
        batch: What `Collator` made.
        ignore_first: Number of answer tokens at the start of each sequence that do not count as later tokens.
    """
    answers = (batch["labels"][:, 1:] != IGNORE).sum(dim=1)
    counts = torch.zeros(len(GROUPS), len(KINDS), dtype=torch.long, device=answers.device)
    positions = torch.full_like(answers, batch["labels"].shape[1])
    later = (answers - ignore_first).clamp(min=0)
    per_row = torch.stack([answers, answers > 0, positions, later], dim=1)
    return counts.index_add(0, batch["group"].to(answers.device), per_row.long())


KINDS = ("token", "sequence", "position", "later_token")
