"""Make the pools of a benchmark: each model taught, asked and thrown away, its results kept.

    OUTPUT/oracle/                 the oracle, and after relearning and quantisation
    OUTPUT/SIDE/NAME/              result.json, samples.jsonl; made.json, written last: with it the model is finished
    OUTPUT/unlearned/NAME/STRESS/  the same after relearning or quantisation
    OUTPUT/.answers/               what was asked, so that nothing is asked twice

A model depends on nothing but its plan: started again, the command makes what is missing.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.comparison.loaded import from_file
from unlearn_bench.files import write_atomically
from unlearn_bench.harness.oracle import is_result
from unlearn_bench.harness.spec import DiagnosisSettings, RunSpec
from unlearn_bench.meta import teaching, ways
from unlearn_bench.meta.evaluate import QUANTIZATION, RELEARNING, MetaReport, evaluate
from unlearn_bench.meta.plan import Plan, Pupil
from unlearn_bench.meta.pool import LEAST, Member, Side, member
from unlearn_bench.results import write_results

if TYPE_CHECKING:
    from unlearn_bench.meta.teaching import Model

INSIDE = ("depth",)
MADE_FILE = "made.json"
ANSWERS = ".answers"
_SIDES: Mapping[str, Side] = {side: side for side in ("positive", "negative", "broken", "unlearned")}
Report = Callable[[Pupil, dict[str, object]], None]


@dataclass(frozen=True)
class Pool:
    """A pool in a folder.

    Attributes:
        plan: Of its benchmark.
        output: The folder.
        limit: Questions of each task, or below 1 the share of them.
        depth: Whether unlearning depth is measured.
        epochs: Most epochs of a lesson; for trials.
    """

    plan: Plan
    output: Path
    limit: float
    depth: bool = False
    epochs: int | None = None

    @property
    def settings(self) -> dict[str, object]:
        """What changes the numbers."""
        tasks = [*self.plan.tasks, *self.plan.retain_tasks]
        return {"limit": self.limit, "inside": self.depth, "epochs": self.epochs, "tasks": tasks}

    @property
    def oracle(self) -> Path:
        """Where the oracle's results lie."""
        return self.output / "oracle"

    def folder_of(self, pupil: Pupil) -> Path:
        """Where a model's results lie."""
        return self.output / pupil.side / pupil.name

    def finished(self, pupil: Pupil, folder: Path | None = None) -> bool:
        """Whether the model was made, by the same plan and with the same settings.

        Args:
            pupil: The model.
            folder: Where its results lie, if not in its own place.
        """
        try:
            record = json.loads(((folder or self.folder_of(pupil)) / MADE_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(record, dict) and record.get("identity") == pupil.identity(self.settings)

    def make(self, pupils: Sequence[Pupil], report: Report) -> None:
        """Make every model that is not finished, the oracle first.

        Args:
            pupils: The models.
            report: Called for each model that was made, with what made.json says.
        """
        places = [(self.plan.oracle_pupil, self.oracle), *((one, self.folder_of(one)) for one in pupils)]
        for pupil, folder in places:
            if pupil.side == "unlearned" and not is_result(self.oracle / RELEARNING):
                start = teaching.taught(self.plan.oracle_pupil, self.plan, self.output)
                self._stress(start, self.oracle, name=self.plan.oracle_pupil.name, oracle=None)
            if not self.finished(pupil, folder):
                report(pupil, self._make(pupil, folder))

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

    def _make(self, pupil: Pupil, folder: Path) -> dict[str, object]:
        start = time.process_time()
        shutil.rmtree(folder, ignore_errors=True)
        plan, is_oracle = self.plan, folder == self.oracle
        model = teaching.taught(pupil, plan, self.output, self.epochs)
        seconds = {"training": round(time.process_time() - start, 1)}
        who = {"name": pupil.name, "oracle": None if is_oracle else self.oracle}
        self._ask(teaching.whole(model), folder, tasks=plan.tasks_of(pupil), **who)
        if pupil.side == "unlearned":
            self._stress(model, folder, **who)
        seconds["all"] = round(time.process_time() - start, 1)
        record = {"name": pupil.name, "identity": pupil.identity(self.settings), "cpu_seconds": seconds}
        write_atomically(folder / MADE_FILE, [json.dumps(record, indent=1) + "\n"])
        return record

    def _stress(self, model: "Model", folder: Path, *, name: str, oracle: Path | None) -> None:
        """Ask the model after quantisation, and after relearning."""
        ask = partial(self._ask, name=name, oracle=oracle, tasks=self.plan.tasks)
        with teaching.quantized(teaching.whole(model)) as other:
            ask(other, folder / QUANTIZATION)
        learnt = teaching.learn(model, self.plan.relearned, self.plan, self.epochs)
        ask(teaching.whole(learnt), folder / RELEARNING)

    def _ask(self, model: "Model", folder: Path, *, name: str, oracle: Path | None, tasks: tuple[str, ...]) -> None:
        """Run the tasks, measure the depth, and write the result."""
        from unlearn_bench.harness.backends import load_in_memory
        from unlearn_bench.harness.run import evaluate

        asked = DiagnosisSettings(oracle=None if oracle is None else str(oracle))
        spec = RunSpec(
            model=name,
            tasks=tasks,
            batch_size=self.plan.batch_size,
            limit=self.limit,
            diagnosis=asked,
            chunks=self.output / ANSWERS,
        )
        load_model = partial(load_in_memory, model=model[0], tokenizer=model[1])
        outcome = evaluate(spec, load=load_model)
        assert outcome is not None
        result, samples = outcome
        if self.depth and self.plan.tasks[0] in tasks:
            result.diagnostics = self._inside(spec, load_model)
        write_results(folder, result, samples)

    def _inside(self, spec: RunSpec, load_model: Callable) -> object:
        """What diagnostics see at the forget questions, against the original and the oracle."""
        from unlearn_bench.harness.plan import make_plan
        from unlearn_bench.harness.run import diagnose

        settings = DiagnosisSettings(INSIDE, self.plan.original, self.plan.oracle)
        own = replace(spec, tasks=self.plan.tasks[:1], diagnosis=settings)
        return diagnose(make_plan(own.tasks, limit=own.limit), load_model(own), own)[0]


def _member(side: Side, folder: Path, by: Sequence[str]) -> Member:
    """The model of a folder, KFR and KRR judged by further ways."""
    loaded = replace(from_file(folder), name=folder.name)
    stresses = [stress for stress in (RELEARNING, QUANTIZATION) if is_result(folder / stress)]
    after = {stress: from_file(folder / stress) for stress in stresses}
    found = member(side, loaded, after)
    if not by:
        return found
    stressed = {name: {**found.after[name], **ways.kept(folder / name, after[name], by)} for name in stresses}
    return replace(found, values={**found.values, **ways.kept(folder, loaded, by)}, after=stressed)
