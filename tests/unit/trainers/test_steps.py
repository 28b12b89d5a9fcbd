"""SURE and MemFlex: the masks reach the optimizer."""

from itertools import pairwise

import pytest
import torch

from tests.tiny_training import make_model, make_tokenizer, weights
from unlearn_bench.errors import UserError
from unlearn_bench.trainers import _data, _rows
from unlearn_bench.trainers._batches import PairedDataset
from unlearn_bench.trainers.config import Lora, TrainConfig, training_arguments
from unlearn_bench.trainers.memflex import MemFlexStep, is_located
from unlearn_bench.trainers.method import parse
from unlearn_bench.trainers.sure import neuron_masks
from unlearn_bench.trainers.trainer import UnlearnTrainer

pytestmark = pytest.mark.slow


def _trainer(tmp_path, files, method: str, options=None, *, model=None, **settings) -> UnlearnTrainer:
    encoder = _data.Encoder(make_tokenizer())
    data = {side: [encoder(row, row.answer) for row in _rows.load_rows([files[side]])] for side in ("forget", "retain")}
    config = TrainConfig(model="m", method=method, output=str(tmp_path), epochs=3, learning_rate=1e-2, **settings)
    return UnlearnTrainer(
        model=model or make_model(),
        method=parse(method, options),
        data=PairedDataset(data),
        args=training_arguments(config),
        tokenizer=make_tokenizer(),
    )


def test_masks_are_percentiles_of_row_norms_over_all_matrices() -> None:
    # Row norms 1 … 10 over two matrices; above the 70th percentile (7.3 by linear interpolation) are 8, 9 and 10.
    a = torch.diag(torch.arange(1.0, 7.0))
    b = torch.diag(torch.arange(7.0, 11.0))
    masks = neuron_masks({"a": a, "b": b}, 70.0)
    assert masks["a"].flatten().tolist() == [False] * 6
    assert masks["b"].flatten().tolist() == [False, True, True, True]


@pytest.mark.parametrize("terms", ["ga+gdr", "npo+gdr"])
def test_sure_moves_chosen_rows_and_no_others(tmp_path, files, terms: str) -> None:
    trainer = _trainer(tmp_path, files, f"sure+{terms}", {"sure": {"percentile": 90}})
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.train()
    masks = trainer.step_rule.masks
    matrices = [name for name, p in trainer.model.named_parameters() if ".layers." in name and p.ndim == 2]
    assert sorted(masks) == sorted(matrices)
    chosen = sum(int(masks[name].sum()) for name in matrices)
    assert chosen == pytest.approx(0.1 * sum(len(masks[name]) for name in matrices), abs=1)
    for name, parameter in trainer.model.named_parameters():
        moved = (parameter != before[name]).flatten(1).any(dim=1) if parameter.ndim > 1 else (parameter != before[name])
        expected = masks[name].flatten() if name in matrices else torch.zeros_like(moved)
        assert torch.equal(moved, expected), name


def test_sure_chooses_by_the_forget_gradient_of_the_start(tmp_path, files) -> None:
    trainer = _trainer(tmp_path, files, "sure+ga+gdr", {"sure": {"percentile": 50}})
    trainer.step_rule.prepare(trainer)
    model = make_model().eval()
    total = 0
    for row in _rows.load_rows([files["forget"]]):  # one row at a time, without padding
        encoded = _data.Encoder(make_tokenizer())(row, row.answer)
        ids, labels = torch.tensor([encoded.input_ids]), torch.tensor([encoded.labels])
        n = int((labels != -100).sum())
        (model(input_ids=ids, labels=labels).loss * n).backward()
        total += n
    names = [n for n, p in model.named_parameters() if p.ndim == 2 and ".layers." in n]
    norms = {n: dict(model.named_parameters())[n].grad.norm(dim=1) / total for n in names}
    threshold = torch.cat(list(norms.values())).quantile(0.5)
    for name in names:
        assert torch.equal(norms[name] > threshold, trainer.step_rule.masks[name].flatten()), name
    assert all(p.grad is None for p in trainer.model.parameters())


def test_sure_with_an_adapter_masks_rows_of_the_weights_change(run) -> None:
    outcome = run("sure+ga+gdr", lora=Lora(r=2, alpha=4, dropout=0.0), options={"sure": {"percentile": 80}})
    changed = torch.cat([w.abs().sum(dim=1) > 0 for name, w in weights(outcome.folder).items() if "lora_B" in name])
    assert 0 < int(changed.sum()) <= 0.2 * len(changed) + 1


def test_sure_refuses_what_would_move_masked_rows(run) -> None:
    with pytest.raises(UserError, match="weight decay"):
        run("sure", weight_decay=0.1)
    with pytest.raises(UserError, match="percentile"):
        run("sure", "other", options={"sure": {"percentile": 100}})


def test_location_rule() -> None:
    # cos = 0.6 < 0.92 and mean |g_f| = 0.0007 > 0.0006
    forget = torch.tensor([6.0, 8.0]) * 1e-4
    assert is_located(forget, torch.tensor([1.0, 0.0]))
    assert not is_located(forget, torch.tensor([6.0, 8.0]))  # the same direction
    assert not is_located(forget / 2, torch.tensor([1.0, 0.0]))  # too small
    assert is_located(forget, torch.tensor([6.0, 8.0]), cosine=1.1)


def test_memflex_leaves_other_tensors_exactly_as_they_were(tmp_path, files) -> None:
    # A threshold in the middle of the tensors' gradient sizes, so that some are chosen and some are not.
    trainer = _trainer(tmp_path, files, "memflex+ga+gdr", {"memflex": {"gradient": 2e-2}}, accumulate=2, batch_size=2)
    chosen, moved = [], []

    class Watch(MemFlexStep):
        def finish(self, trainer) -> None:
            super().finish(trainer)
            chosen.append(set(self.chosen))
            self.before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}

    trainer.step_rule = Watch(cosine=0.92, gradient=2e-2)
    step = type(trainer.callback_handler.callbacks[0])

    class After(step):
        def __init__(self) -> None:
            pass

        def on_train_begin(self, *args, **kwargs) -> None: ...
        def on_epoch_begin(self, *args, **kwargs) -> None: ...
        def on_pre_optimizer_step(self, *args, **kwargs) -> None: ...
        def on_save(self, *args, **kwargs) -> None: ...

        def on_step_end(self, args, state, control, **kwargs) -> None:
            rule = trainer.step_rule
            moved.append({n for n, p in trainer.model.named_parameters() if not torch.equal(p, rule.before[n])})

    trainer.add_callback(After())
    trainer.train()
    assert len(chosen) == len(moved) == 6
    assert moved == chosen
    assert any(chosen)
    assert any(len(names) < 30 for names in chosen)
    # Adam's momentum would move tensors that were chosen before and are not now.
    assert any(earlier - later for earlier, later in pairwise(chosen))


def test_memflex_gradient_is_the_weighted_sum(tmp_path, files) -> None:
    trainer = _trainer(tmp_path, files, "memflex", {"memflex": {"cosine": 2.0, "gradient": 0.0}}, batch_size=8)
    plain = _trainer(tmp_path / "plain", files, "0.4*ga+2*gdr", batch_size=8)
    trainer.train()
    plain.train()
    # With thresholds that choose everything, MemFlex is the plain weighted sum.
    first = [entry["grad_norm"] for entry in trainer.state.log_history if "loss" in entry]
    second = [entry["grad_norm"] for entry in plain.state.log_history if "loss" in entry]
    assert first == pytest.approx(second, rel=1e-4)


def test_memflex_needs_both_sides(run) -> None:
    with pytest.raises(UserError, match="compares a forget with a retain gradient"):
        run("memflex+ga")
