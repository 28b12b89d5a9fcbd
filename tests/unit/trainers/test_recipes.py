"""Weight-space methods and retraining."""

import json

import pytest
import torch
from safetensors.torch import load_file

from tests.tiny_training import trajectory, weights
from unlearn_bench.errors import UserError
from unlearn_bench.trainers.config import Lora
from unlearn_bench.trainers.merge import ties

pytestmark = pytest.mark.slow

LORA = Lora(r=2, alpha=4, dropout=0.0)


def test_task_vector_walks_the_other_way(run, checkpoint) -> None:
    tuned = weights(run("relearn+0*gdr", "tuned").folder)  # cross entropy on the forget set
    negated = weights(run("task_vector", "negated", options={"task_vector": {"alpha": 3.0}}).folder)
    for name, before in load_file(checkpoint / "model.safetensors").items():
        torch.testing.assert_close(negated[name], before - 3.0 * (tuned[name] - before), atol=1e-5, rtol=1e-5)


def test_task_vector_of_an_adapter_negates_b(run) -> None:
    tuned = weights(run("relearn+0*gdr", "tuned", lora=LORA).folder)
    negated = weights(run("task_vector", "negated", lora=LORA).folder)
    for name, value in tuned.items():
        torch.testing.assert_close(negated[name], -5.0 * value if "lora_B" in name else value)


def test_retrain_is_plain_training_on_the_retain_set(run) -> None:
    outcome = run("retrain")
    assert set(outcome.terms) == {"retain/gdr"}
    record = json.loads((outcome.folder / "training.json").read_text(encoding="utf-8"))
    assert set(record["data"]) == {"retain"}
    assert record["steps"] == 4  # 5 rows, 4 a step, 2 epochs


def test_ties_by_hand() -> None:
    # density 0.5 keeps the two largest of each: (4, -3, 0, 0) and (0, 2, 5, 0). Signs by sum: +, -, +, none.
    # Entry 2: -3 and +2 sum to -1, so only -3 agrees.
    first, second = torch.tensor([4.0, -3.0, 1.0, 0.5]), torch.tensor([-1.0, 2.0, 5.0, 0.1])
    assert ties([first, second], density=0.5).tolist() == [4.0, -3.0, 5.0, 0.0]
    # All kept: 4 - 1 = +3: 4; -3 + 2 = -1: -3; 1 + 5: 3; 0.5 + 0.1: 0.3
    assert ties([first, second], density=1.0).tolist() == pytest.approx([4.0, -3.0, 3.0, 0.3])


def test_merge_of_a_method_with_itself_is_that_method(run, checkpoint) -> None:
    same = {"first": "npo+gdr", "second": "npo+gdr", "density": 1.0}
    merged = weights(run("merge", "merged", lora=LORA, options={"merge": same}).folder)
    adapter = weights(run("npo+gdr", "single", lora=LORA).folder)
    before = load_file(checkpoint / "model.safetensors")
    name = "model.layers.0.mlp.down_proj"
    a, b = (adapter[f"base_model.model.{name}.lora_{part}.weight"] for part in "AB")
    change = merged[f"{name}.weight"] - before[f"{name}.weight"]
    torch.testing.assert_close(change, 2.0 * b @ a, atol=1e-6, rtol=1e-3)  # alpha / r = 2
    assert change.abs().max() > 1e-4
    assert torch.equal(merged["model.embed_tokens.weight"], before["model.embed_tokens.weight"])


def test_whp_goes_back_to_the_start_and_distils(run) -> None:
    options = {"whp": {"alpha": 5.0, "reinforce_epochs": 8}}
    outcome = run("whp", options=options)
    # It starts from the original weights: the retain loss is that of the first step of any other method.
    other = trajectory(run("npo+gdr", "other").folder)[0]["retain/gdr"]
    assert trajectory(outcome.folder)[0]["retain/gdr"] == pytest.approx(other, abs=1e-4)
    assert sorted(p.name for p in outcome.folder.glob("*.safetensors")) == ["model.safetensors"]
    alone = trajectory(run("whp", "alone", options=options, retain=(), epochs=6, learning_rate=5e-3).folder)
    assert alone[-1]["forget/whp"] < alone[0]["forget/whp"]


@pytest.mark.parametrize("method", ["whp", "merge"])
def test_stages_cannot_be_resumed_and_say_so(run, method: str) -> None:
    with pytest.raises(UserError, match="cannot be resumed"):
        run(method, resume=True)


def test_unknown_option_of_a_recipe(run) -> None:
    with pytest.raises(UserError, match="option of task_vector 'alhpa'"):
        run("task_vector", options={"task_vector": {"alhpa": 1}})
