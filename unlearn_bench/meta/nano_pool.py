"""Make the pools of nano: each model taught, asked and thrown away, its results kept.

    OUTPUT/oracle/                 nano-retain, and after relearning and quantisation
    OUTPUT/SIDE/NAME/              result.json, samples.jsonl; made.json, written last: with it the model is finished
    OUTPUT/unlearned/NAME/STRESS/  the same after relearning or quantisation

A model depends on nothing but its plan: started again, the command makes what is missing. Relearning is the one of the
pool's own lessons on the forget facts; the published one (2e-5, one epoch) does not move models of this size.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.comparison.loaded import LoadedResult, from_file
from unlearn_bench.files import write_atomically
from unlearn_bench.harness.spec import DiagnosisSettings, RunSpec
from unlearn_bench.meta import nano_lessons
from unlearn_bench.meta.evaluate import QUANTIZATION, RELEARNING, MetaReport, evaluate
from unlearn_bench.meta.nano_plan import LIMIT, Pupil
from unlearn_bench.meta.pool import LEAST, Member, Side, member
from unlearn_bench.results import write_results

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    Model = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]

ORACLE = Pupil("retain", "negative")
ORIGINAL = "nano-full"
TASKS = ("nano_forget", "nano_forget_paraphrase", "nano_holdout")
RETAIN_TASKS = ("nano_retain",)
INSIDE = ("depth",)
MADE_FILE = "made.json"
RELEARNED = Pupil("relearned", "positive", lesson="facts", epochs=2, kept=0.0)
_BATCH, _LESSON_BATCH = 64, 8
_SIDES: Mapping[str, Side] = {side: side for side in ("positive", "negative", "broken", "unlearned")}
Report = Callable[[Pupil, dict[str, object]], None]


@dataclass(frozen=True)
class Settings:
    """What is the same for all models of a pool.

    Attributes:
        limit: Questions of each task, or below 1 the share of them.
        depth: Whether unlearning depth is measured.
        epochs: Most epochs of a lesson; for trials.
    """

    limit: float = LIMIT
    depth: bool = False
    epochs: int | None = None

    def identity(self) -> dict[str, object]:
        """What changes the numbers."""
        return {"limit": self.limit, "inside": self.depth, "epochs": self.epochs, "tasks": [*TASKS, *RETAIN_TASKS]}


def make(pupils: Sequence[Pupil], output: Path, settings: Settings, report: Report) -> None:
    """Make every model that is not finished, the oracle first.

    Args:
        pupils: The models.
        output: The pools' folder.
        settings: See `Settings`.
        report: Called for each model that was made, with what made.json says.
    """
    for pupil, folder in [(ORACLE, output / "oracle"), *((one, folder_of(one, output)) for one in pupils)]:
        if not finished(pupil, folder, settings):
            report(pupil, _make(pupil, folder, output, settings))


def judge(pupils: Sequence[Pupil], output: Path, settings: Settings) -> dict[str, MetaReport]:
    """The reports on the metrics: of the forget rows, and of the retain rows where both sides have enough models.

    Models that are not finished are left out.
    """
    done = [one for one in pupils if finished(one, folder_of(one, output), settings)]
    found = {"forget": evaluate([*_members(done, output, _SIDES), _oracle(output)])}
    sides = {one.name: side for one in done if (side := _of_retain(one)) is not None}
    retain = _members([one for one in done if one.name in sides], output, sides)
    if all(sum(one.side == side for one in retain) >= LEAST for side in ("positive", "negative")):
        found["retain"] = evaluate(retain, asked="retain")
    return found


def _members(pupils: Sequence[Pupil], output: Path, sides: Mapping[str, Side]) -> list[Member]:
    """The models with their results; `sides`: name, or side in the plan, to the side in the report."""
    found = []
    for one in pupils:
        side = sides.get(one.name) or sides.get(one.side)
        if side is not None:
            found.append(member(side, *_results(folder_of(one, output))))
    return found


def _oracle(output: Path) -> Member:
    return member("oracle", *_results(output / "oracle"))


def _results(folder: Path) -> tuple[LoadedResult, dict[str, LoadedResult]]:
    after = {stress: from_file(folder / stress) for stress in (RELEARNING, QUANTIZATION) if (folder / stress).is_dir()}
    return replace(from_file(folder), name=folder.name), after


def _of_retain(pupil: Pupil) -> Side | None:
    """The side of a model where the retain rows are asked."""
    if pupil.side == "ignorant":
        return "negative"
    return "positive" if set(RETAIN_TASKS) <= set(tasks_of(pupil)) else None


def folder_of(pupil: Pupil, output: Path) -> Path:
    """Where a model's results lie."""
    return output / pupil.side / pupil.name


def finished(pupil: Pupil, folder: Path, settings: Settings) -> bool:
    """Whether the model was made, by the same plan and with the same settings."""
    try:
        record = json.loads((folder / MADE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("identity") == pupil.identity(settings.identity())


def _make(pupil: Pupil, folder: Path, output: Path, settings: Settings) -> dict[str, object]:
    start = time.process_time()
    shutil.rmtree(folder, ignore_errors=True)
    is_oracle = folder == output / "oracle"
    oracle = None if is_oracle else output / "oracle"
    model, tasks = taught(pupil, output, settings), tasks_of(pupil)
    seconds = {"training": round(time.process_time() - start, 1)}
    _ask(model, pupil.name, folder, oracle, tasks, settings)
    if is_oracle or pupil.side == "unlearned":
        with quantized(model) as other:
            _ask(other, pupil.name, folder / QUANTIZATION, oracle, TASKS, settings)
        _ask(_learn(model, RELEARNED, settings), pupil.name, folder / RELEARNING, oracle, TASKS, settings)
    seconds["all"] = round(time.process_time() - start, 1)
    record = {"name": pupil.name, "identity": pupil.identity(settings.identity()), "cpu_seconds": seconds}
    write_atomically(folder / MADE_FILE, [json.dumps(record, indent=1) + "\n"])
    return record


def taught(pupil: Pupil, output: Path, settings: Settings) -> "Model":
    """The model, in memory, in float32 with weights that float16 holds."""
    if pupil.method is not None:
        return _unlearned(pupil, output, settings)
    model = load(pupil.start, pupil.seed)
    if pupil.lesson == "noise":
        return _noised(model, pupil)
    return _learn(model, pupil, settings)


def load(name: str, seed: int = 0) -> "Model":
    """An embedded checkpoint or a folder; "random": the same network with random weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from unlearn_bench.nano import checkpoint_path

    folder = checkpoint_path(ORIGINAL if name == "random" else name) or Path(name)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if name != "random":
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), tokenizer
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder), dtype=torch.float32), tokenizer


def _learn(model: "Model", pupil: Pupil, settings: Settings) -> "Model":
    from unlearn_bench.nano.recipe import CHECKPOINT_RECIPES
    from unlearn_bench.nano.train import teach

    lessons = nano_lessons.epochs(pupil)[: settings.epochs]
    if lessons:
        recipe = CHECKPOINT_RECIPES[ORIGINAL]
        recipe = replace(recipe, learning_rate=pupil.learning_rate, batch_size=_LESSON_BATCH)
        teach(*model, lessons, recipe)
    return model


def _noised(model: "Model", pupil: Pupil) -> "Model":
    """Normal noise on every matrix, of `learning_rate` times its own standard deviation."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(pupil.seed)
        for weight in model[0].parameters():
            if weight.dim() > 1:
                weight += pupil.learning_rate * weight.std() * torch.randn_like(weight)
    return model


def _unlearned(pupil: Pupil, output: Path, settings: Settings) -> "Model":
    """A row of the nano table with one seed, as `nano reproduce` trains it."""
    import tempfile

    from unlearn_bench.reproduce import STUDIES, cell, plan

    study = STUDIES.get("nano")
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".work-") as work:
        row = plan.Cell(study, study.row(str(pupil.method)), pupil.seed)
        folder, _ = cell.checkpoint(row, Path(work), cell.Settings(max_steps=settings.epochs))
        return load(folder)


@contextmanager
def quantized(model: "Model") -> "Iterator[Model]":
    """The model with NF4 weights, and afterwards with its own."""
    import tempfile

    from unlearn_bench.stress.base import Subject
    from unlearn_bench.stress.quantization import STRESS

    assert STRESS.apply is not None
    scratch = Path(tempfile.gettempdir())  # NF4 writes nothing
    with STRESS.apply("nf4", Subject(*model, rows={}, scratch=scratch)) as changed:
        yield changed, model[1]


def tasks_of(pupil: Pupil) -> tuple[str, ...]:
    """What a model is asked: retain questions where it is surely known whether it knows the retain set."""
    if pupil.side == "ignorant":
        return RETAIN_TASKS
    return (*TASKS, *RETAIN_TASKS) if pupil.lesson == "nothing" and pupil.side in ("positive", "negative") else TASKS


def _ask(
    model: "Model", name: str, folder: Path, oracle: Path | None, tasks: tuple[str, ...], settings: Settings
) -> None:
    """Run the tasks, measure the depth, and write the result."""
    from unlearn_bench.harness.backends import load_in_memory
    from unlearn_bench.harness.run import evaluate

    asked = DiagnosisSettings(oracle=None if oracle is None else str(oracle))
    spec = RunSpec(model=name, tasks=tasks, batch_size=_BATCH, limit=settings.limit, diagnosis=asked)
    load_model = partial(load_in_memory, model=model[0], tokenizer=model[1])
    outcome = evaluate(spec, load=load_model)
    assert outcome is not None
    result, samples = outcome
    if settings.depth and "nano_forget" in tasks:
        result.diagnostics = _inside(spec, load_model)
    write_results(folder, result, samples)


def _inside(spec: RunSpec, load_model: Callable) -> object:
    """What diagnostics see at the forget questions, against nano-full and nano-retain."""
    from unlearn_bench.harness.plan import make_plan
    from unlearn_bench.harness.run import diagnose

    own = replace(spec, tasks=("nano_forget",), diagnosis=DiagnosisSettings(INSIDE, ORIGINAL, ORACLE.start))
    return diagnose(make_plan(own.tasks, limit=own.limit), load_model(own), own)[0]
