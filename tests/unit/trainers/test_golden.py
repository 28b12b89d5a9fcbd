"""Loss trajectories of every method on a tiny model, as kept in tests/golden/loss_trajectories.json.

A change of the file means that a method computes something else than before. To write it anew, after having
understood why: UNLEARN_BENCH_UPDATE_GOLDEN=1 pytest tests/unit/trainers/test_golden.py
"""

import json
import os
import platform
from pathlib import Path

import pytest
import torch
import transformers

from tests.tiny_training import NAMES, make_model, make_rows, make_tokenizer
from unlearn_bench.data.pairs import Pair
from unlearn_bench.losses import LOSSES
from unlearn_bench.trainers import RECIPES, _data
from unlearn_bench.trainers._batches import PairedDataset
from unlearn_bench.trainers.config import TrainConfig, training_arguments
from unlearn_bench.trainers.method import parse
from unlearn_bench.trainers.trainer import UnlearnTrainer

GOLDEN = Path(__file__).parents[2] / "golden" / "loss_trajectories.json"
UPDATE = bool(os.environ.get("UNLEARN_BENCH_UPDATE_GOLDEN"))
FORGET = [name for name in LOSSES.names() if LOSSES.get(name).side == "forget" and name not in RECIPES.names()]
METHODS = [*FORGET, "npo+klr_released", "sure+ga+gdr", "memflex+npo+gdr"]
STEPS = 4
# Where the paper's values leave nothing to be seen on a random model, whose tokens have a probability of about 1 %.
OPTIONS = {
    "rmu": {"rmu": {"layer": 1}, "rmu_retain": {"layer": 1}},
    "sure+ga+gdr": {"sure": {"percentile": 80}},
    "simnpo": {"simnpo": {"delta": 4.5}},
    "satimp": {"satimp": {"beta1": 0.5}},
    # as in the preset "nano": every token, and a dual variable that moves from the first step on
    "ceu": {"ceu": {"ignore_first": 0}},
    "pdu": {"pdu": {"epsilon": 0.0, "warmup_epochs": 0.0}},
}


def _made(records: list[dict[str, str]]) -> list[Pair]:
    return [
        Pair(r["id"], r["question"], r["answer"], preferred=r["preferred_answer"], original=r["original_answer"])
        for r in records
    ]


def _data_for(method) -> PairedDataset:
    encoder = _data.Encoder(make_tokenizer())
    forget, retain = _made(make_rows(NAMES[:7], 0)), _made(make_rows(NAMES[7:], 3))
    groups = {
        "forget": [encoder(row, row.answer) for row in forget],
        "preferred": [encoder(row, row.preferred) for row in forget],
        "retain": [encoder(row, row.answer) for row in retain],
    }
    if not method.needs("preferred_"):
        del groups["preferred"]
    return PairedDataset(groups)


def _trajectory(name: str, folder: Path) -> list[dict[str, float]]:
    method = parse(name, OPTIONS.get(name, {}))
    config = TrainConfig(model="m", method=name, output=str(folder), max_steps=STEPS, learning_rate=3e-3)
    arguments = training_arguments(config)
    arguments.save_strategy = "no"
    trainer = UnlearnTrainer(
        model=make_model(), method=method, data=_data_for(method), args=arguments, tokenizer=make_tokenizer()
    )
    trainer.train()
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    return [{key: entry[key] for key in sorted(entry) if "/" in key or key == "loss"} for entry in history]


@pytest.fixture(scope="module")
def golden() -> dict:
    return json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.is_file() else {"trajectories": {}}


@pytest.mark.parametrize("name", METHODS)
def test_trajectory(name: str, tmp_path: Path, golden: dict) -> None:
    found = _trajectory(name, tmp_path)
    if UPDATE:
        golden["trajectories"][name] = [{k: float(f"{v:.7g}") for k, v in step.items()} for step in found]
        golden["made_with"] = {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "machine": platform.machine(),
        }
        GOLDEN.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    expected = golden["trajectories"][name]
    assert len(found) == len(expected) == STEPS
    for ours, kept in zip(found, expected, strict=True):
        # Kernels differ between machines; AdamW amplifies that from step to step.
        assert ours == pytest.approx(kept, rel=2e-3, abs=1e-6)
    assert found[0] == pytest.approx(expected[0], rel=1e-5, abs=1e-6)
