"""A tiny checkpoint, files of rows, and a way to train on them."""

import gc
import json
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from tests.tiny_training import NAMES, make_model, make_rows, make_tokenizer


@pytest.fixture(scope="session", autouse=True)
def _short_collections() -> None:
    """Training collects garbage at its start, which takes 0.3 s over all that transformers has imported."""
    import unlearn_bench.trainers.job
    import unlearn_bench.trainers.trainer  # noqa: F401

    gc.freeze()


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    make_model().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of 7 forget rows and 5 retain rows: odd numbers, so that the last step is not full."""
    folder = tmp_path_factory.mktemp("rows")
    written = {}
    for name, rows in (("forget", make_rows(NAMES[:7], 0)), ("retain", make_rows(NAMES[7:], 3))):
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        written[name] = str(path)
    return written


@pytest.fixture
def run(checkpoint: Path, files: dict[str, str], tmp_path: Path):
    """Train through `job.train`; returns the outcome. `name` is the output folder."""
    from unlearn_bench.trainers.config import build
    from unlearn_bench.trainers.job import train
    from unlearn_bench.trainers.method import uses

    def go(method: str, name: str = "out", *, evaluate=None, **settings):
        given = {
            "model": str(checkpoint),
            "forget": (files["forget"],),
            "retain": (files["retain"],),
            "epochs": 2,
            "learning_rate": 1e-3,
            "batch_size": 4,
            **settings,
        }
        used = uses(method, settings.get("options"))
        for side in {"forget", "retain"} - used - set(settings):
            del given[side]
        if "raw" in used:
            given.setdefault("raw", True)  # these rows are made up, and nothing marks them as augmented
        return train(build({**given, "method": method, "output": str(tmp_path / name)}), evaluate=evaluate)

    return go
