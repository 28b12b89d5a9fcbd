"""Order and padding: every row once, retain rows equally often, similar lengths together."""

from collections import Counter

import numpy as np
import pytest

from unlearn_bench.trainers._batches import FILLER, GROUPS, Collator, PairedDataset, StepSampler, count_elements
from unlearn_bench.trainers._data import Encoded


def _rows(lengths) -> list[Encoded]:
    return [Encoded(list(range(1, int(n) + 1)), 1) for n in lengths]


def _data(forget: int, retain: int, seed: int = 0) -> PairedDataset:
    rng = np.random.default_rng(seed)
    groups = {"forget": _rows(rng.integers(5, 60, forget)), "retain": _rows(rng.integers(5, 60, retain))}
    return PairedDataset({name: rows for name, rows in groups.items() if rows})


@pytest.mark.parametrize("n_forget", [1, 7, 8, 41])
@pytest.mark.parametrize("group_by_length", [True, False])
def test_each_forget_row_once_an_epoch(n_forget: int, group_by_length: bool) -> None:
    sampler = StepSampler(_data(n_forget, 5), rows_per_step=4, group_by_length=group_by_length)
    pairs = list(sampler)
    assert len(pairs) == len(sampler) == -(-n_forget // 4) * 4
    assert sorted(i for i, _ in pairs if i != FILLER) == list(range(n_forget))
    assert all((i == FILLER) == (j == FILLER) for i, j in pairs)


def test_retain_rows_come_round_equally_often_over_epochs() -> None:
    sampler = StepSampler(_data(7, 5), rows_per_step=4)
    seen = Counter()
    for epoch in range(10):  # 70 draws of 5 rows
        sampler.set_epoch(epoch)
        seen.update(j for _, j in sampler if j != FILLER)
    assert set(seen.values()) == {14}


def test_order_depends_on_seed_and_epoch_only() -> None:
    def order(seed: int, epoch: int) -> list:
        sampler = StepSampler(_data(41, 9), rows_per_step=4, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_grouping_pads_less_and_steps_stay_random() -> None:
    data = _data(400, 400)

    def padding(group: bool) -> float:
        pairs = [p for p in StepSampler(data, rows_per_step=8, group_by_length=group) if p[0] >= 0]
        lengths = [len(data.groups["forget"][i].input_ids) for i, _ in pairs]
        steps = [lengths[k : k + 8] for k in range(0, len(lengths), 8)]
        return sum(max(s) * len(s) for s in steps) / sum(lengths)

    assert padding(True) < 1.1 < 1.4 < padding(False)
    sampler = StepSampler(data, rows_per_step=8)
    first = {frozenset(list(sampler)[:8])}
    sampler.set_epoch(1)
    assert frozenset(list(sampler)[:8]) not in first


def test_retain_alone_is_passed_over() -> None:
    data = _data(0, 6)
    pairs = list(StepSampler(data, rows_per_step=4))
    assert sorted(j for _, j in pairs if j != FILLER) == list(range(6))
    assert len(data) == 6


def test_collator_pads_to_the_longest_and_fillers_count_nowhere() -> None:
    data = PairedDataset({"forget": _rows([3, 5]), "retain": _rows([4])})
    batch = Collator(pad_token_id=9)([data[(0, 0)], data[(1, 0)], data[(FILLER, FILLER)]])
    assert batch["input_ids"].tolist()[0] == [1, 2, 3, 9, 9]
    assert batch["labels"].tolist()[0] == [-100, 2, 3, -100, -100]
    assert batch["group"].tolist() == [0, 0, 0, 2, 2, 2]
    assert batch["row"].tolist() == [0, 1, -1, 0, 0, -1]
    # tokens: 2 + 4 of forget, 3 + 3 of retain; positions: three rows of 5 each; later tokens: all, nothing is ignored
    assert count_elements(batch).tolist() == [[6, 2, 15, 6], [0, 0, 0, 0], [6, 2, 15, 6]]
    # three tokens of each answer ignored: 0 + 1 are left of forget, none of retain
    assert count_elements(batch, ignore_first=3)[:, 3].tolist() == [1, 0, 0]
    assert GROUPS == ("forget", "preferred", "retain")


def test_preferred_answers_pair_with_their_rows() -> None:
    with pytest.raises(ValueError, match="one preferred answer"):
        PairedDataset({"forget": _rows([3, 3]), "preferred": _rows([3])})
