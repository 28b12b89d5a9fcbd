"""Make the pools of a benchmark: each model taught, asked and thrown away, its results kept.

    OUTPUT/oracle/                 the oracle, and after relearning and quantisation
    OUTPUT/stranger/               the same of the model that never saw the retain rows
    OUTPUT/SIDE/NAME/              result.json, samples.jsonl; made.json, written last: with it the model is finished;
                                   inside.json, ways.json: what diagnostics saw, and KFR and KRR by other ways
    OUTPUT/SIDE/NAME/STRESS/       unlearned and ignorant models after relearning or quantisation
    OUTPUT/.answers/               what was asked, so that nothing is asked twice

A model depends on nothing but its plan: started again, the command makes what is missing.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_bench.comparison.follows import followed
from unlearn_bench.errors import LINE, UserError
from unlearn_bench.files import write_atomically
from unlearn_bench.harness.oracle import is_result
from unlearn_bench.harness.spec import DiagnosisSettings, RunSpec
from unlearn_bench.meta import teaching, ways
from unlearn_bench.meta.evaluate import MetaReport, evaluate
from unlearn_bench.meta.faithfulness import LEAST
from unlearn_bench.meta.knowing import knowing
from unlearn_bench.meta.plan import Plan, Pupil
from unlearn_bench.meta.pool import INSIDE, QUANTIZATION, RELEARNING, Member, Side, member, under_stress
from unlearn_bench.results import RESULT_FILE, SAMPLES_FILE, write_results
from unlearn_bench.results.owned import kept_as, own_table, refuse_foreign
from unlearn_bench.schema import Finite

if TYPE_CHECKING:
    from unlearn_bench.meta.teaching import Model

MADE_FILE, INSIDE_FILE = "made.json", "inside.json"
ANSWERS = ".answers"
_WRITTEN = frozenset({RESULT_FILE, SAMPLES_FILE, MADE_FILE, INSIDE_FILE, ways.FILE, RELEARNING, QUANTIZATION})
_SIDES: Mapping[str, Side] = {side: side for side in ("positive", "negative", "broken", "unlearned")}
Report = Callable[[Pupil, dict[str, object]], None]


@dataclass(frozen=True)
class Pool:
    """A pool in a folder.

    Attributes:
        plan: Of its benchmark.
        output: The folder.
        limit: Questions of each task, or below 1 the share of them.
        inside: Diagnostics that look inside each model of the forget pool.
        epochs: Most epochs of a lesson; for trials.
    """

    plan: Plan
    output: Path
    limit: float
    inside: tuple[str, ...] = ()
    epochs: int | None = None

    @property
    def settings(self) -> dict[str, object]:
        """What changes the numbers; "inside" does not any more, and stays for the models that are made."""
        tasks = [*self.plan.tasks, *self.plan.retain_tasks]
        return {"limit": self.limit, "inside": False, "epochs": self.epochs, "tasks": tasks}

    @property
    def oracle(self) -> Path:
        """Where the oracle's results lie."""
        return self.output / "oracle"

    @property
    def stranger(self) -> Path:
        """Where the results of the model lie that never saw the retain rows."""
        return self.output / "stranger"

    def folder_of(self, pupil: Pupil) -> Path:
        """Where a model's results lie."""
        return self.output / pupil.side / pupil.name

    def finished(self, pupil: Pupil, folder: Path | None = None) -> bool:
        """Whether the model was made, by the same plan and with the same settings.

        Args:
            pupil: The model.
            folder: Where its results lie, if not in its own place.
        """
        folder = folder or self.folder_of(pupil)
        record = kept_as(dict[str, Any], folder / MADE_FILE) or {}
        return record.get("identity") == pupil.identity(self.settings) and is_result(folder)

    def refuse_other(self, pupils: Sequence[Pupil]) -> None:
        """Let nothing be lost that lies in the folder and is not this pool.

        Args:
            pupils: The models that are to be made.

        Raises:
            UserError: for a table of another command, a pool with other settings, or a model's folder that holds
                anything else.
        """
        told = (own_table(self.output, "pools") or {}).get("settings")
        places = {folder: pupil for pupil, folder, _ in self._places(pupils)}
        for folder, pupil in places.items():
            if not self.finished(pupil, folder):
                refuse_foreign(folder, _WRITTEN)
                told = (kept_as(dict[str, Any], folder / MADE_FILE) or {}).get("settings", told)
        if isinstance(told, dict) and any(told.get(key) != self.settings[key] for key in ("limit", "epochs", "tasks")):
            raise UserError(
                f"--output {self.output}: the pool there was made with other settings (--limit {told.get('limit')})",
                hint="choose another --output",
            )

    def make(self, pupils: Sequence[Pupil], report: Report) -> None:
        """Make every model that is not finished, the oracle first.

        Args:
            pupils: The models.
            report: Called for each model that was made, with what made.json says.
        """
        for pupil, folder, stressed in self._places(pupils):
            asked = self.finished(pupil, folder)
            unseen = [] if pupil.side == "ignorant" else [name for name in self.inside if name not in _seen(folder)]
            if not asked or unseen or (stressed and not is_result(folder / RELEARNING)):
                report(pupil, self._make(pupil, folder, asked=asked, unseen=unseen, stressed=stressed))

    def _places(self, pupils: Sequence[Pupil]) -> Iterator[tuple[Pupil, Path, bool]]:
        """Each model, its folder, and whether it is put under stress; behind what it is held against."""
        controls = {"unlearned": (self.plan.oracle_pupil, self.oracle)}
        if self.plan.stranger is not None:
            controls["ignorant"] = (self.plan.stranger, self.stranger)
        yield self.plan.oracle_pupil, self.oracle, False
        for pupil in pupils:
            if pupil.side in controls:
                yield *controls[pupil.side], True
            yield pupil, self.folder_of(pupil), pupil.side in controls

    def judge(self, pupils: Sequence[Pupil], by: Sequence[str] = ()) -> dict[str, MetaReport]:
        """The reports on the metrics: of the forget rows, and of the retain rows where both sides have enough models.

        Models that are not finished are left out.

        Args:
            pupils: The models.
            by: Ways by which KFR and KRR are judged too, see `ways`.
        """
        done = [one for one in pupils if self.finished(one)]
        oracle = _member("oracle", self.oracle, by)
        found = {"forget": evaluate([*self._members(done, _SIDES, by), oracle])}
        sides = {one.name: side for one in done if (side := self._of_retain(one)) is not None}
        retain = self._members([one for one in done if one.name in sides], sides, by)
        if all(sum(one.side == side for one in retain) >= LEAST for side in ("positive", "negative")):
            if self.plan.stranger is not None and self.finished(self.plan.stranger, self.stranger):
                retain.append(_member("oracle", self.stranger, by))
            found["retain"] = evaluate(retain, asked="retain")
        return found

    def _members(self, pupils: Sequence[Pupil], sides: Mapping[str, Side], by: Sequence[str]) -> list[Member]:
        """The models with their results; `sides`: name, or side in the plan, to the side in the report."""
        found = []
        for one in pupils:
            side = sides.get(one.name) or sides.get(one.side)
            if side is not None:
                found.append(_member(side, self.folder_of(one), by))
        return found

    def _of_retain(self, pupil: Pupil) -> Side | None:
        """The side of a model where the retain rows are asked."""
        if pupil.side == "ignorant":
            return "negative"
        return "positive" if set(self.plan.retain_tasks) <= set(self.plan.tasks_of(pupil)) else None

    def _make(
        self, pupil: Pupil, folder: Path, *, asked: bool, unseen: Sequence[str], stressed: bool
    ) -> dict[str, object]:
        """Teach a model, and ask it what is missing: its tasks, what diagnostics see, its tasks under stress."""
        start = time.process_time()
        model = teaching.taught(pupil, self.plan, self.output, self.epochs)
        seconds = {"training": round(time.process_time() - start, 1)}
        served = teaching.whole(model)
        if not asked:
            shutil.rmtree(folder, ignore_errors=True)
            self._ask(served, folder, pupil, self.plan.tasks_of(pupil))
        if unseen:
            self._look(served, folder, unseen)
        if stressed:
            self._stress(model, served, folder, pupil)
        seconds["all"] = round(time.process_time() - start, 1)
        identity = pupil.identity(self.settings)
        record = {"name": pupil.name, "identity": identity, "settings": self.settings, "cpu_seconds": seconds}
        write_atomically(folder / MADE_FILE, [json.dumps(record, indent=1) + "\n"])
        return record

    def _stress(self, model: "Model", served: "Model", folder: Path, pupil: Pupil) -> None:
        """Ask the model after quantisation, and after relearning."""
        plan = self.plan
        retain = pupil.side == "ignorant"
        tasks = plan.retain_tasks if retain else plan.tasks
        with teaching.quantized(served) as other:
            self._ask(other, folder / QUANTIZATION, pupil, tasks)
        lesson = replace(plan.relearned, about="retain") if retain else plan.relearned
        self._ask(teaching.whole(teaching.learn(model, lesson, plan, self.epochs)), folder / RELEARNING, pupil, tasks)

    def _ask(self, model: "Model", folder: Path, pupil: Pupil, tasks: tuple[str, ...]) -> None:
        """Run the tasks and write the result."""
        from unlearn_bench.harness.backends import load_in_memory
        from unlearn_bench.harness.run import evaluate

        alone = self.oracle in (folder, folder.parent)  # nothing to hold it against
        spec = RunSpec(
            model=pupil.name,
            tasks=tasks,
            batch_size=self.plan.batch_size,
            limit=self.limit,
            diagnosis=DiagnosisSettings(oracle=None if alone else str(self.oracle)),
            chunks=self.output / ANSWERS,
        )
        outcome = evaluate(spec, load=partial(load_in_memory, model=model[0], tokenizer=model[1]))
        assert outcome is not None
        write_results(folder, *outcome)

    def _look(self, model: "Model", folder: Path, diagnostics: Sequence[str]) -> None:
        """Write what diagnostics see at the forget questions, against the original and the oracle."""
        from unlearn_bench.harness.backends import load_in_memory
        from unlearn_bench.harness.plan import make_plan
        from unlearn_bench.harness.run import diagnose

        settings = DiagnosisSettings(tuple(diagnostics), self.plan.original, self.plan.oracle)
        spec = RunSpec(model=folder.name, tasks=self.plan.tasks[:1], limit=self.limit, diagnosis=settings)
        found, _ = diagnose(make_plan(spec.tasks, limit=spec.limit), load_in_memory(spec, *model), spec)
        seen = {name: {key: value.value for key, value in table.items()} for name, table in found.tables.items()}
        text = json.dumps({**_seen(folder), **seen}, indent=1) + "\n"
        write_atomically(folder / INSIDE_FILE, [text])


def _seen(folder: Path) -> dict[str, dict[str, float | None]]:
    """Diagnostic to its numbers; empty where none is kept."""
    return kept_as(dict[str, dict[str, Finite | None]], folder / INSIDE_FILE) or {}


def _member(side: Side, folder: Path, by: Sequence[str]) -> Member:
    """The model of a folder, with what diagnostics saw, and KFR and KRR judged by further ways.

    Raises:
        UserError: if its results cannot be read, or do not follow from their samples.
    """
    try:
        loaded, after = replace(followed(folder), name=folder.name), under_stress(folder)
    except UserError as error:
        step = f"remove {folder}: the same command makes it again"
        raise UserError(error.message, hint=LINE.join(filter(None, (error.hint, step)))) from None
    found = member(side, loaded, after)
    seen = {key: value for table in _seen(folder).values() for key, value in table.items()}
    inside = {f"{INSIDE}/{key}": value for key, value in seen.items() if knowing(key, "forget") is not None}
    stressed = {name: {**found.after[name], **ways.kept(folder / name, after[name], by)} for name in after}
    return replace(found, values={**found.values, **inside, **ways.kept(folder, loaded, by)}, after=stressed)
