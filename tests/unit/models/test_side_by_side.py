"""Batches of a small model in several threads: at the same time, with the same bits, and torch as it was afterwards."""

import threading

import pytest
import torch

from tests.tiny import tiny_model
from tests.unit.models.test_likelihood import CHANGES, DETAILED, SEQUENCES
from unlearn_bench.errors import UserError
from unlearn_bench.models import _side_by_side
from unlearn_bench.models._batching import run_batches
from unlearn_bench.models._side_by_side import side_by_side
from unlearn_bench.models.generation import generate_greedy
from unlearn_bench.models.likelihood import TeacherForcing


@pytest.fixture
def two_cores():
    cores = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(cores)


def values_of(model):
    """Of all sequences, a batch for almost each of them."""
    return [
        [part.tolist() for part in values if part is not None]
        for values in TeacherForcing(model, max_tokens=8)(SEQUENCES, DETAILED)
    ]


@pytest.mark.parametrize("kind", ["llama", "gpt_neox", "granite", "mamba"])
def test_values_have_the_same_bits_however_many_cores_there_are(kind, two_cores):
    model = tiny_model(kind, **CHANGES.get(kind, {}))
    threads = set()
    model.register_forward_hook(lambda *_: threads.add(threading.get_ident()))
    together = values_of(model)
    assert threads - {threading.get_ident()}
    torch.set_num_threads(1)
    threads.clear()
    assert values_of(model) == together
    assert threads == {threading.get_ident()}


def test_as_many_batches_as_cores_run_at_the_same_time_on_one_core_each(two_cores):
    both = threading.Barrier(2, timeout=300)  # broken where one batch waits for the other
    cores = []

    def run(batch):
        both.wait()
        cores.append(torch.get_num_threads())
        return batch

    with side_by_side(tiny_model()) as each:
        assert run_batches(run, [[3, 1], [0], [2], [4]], 5, role="model", each=each) == [0, 1, 2, 3, 4]
    assert cores == [1] * 4
    assert torch.get_num_threads() == 2


def test_a_big_model_gives_all_cores_to_each_operation(two_cores, monkeypatch):
    monkeypatch.setattr(_side_by_side, "MOST_WEIGHTS", 1000)
    with side_by_side(tiny_model()) as each:
        assert each is map
        assert torch.get_num_threads() == 2


def test_an_error_of_a_batch_is_that_of_the_call(two_cores):
    def run(_batch):
        raise UserError("the model is broken")

    with pytest.raises(UserError, match="broken"), side_by_side(tiny_model()) as each:
        run_batches(run, [[0], [1]], 2, role="model", each=each)
    assert torch.get_num_threads() == 2


def test_a_small_model_answers_with_one_core_for_each_operation(two_cores, monkeypatch):
    model, cores = tiny_model(), []
    model.register_forward_hook(lambda *_: cores.append(torch.get_num_threads()))
    ask = {"max_new_tokens": 2, "end_ids": frozenset(), "pad_id": 0, "batch_size": 2}
    generate_greedy(model, [[1, 5], [1, 6, 7]], **ask)
    assert set(cores) == {1}
    cores.clear()
    monkeypatch.setattr(_side_by_side, "MOST_WEIGHTS", 1000)
    generate_greedy(model, [[1, 5], [1, 6, 7]], **ask)
    assert set(cores) == {2}
    assert torch.get_num_threads() == 2
