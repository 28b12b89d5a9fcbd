"""One training run: from files to a checkpoint with its card.

The output folder ends with the model or adapter, `training.json`, a model card and `trajectory.jsonl`; while it runs
it also holds the newest checkpoint and the stored reference, from which `resume` goes on.
"""

import json
import logging
import math
import os
import shutil
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.data.pairs import Pair
from unlearn_bench.errors import UserError
from unlearn_bench.models import subject
from unlearn_bench.results import require_folder
from unlearn_bench.trainers import RECIPES, _data, _disk, _model, _rows
from unlearn_bench.trainers._batches import PairedDataset
from unlearn_bench.trainers._card import versions, write_record
from unlearn_bench.trainers._checks import check_method, check_names, check_replacements, check_sets
from unlearn_bench.trainers._saving import make_savable, unchanged_use_cache
from unlearn_bench.trainers.base import refuse_sharded
from unlearn_bench.trainers.callbacks import STATE_FILE, Curve, Evaluate, Progress
from unlearn_bench.trainers.config import TrainConfig, training_arguments
from unlearn_bench.trainers.divergence import Divergence
from unlearn_bench.trainers.method import Method, checked_options, parse, uses

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from unlearn_bench.trainers._reference import Stored
    from unlearn_bench.trainers.trainer import UnlearnTrainer

log = logging.getLogger(__name__)

CONFIG_FILE = "train_config.json"
OWN_FILES = (CONFIG_FILE, "reference.safetensors", "reinforced.safetensors", "start.safetensors")


@dataclass(frozen=True)
class TrainOutcome:
    """What a run left.

    Attributes:
        folder: The checkpoint or adapter.
        steps: Optimizer steps taken.
        terms: Last value of each term, by "side/name".
        skipped: Steps left out because their gradient was not finite.
    """

    folder: Path
    steps: int
    minutes: float
    terms: Mapping[str, float]
    skipped: int = 0


@dataclass
class Job:
    """The parts of a run; a recipe uses them in its own order.

    Attributes:
        rows: "forget" and "retain" to their rows.
        evaluate: Scores for the forget-retain curve, if one is wanted.
        recipe_options: What `recipe_options` read, for the record.
        merged_base: Folder in the output with the base that a new adapter needs, where the model came with an adapter.
        partial: Which tensors did not fit the model.
    """

    config: TrainConfig
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    source: subject.Source
    rows: dict[str, list[Pair]]
    evaluate: Evaluate | None = None
    progress: bool = False
    started: float = 0.0
    recipe_options: Mapping[str, object] = field(default_factory=dict)
    merged_base: str | None = None
    partial: str | None = None

    @property
    def folder(self) -> Path:
        """The output folder."""
        return Path(self.config.output)

    def encode(self, method: Method) -> PairedDataset:
        """Token ids of what a method needs.

        Raises:
            UserError: if it needs a set, or a kind of answer, that was not given.
        """
        encoder = _data.Encoder(
            self.tokenizer,
            style=self.config.prompt,
            max_length=self.config.max_length,
            thinking=self.config.thinking,
            date=self.config.template_date,
        )
        groups = {}
        if method.on("forget"):
            groups |= self._forget_groups(method, encoder)
        if method.on("retain"):
            groups["retain"] = encoder.all(self._set("retain", method))
        if encoder.truncated:
            log.warning("%d answers are cut at --max-length %d", encoder.truncated, self.config.max_length)
        return PairedDataset(groups)

    def _set(self, side: str, method: Method) -> list[Pair]:
        if side not in self.rows:
            raise UserError(f"method {method.name} needs --{side}", hint=f"example: --{side} nano:{side}")
        return self.rows[side]

    def _forget_groups(self, method: Method, encoder: _data.Encoder) -> dict[str, list[_data.Encoded]]:
        rows = self._set("forget", method)
        original = method.forgets_original
        if original:
            rows = _with_originals(rows, method.name)
        read = {name for side, name in method.inputs if side == "forget"}
        groups = {}
        if any("preferred_" not in name for name in read):
            groups["forget"] = encoder.all([replace(row, answer=row.original) for row in rows] if original else rows)
        if method.needs("preferred_"):
            if not original:
                rows = _rows.with_refusals(rows, _rows.read_refusals(self.config.refusals), self.config.seed)
            groups["preferred"] = [encoder(row, row.answer if original else row.preferred) for row in rows]
        return groups

    def trainer(
        self, method: Method, data: PairedDataset, *, reinforced: "Stored | None" = None, curve: bool = True
    ) -> "UnlearnTrainer":
        """The trainer of one stage, its model already chosen."""
        from unlearn_bench.trainers.trainer import UnlearnTrainer

        callbacks: list = [Progress()] if self.progress else []
        curve = curve and self.evaluate is not None and self.config.eval_every is not None
        if curve:
            callbacks.append(Curve(self.evaluate, self.config.eval_every))
        arguments = training_arguments(self.config, partial_graph=method.layer is not None)
        if self.config.warmup_epochs:
            rows = arguments.train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
            arguments.warmup_steps = max(1, int(self.config.warmup_epochs * len(data) / rows))
            if arguments.warmup_steps >= (self.config.max_steps or math.inf):
                log.warning("the learning rate rises for %d steps, past --max-steps", arguments.warmup_steps)
        for state in method.states().values():
            if warning := state.warning(self.config.epochs):
                log.warning(warning)
        with unchanged_use_cache(self.model):
            trainer = UnlearnTrainer(
                model=self.model,
                method=method,
                data=data,
                args=arguments,
                tokenizer=self.tokenizer,
                reference=self.config.reference_from,
                reinforced=reinforced,
                divergence=Divergence(self.config.on_divergence, self.config.max_loss),
                group_by_length=self.config.group_by_length,
                callbacks=callbacks,
            )
        if curve:  # one process scores, the others do not wait for it: they would have to gather the weights with it
            refuse_sharded(trainer, "--eval-every")
        return trainer

    def check_disk(self, method: Method, data: PairedDataset) -> None:
        """Stop early if the output will not fit."""
        tokens = sum(len(row.input_ids) - row.answer_start for rows in data.groups.values() for row in rows)
        hidden = self.model.config.get_text_config().hidden_size
        stored = tokens * hidden * 4 if method.needs("reference_") and self.config.lora is None else 0
        needed = _disk.needed_bytes(self.model, adapter=self.config.lora is not None, reference_bytes=stored)
        _disk.check_disk(self.folder, needed)

    def fit(self, trainer: "UnlearnTrainer") -> None:
        """Train, from the newest checkpoint if the run is resumed and there is one."""
        checkpoint = newest_checkpoint(self.folder) if self.config.resume else None
        if checkpoint is not None:
            log.info("resuming from %s", checkpoint.name)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    def finish(self, trainer: "UnlearnTrainer", method: Method, *, save: bool = True) -> TrainOutcome:
        """Save the result and its card, and tidy the folder."""
        if save:
            trainer.save_model(self.config.output)
        minutes = (time.monotonic() - self.started) / 60
        history = [entry for entry in trainer.state.log_history if "loss" in entry]
        last = {k: v for k, v in history[-1].items() if "/" in k} if history else {}
        outcome = TrainOutcome(self.folder, trainer.state.global_step, minutes, last, trainer.divergence.skipped)
        if trainer.is_world_process_zero():
            self._write(trainer, method, outcome, history)
        return outcome

    def _write(self, trainer: "UnlearnTrainer", method: Method, outcome: TrainOutcome, history: Sequence[dict]) -> None:
        from safetensors.torch import save_file

        # A resumed run has read its first entries from a file with sorted names.
        lines = "".join(json.dumps(entry, sort_keys=True) + "\n" for entry in history)
        (self.folder / "trajectory.jsonl").write_text(lines, encoding="utf-8")
        if trainer.constants:
            save_file(dict(trainer.constants), self.folder / "rmu_direction.safetensors")
        self._name_base()
        write_record(self.folder, self._record(trainer, method, outcome))
        if not self.config.keep_checkpoints:
            clear_checkpoints(self.folder)
        for name in OWN_FILES:
            (self.folder / name).unlink(missing_ok=True)
        (self.folder / "training_args.bin").unlink(missing_ok=True)  # a pickle that holds paths of this machine

    def _name_base(self) -> None:
        """Name the base of an adapter; a whole checkpoint needs no base."""
        if self.merged_base and not (self.folder / subject.ADAPTER_CONFIG).is_file():
            shutil.rmtree(self.folder / self.merged_base)
            self.merged_base = None
        _model.write_base_name(self.folder, self.source, self.merged_base)

    def _record(self, trainer: "UnlearnTrainer", method: Method, outcome: TrainOutcome) -> dict[str, object]:
        config = self.config
        hidden = {"model", "method", "output", "forget", "retain", "seed", "options", "data_dir", "adapter"}
        unused = {"reference", "refusals"} - uses(config.method, config.options)
        hidden |= {"reference_from" if name == "reference" else name for name in unused}
        settings = {k: v for k, v in config.identity.items() if k not in hidden}
        divergence, groups = trainer.divergence, trainer.data.groups
        return {
            "method": config.method,
            "step": {"name": method.step, "options": dict(method.step_options or {})} if method.step else None,
            "procedure": {"name": config.method, "options": dict(self.recipe_options)} if self.recipe_options else None,
            "terms": [
                {"name": t.name, "side": t.loss.side, "weight": t.weight, "options": dict(t.options)}
                for t in method.terms
            ],
            "model": {
                "name": self.source.name,
                "source": self.source.origin,
                "revision": self.source.revision,
                "weights_sha256": self.source.weights.sha256,
                "adapter": self.source.adapter_name,
                "adapter_sha256": self.source.adapter_weights.sha256 if self.source.adapter_weights else None,
                "merged_base": self.merged_base,
                "partial": self.partial,
            },
            "data": {
                side: {
                    "rows": len(rows),
                    "sequences": len(groups.get(side) or groups["preferred"]),
                    "from": [Path(spec).name for spec in getattr(config, side)],
                    "sha256": _rows.rows_sha256(rows),
                }
                for side, rows in self.rows.items()
            },
            "hyperparameters": {**settings, "processes": trainer.args.world_size},
            "seed": config.seed,
            "steps": outcome.steps,
            "minutes": round(outcome.minutes, 2),
            "final_terms": dict(outcome.terms),
            "divergence": {"first_step": divergence.first, "skipped": divergence.skipped, "events": divergence.events}
            if divergence.first is not None
            else None,
            "versions": versions(),
        }


def train(config: TrainConfig, *, evaluate: Evaluate | None = None, progress: bool = False) -> TrainOutcome:
    """Run one method.

    Args:
        config: What to do.
        evaluate: (model, tokenizer, step) to named scores, for the forget-retain curve of `eval_every`.
        progress: Show a bar with the terms.

    Raises:
        UserError: for anything wrong with the configuration or the data, before anything is trained.
        Diverged: if training diverged and --on-divergence does not say to continue.
    """
    _quiet()
    check_names(config)
    recipe = config.method in RECIPES.names()
    method = None if recipe else parse(config.method, config.options)
    check_method(config)
    rows = {
        side: _rows.load_rows(getattr(config, side), data_dir=config.data_dir, revision=config.data_revision)
        for side in ("forget", "retain")
        if getattr(config, side)
    }
    check_sets(rows)
    if method is not None:
        check_replacements([method], rows, raw=config.raw)
    prepare_folder(config, rows)
    if recipe:
        config = replace(config, **getattr(RECIPES.module(config.method), "defaults", lambda _: {})(config))
    model, tokenizer, source, partial = _model.load_model(config)
    make_savable(model)
    job = Job(config, model, tokenizer, source, rows, evaluate, progress, time.monotonic(), partial=partial)
    if source.adapter is not None and config.lora is not None:
        job.merged_base = _model.save_merged_base(model, tokenizer, config, source)
    return RECIPES.get(config.method)(job) if recipe else run_method(job, method)


def _quiet() -> None:
    """No bars for reading and writing a file (there is one, for the steps), nor notes to developers of libraries."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft|torch|accelerate)\b")
    # Warns of a file system without time stamps when two checkpoints are less than a second apart.
    logging.getLogger("transformers.trainer_utils").setLevel(logging.ERROR)


def run_method(job: Job, method: Method) -> TrainOutcome:
    """Minimise a method's terms: the default procedure of methods without a recipe."""
    data = job.encode(method)
    job.model = _model.choose_trained(job.model, job.config, method)
    job.check_disk(method, data)
    trainer = job.trainer(method, data)
    job.fit(trainer)
    return job.finish(trainer, method)


def recipe_options(job: Job, defaults: Mapping[str, object]) -> dict[str, object]:
    """A recipe's own options (`--set task_vector.alpha=3`) over its defaults; they go on record.

    Raises:
        UserError: for an option it does not have, or a value of another type.
    """
    job.recipe_options = checked_options(job.config.method, defaults, job.config.options.get(job.config.method, {}))
    return job.recipe_options


def refuse_resume(job: Job) -> None:
    """For recipes of several stages.

    Raises:
        UserError: if the run is to be resumed.
    """
    if job.config.resume:
        raise UserError(
            f"{job.config.method} has several stages and cannot be resumed", hint="start again with --overwrite"
        )


def _with_originals(rows: Sequence[Pair], method: str) -> list[Pair]:
    """The rows that say which answer they replace; preference pairs can be made of no others."""
    pairs = [row for row in rows if row.original is not None]
    if not pairs:
        raise UserError(
            f"{method} needs rows with an `original_answer` in addition to the augmented one",
            hint="write them with `unlearn-bench augment --with-original-answer`",
        )
    if len(pairs) < len(rows):
        log.warning("%d of %d rows have no original_answer and are left out", len(rows) - len(pairs), len(rows))
    return pairs


def clear_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a run or of a stage that is over."""
    for path in folder.glob("checkpoint-*"):
        shutil.rmtree(path, ignore_errors=True)


def newest_checkpoint(folder: Path) -> Path | None:
    """The complete checkpoint with the most steps, or None."""
    found = [p for p in folder.glob("checkpoint-*") if (p / STATE_FILE).is_file()]
    return max(found, key=lambda p: int(p.name.rsplit("-", 1)[1]), default=None)


def prepare_folder(config: TrainConfig, rows: Mapping[str, Sequence[Pair]]) -> None:
    """Make the output folder, and refuse to mix two runs in one.

    Raises:
        UserError: if it holds something and neither `resume` nor `overwrite` is set, or another run is to be resumed.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    folder = Path(config.output)
    data = {side: _rows.rows_sha256(part) for side, part in rows.items()}
    identity = json.loads(json.dumps({**config.identity, "data": data}))
    path = folder / CONFIG_FILE
    require_folder(folder)
    if config.resume and (folder / "training.json").is_file():
        raise UserError(f"--output {folder}: this run has ended already")
    if config.resume and path.is_file():
        earlier = json.loads(path.read_text(encoding="utf-8"))
        changed = [k for k in identity if earlier.get(k, identity[k]) != identity[k]]
        if changed:
            raise UserError(f"--resume: {', '.join(changed)} differ from the run in {folder}", hint="or --overwrite")
    elif folder.is_dir() and any(p.name != CONFIG_FILE for p in folder.iterdir()) and not config.resume:
        if not config.overwrite:
            raise UserError(f"--output {folder} is not empty", hint="pass --resume to go on, or --overwrite")
        _clear(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(identity, indent=2), encoding="utf-8")


def _clear(folder: Path) -> None:
    """Remove only what an earlier run wrote.

    Raises:
        UserError: if the folder was not written by this command.
    """
    if not (folder / CONFIG_FILE).is_file() and not (folder / "training.json").is_file():
        raise UserError(f"--overwrite: {folder} was not written by `unlearn-bench train`", hint="choose another folder")
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
