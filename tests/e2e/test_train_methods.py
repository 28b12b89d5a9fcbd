"""Every method from the command line to an ordinary checkpoint or adapter: stock libraries load it, `run` scores it."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.tiny_training import NAMES, make_model, make_rows, make_tokenizer, trajectory
from unlearn_bench.cli import main
from unlearn_bench.losses import LOSSES
from unlearn_bench.trainers import RECIPES, STEPS
from unlearn_bench.trainers.method import uses

pytestmark = pytest.mark.slow

METHODS = sorted({*LOSSES.names(), *STEPS.names(), *RECIPES.names()})
RETAIN_TERMS = {name for name in LOSSES.names() if LOSSES.get(name).side == "retain"}
LAYER = ["--set", "rmu_retain.layer=1"]
MORE = {"rmu": ["--set", "rmu.layer=1", *LAYER], "rmu_retain": LAYER, "sure": ["--set", "sure.percentile=50"]}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("methods") / "model"
    make_model().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    for name, rows in (("forget", make_rows(NAMES[:7], 0)), ("retain", make_rows(NAMES[7:], 3))):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder.parent / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return folder


def _train(model: Path, output: Path, method: str, *more: str) -> None:
    # A retain term needs a forget term to go with.
    name = f"ga+{method}" if method in RETAIN_TERMS else method
    used = sorted({"forget", "retain"} & uses(name))
    sets = [word for side in used for word in (f"--{side}", str(model.parent / f"{side}.jsonl"))]
    sets += ["--raw"] if "raw" in uses(name) else []
    settings = ["--max-steps", "2", "--learning-rate", "1e-2", "--quiet", *MORE.get(method, [])]
    given = ["train", "--model", str(model), "--method", name, "--output", str(output)]
    assert main([*given, *sets, *settings, *more]) == 0


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"merge"}))
def test_every_method_leaves_an_ordinary_checkpoint(model: Path, tmp_path: Path, method: str) -> None:
    _train(model, tmp_path / "out", method)
    before = AutoModelForCausalLM.from_pretrained(model)
    after = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    pairs = zip(before.parameters(), after.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)
    _speaks(after, tmp_path / "out")


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"merge"}))
def test_every_method_trains_an_adapter(model: Path, tmp_path: Path, method: str) -> None:
    from peft import AutoPeftModelForCausalLM

    _train(model, tmp_path / "out", method, "--lora", "r=2,alpha=4,dropout=0")
    after = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "out")
    changed = [p for name, p in after.named_parameters() if "lora_B" in name]
    assert changed
    assert any(p.abs().sum() > 0 for p in changed)
    _speaks(after, tmp_path / "out")


def test_merge_makes_a_checkpoint_of_two_adapters(model: Path, tmp_path: Path) -> None:
    _train(model, tmp_path / "out", "merge")
    _speaks(AutoModelForCausalLM.from_pretrained(tmp_path / "out"), tmp_path / "out")
    record = json.loads((tmp_path / "out" / "training.json").read_text(encoding="utf-8"))
    assert record["procedure"]["options"]["first"] == "0.4*npo+0.4*klr+0.2*gdr"


def _speaks(model: torch.nn.Module, folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer("Question : Where does Ada live ? Answer :", return_tensors="pt")
    with torch.no_grad():
        assert model.generate(**prompt, max_new_tokens=4, do_sample=False).shape[1] > prompt["input_ids"].shape[1]
    assert all(all(map(_finite, step.values())) for step in trajectory(folder))


def _finite(value: float) -> bool:
    return abs(value) < float("inf")


@pytest.mark.parametrize("adapter", [False, True])
def test_run_scores_what_train_left(model: Path, tmp_path: Path, adapter: bool) -> None:
    _train(model, tmp_path / "out", "npo+gdr", *(["--lora", "r=2"] if adapter else []))
    arguments = ["--tasks", "nano_kfr", "--limit", "2", "--output", str(tmp_path / "scores"), "--max-gen-toks", "8"]
    assert main(["run", "--model", str(tmp_path / "out"), *arguments, "--quiet"]) == 0
    result = json.loads((tmp_path / "scores" / "result.json").read_text(encoding="utf-8"))
    assert "nano_kfr" in json.dumps(result)
