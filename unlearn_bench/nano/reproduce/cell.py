"""One row with one seed: make its data, train it, score it, keep the scores.

A cell's folder holds result.json and samples.jsonl as `run` writes them, training.json and trajectory.jsonl as `train`
writes them, and cell.json, which is written last: a folder with it is finished, one without it is done again.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.files import write_atomically
from unlearn_bench.nano.reproduce.plan import JUDGED, PRESET, Cell

CELL_FILE = "cell.json"
TASKS = (
    "nano_kfr",
    "nano_kfr_paraphrase",
    "nano_krr",
    "nano_neighbour_krr",
    "nano_world_krr",
    "nano_ls",
    "nano_retain_ls",
    "nano_rouge",
    "nano_retain_rouge",
)
KEPT = ("training.json", "trajectory.jsonl", "data.jsonl.summary.json")
_BATCH = 64


@dataclass(frozen=True)
class Settings:
    """What is the same for all cells.

    Attributes:
        limit: Score only the first questions of each task; for trials.
        max_steps: End training early; for trials.
        keep: Folder for the checkpoints; None throws them away.
    """

    limit: int | None = None
    max_steps: int | None = None
    keep: Path | None = None

    def identity(self) -> dict[str, object]:
        """What changes the scores."""
        return {"limit": self.limit, "max_steps": self.max_steps, "tasks": list(TASKS)}


def finished(cell: Cell, output: Path, settings: Settings) -> dict[str, object] | None:
    """What cell.json says, if the cell is done and was made with the same settings and hyper-parameters."""
    try:
        record = json.loads((output / cell.name / CELL_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or record.get("identity") != cell.row.identity(cell.seed, settings.identity()):
        return None
    # up to version 0.1: "nano_kfr.kfr"
    metrics = {key if "/" in key else key.replace(".", "/", 1): value for key, value in record["metrics"].items()}
    return {**record, "metrics": metrics}


def run(cell: Cell, output: Path, settings: Settings) -> dict[str, object]:
    """Train and score one cell in a temporary folder, and keep its results.

    Returns:
        What was written to cell.json.

    Raises:
        UserError: if the data or the settings are wrong, or the disk is full.
    """
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".work-") as name:
        work = Path(name)
        started, processor = time.monotonic(), time.process_time()
        model, trained = checkpoint(cell, work, settings)
        minutes = {"training": (time.monotonic() - started) / 60}
        metrics = _score(model, work / "results", settings)
        minutes |= {
            "all": (time.monotonic() - started) / 60,
            "processor": (time.process_time() - processor) / 60,
        }
        record = {
            "row": cell.row.name,
            "group": cell.row.group,
            "method": cell.row.method,
            "seed": cell.seed,
            "identity": cell.row.identity(cell.seed, settings.identity()),
            "minutes": minutes,
            "training": trained,
            "metrics": metrics,
        }
        _keep(cell, work, model, output, settings)
        write_atomically(output / cell.name / CELL_FILE, [json.dumps(record, indent=2, ensure_ascii=False) + "\n"])
    return record


def checkpoint(cell: Cell, work: Path, settings: Settings) -> tuple[str, dict[str, object]]:
    """Make the checkpoint to be scored.

    Args:
        cell: Row and seed.
        work: An empty folder.
        settings: See `Settings`.

    Returns:
        An embedded name or a folder in `work`, and what is to be said about its training. What was trained is rounded
        to float16, as the embedded checkpoints are.

    Raises:
        UserError: if the data or the settings are wrong, or the disk is full.
    """
    row = cell.row
    if row.checkpoint is not None and not row.anew:
        return row.checkpoint, {}
    if row.checkpoint is not None:
        return _anew(row.checkpoint, cell.seed, work / cell.name, settings), {}
    from unlearn_bench.trainers.config import build
    from unlearn_bench.trainers.job import train
    from unlearn_bench.trainers.method import uses

    used = uses(row.method)
    if row.augment is not None:
        data = augmented(row.augment, cell.seed, work / "data.jsonl")
    folder = work / cell.name  # a result names its model by the folder
    forget = "nano:forget" if row.augment is None else str(data)
    given = {
        "preset": PRESET,
        "model": JUDGED,
        "method": row.method,
        **{side: (spec,) for side, spec in (("forget", forget), ("retain", "nano:retain")) if side in used},
        "output": str(folder),
        "seed": cell.seed,
        "on_divergence": "continue",  # a wrecked model is a result
        "save_every": 10**6,
        **row.settings,
    }
    if settings.max_steps is not None:
        given["max_steps"] = settings.max_steps
    outcome = train(build(given))
    _round(folder)
    return str(folder), {
        "steps": outcome.steps,
        "last_terms": {name: value if value == value else None for name, value in outcome.terms.items()},
        "skipped_steps": outcome.skipped,
    }


def _round(folder: Path) -> None:
    """Store a trained checkpoint as the embedded ones are stored, so that its row can join them unchanged."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from unlearn_bench.nano.train import save

    save(AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder), folder)


def _anew(name: str, seed: int, folder: Path, settings: Settings) -> str:
    """Train an embedded checkpoint's recipe again from random weights."""
    from unlearn_bench.nano.corpus import SEED
    from unlearn_bench.nano.train import save, shortened, train

    recipe = None if settings.max_steps is None else shortened(name, 1)
    model, tokenizer = train(name, seed=SEED + 1 + seed, recipe=recipe)  # not the committed one a second time
    save(model, tokenizer, folder)
    return str(folder)


def augmented(options: Mapping[str, object], seed: int, path: Path) -> Path:
    """Write ReLearn's data for the forget set as `augment` does.

    Args:
        options: Further fields of `AugmentSpec`.
        seed: Of every choice.
        path: The file.

    Raises:
        UserError: if a text failed all its tries: a table must not rest on fewer rows than it says.
    """
    from unlearn_bench.augment.run import AugmentSpec
    from unlearn_bench.augment.run import run as augment

    made = augment(AugmentSpec(dataset="nano", output=path, seed=seed, **options))
    if made.outcome.failed:
        count, reason = len(made.outcome.failed), made.outcome.failed[0].to_json()
        raise UserError(f"augmentation failed for {count} texts, example: {reason}")
    return path


def _score(model: str, folder: Path, settings: Settings) -> dict[str, float | None]:
    """Task and metric ("nano_kfr/kfr") to value, None where nothing could be scored."""
    from unlearn_bench.harness.run import RunSpec, evaluate
    from unlearn_bench.results import write_results

    spec = RunSpec(model=model, tasks=TASKS, batch_size=_BATCH, limit=settings.limit)
    result, samples = evaluate(spec)
    write_results(folder, result, samples)
    return {f"{t}/{m}": v.value for t, scored in result.tasks.items() for m, v in scored.metrics.items()}


def _keep(cell: Cell, work: Path, model: str, output: Path, settings: Settings) -> None:
    """Move the results to the cell's folder, and the checkpoint, if kept, to its folder."""
    target = output / cell.name
    shutil.rmtree(target, ignore_errors=True)
    (work / "results").mkdir(exist_ok=True)
    for name in KEPT:
        for path in (work / name, Path(model) / name):
            if path.is_file():
                shutil.copy(path, work / "results" / name)
    os.replace(work / "results", target)
    if settings.keep is not None and Path(model).is_dir():
        kept = settings.keep / cell.name
        shutil.rmtree(kept, ignore_errors=True)
        settings.keep.mkdir(parents=True, exist_ok=True)
        shutil.move(model, kept)
