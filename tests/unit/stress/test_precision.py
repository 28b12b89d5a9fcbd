import pytest
import torch

from tests.tiny import tiny_model, tiny_tokenizer
from unlearn_bench.stress.base import CannotRun, Subject
from unlearn_bench.stress.precision import STRESS, apply


def test_a_model_computes_in_another_type_and_has_its_own_weights_back(tmp_path):
    model = tiny_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    subject = Subject(model, tiny_tokenizer(), {}, tmp_path)
    with apply("bfloat16", subject) as changed:
        assert changed(torch.tensor([[1, 2, 3]])).logits.dtype == torch.bfloat16
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    already = Subject(model.bfloat16(), tiny_tokenizer(), {}, tmp_path)
    with pytest.raises(CannotRun, match="computes in bfloat16 already"), apply("bfloat16", already):
        pass


def test_batches_of_another_size_change_no_weight(tmp_path):
    model = tiny_model()
    with apply("batch1", Subject(model, tiny_tokenizer(), {}, tmp_path)) as same:
        assert same is model
    assert STRESS.asked["batch1"] == {"batch_size": 1}
