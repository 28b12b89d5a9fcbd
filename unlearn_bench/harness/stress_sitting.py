"""Checkpoints under stress: each asked without a stress, then under each exam; a finished exam is not done again."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.errors import UserError
from unlearn_bench.evidence import profiles
from unlearn_bench.files import write_atomically
from unlearn_bench.harness.backends import CAPABILITIES, JudgedModel, load_model
from unlearn_bench.harness.lm import StoredLM
from unlearn_bench.harness.observations import AnswerStore
from unlearn_bench.harness.observe import observe
from unlearn_bench.harness.plan import Plan, QuestionSet
from unlearn_bench.harness.progress import Progress
from unlearn_bench.harness.run import answer_identity
from unlearn_bench.harness.scoring import score
from unlearn_bench.harness.spec import RunSpec, StressSpec
from unlearn_bench.hashing import sha256_json
from unlearn_bench.models import subject
from unlearn_bench.models.identity import describe_files
from unlearn_bench.schema import ModelInfo, Role, Row, Sample, Strict
from unlearn_bench.stress.base import CannotRun, Material, Subject
from unlearn_bench.stress.panel import Exam

if TYPE_CHECKING:
    from transformers import PreTrainedModel

UNSTRESSED = "unstressed"


class ExamRecord(Strict):
    """A finished exam of one checkpoint.

    Attributes:
        key: Hash of all that may move it.
        skipped: Why it was not done.
        samples: Question set to the scored answers, each with the id of the row that it belongs to.
    """

    key: str
    seconds: float
    facts: dict[str, float] = {}
    skipped: str | None = None
    samples: dict[str, list[Sample]] = {}


@dataclass
class Sitting:
    """One checkpoint that sits its exams; it is loaded when the first of them is not finished yet.

    Attributes:
        chosen: All exams of the panel; what they prepare together lasts until an exam of another preparation begins.
    """

    spec: StressSpec
    plan: Plan
    who: str
    run: RunSpec
    source: subject.Source
    folder: Path
    progress: Progress
    chosen: Sequence[Exam] = ()
    _prepared: "tuple[str, tempfile.TemporaryDirectory[str]] | None" = None

    @cached_property
    def info(self) -> ModelInfo:
        """Who it is, by its files."""
        return describe_files(self.source, dtype=self.run.dtype)

    @cached_property
    def judged(self) -> JudgedModel:
        """The checkpoint, loaded."""
        self.progress.stage("load")
        return load_model(self.run)

    @cached_property
    def unstressed(self) -> dict[str, list[Sample]]:
        """Its answers without a stress."""
        return self.sit(None).samples

    def sit(self, exam: Exam | None) -> ExamRecord:
        """Do an exam, or read what was found when it was done before; None: the tasks without a stress."""
        name = UNSTRESSED if exam is None else exam.name
        path = self.folder / "exams" / self.who / f"{name.replace('/', '-')}.json"
        key = self._key(exam)
        kept = _read(path, key)
        if kept is not None:
            return kept
        self.progress.stage(f"{self.who}: {name}")
        start = time.perf_counter()
        facts: dict[str, float] = {}
        samples, skipped = {}, None
        try:
            with redirect_stdout(sys.stderr):
                samples = self._ask(self.plan, self.judged, key) if exam is None else self._examine(exam, key, facts)
        except CannotRun as error:
            skipped = str(error)
        seconds = round(time.perf_counter() - start, 3)
        record = ExamRecord(key=key, seconds=seconds, facts=facts, skipped=skipped, samples=samples)
        write_atomically(path, [record.model_dump_json()])
        return record

    def _key(self, exam: Exam | None) -> str:
        """Hash of all that may move the answers and their scores."""
        asked = {
            name: [
                [row.model_dump(mode="json") for row in one.rows],
                dict(one.task.generation),
                profiles.scorer_info(one.parts(), one.scorers, one.task.scoring.options).fingerprint,
            ]
            for name, one in self.plan.question_sets.items()
        }
        done = None
        if exam is not None:
            stress = exam.stress
            done = [exam.name, stress.version, dict(stress.settings), dict(stress.asked.get(exam.variant, {}))]
            done += [self.spec.original if self.who == "model" else None]
        return sha256_json([answer_identity(self.run, self.info), vars(self.run.prompts), asked, done])

    def _examine(self, exam: Exam, key: str, facts: dict[str, float]) -> dict[str, list[Sample]]:
        settings = dict(exam.stress.asked.get(exam.variant, {}))
        batch_size = settings.pop("batch_size", None)
        plan = self._changed_plan(exam, settings)
        if not any(one.rows for one in plan.question_sets.values()):
            raise CannotRun("no question can be changed so")
        if exam.stress.apply is None:
            return self._ask(plan, self.judged, key, batch_size)
        with exam.stress.apply(exam.variant, self._subject(exam, facts)) as model:
            found = self._ask(plan, with_model(self.judged, model, self.run), key, batch_size)
        facts["changed_answers"] = self._share_changed(found)
        return found

    def _subject(self, exam: Exam, facts: dict[str, float]) -> Subject:
        original = self._original if self.who == "model" and self.spec.original else None
        found = subject_of(self.judged, self.run, self.plan, self._scratch(exam), self.source)
        beside = tuple(one.variant for one in (*self.chosen, exam) if one.prepared == exam.prepared)
        return replace(found, judged=self.who == "model", beside=beside, original=original, facts=facts)

    def _scratch(self, exam: Exam) -> Path:
        if self._prepared is None or self._prepared[0] != exam.prepared:
            self.close()
            self._prepared = exam.prepared, tempfile.TemporaryDirectory()
        return Path(self._prepared[1].name)

    def close(self) -> None:
        """Remove what exams have prepared."""
        if self._prepared is not None:
            self._prepared[1].cleanup()
            self._prepared = None

    @cached_property
    def _original(self) -> "Callable[[], PreTrainedModel]":
        run = self.spec.checkpoints()["original"]
        model, _ = subject.load(find(run), dtype=run.dtype, device=str(self.judged.lm.device), uses_template=False)
        return lambda: model

    def _changed_plan(self, exam: Exam, settings: Mapping[str, object]) -> Plan:
        """The plan with changed rows; a changed question or draw is asked of forget rows only."""
        stress, sets = exam.stress, self.plan.question_sets
        if stress.changes != "checkpoint":
            sets = {name: one for name, one in sets.items() if role_of(one) == "forget"}
        changed = {}
        for name, one in sets.items():
            rows = list(one.rows)
            if stress.rows is not None and role_of(one) == "forget":
                material = self._material(name)
                rows = [new for row in one.rows for new in stress.rows(exam.variant, row, material)]
            task = replace(one.task, generation={**one.task.generation, **settings})
            changed[name] = replace(one, rows=rows, task=task)
        return replace(self.plan, question_sets=changed)

    def _material(self, name: str) -> Material:
        sets = self.plan.question_sets.values()
        of = {role: [row for one in sets if role_of(one) == role for row in one.rows] for role in ("retain", "forget")}
        return Material(
            answers={sample.id: sample.response for sample in self.unstressed[name]},
            separator=self.judged.prompts.separator if self.judged.prompts else "",
            seed=self.run.seed,
            **of,
        )

    def _ask(self, plan: Plan, judged: JudgedModel, key: str, batch_size: int | None = None) -> dict[str, list[Sample]]:
        """Answers to a plan, scored; generated ones are kept until the whole panel is done."""
        if batch_size is not None:
            judged = _wrapped(judged, judged.lm.model, batch_size)
        stored = StoredLM(
            judged.lm,
            AnswerStore(self.folder / ".answers", {"key": key}),
            batch_size=batch_size or self.run.batch_size,
            seed=self.run.seed,
            progress=self.progress,
            timing={},
            template=judged.template,
        )
        observed = observe(plan, replace(judged, lm=stored), self.run.prompts, seed=self.run.seed)
        return score(plan, observed)

    def _share_changed(self, found: Mapping[str, Sequence[Sample]]) -> float:
        """Share of the answers whose text is another one than without the stress."""
        before = {(name, s.id): s.response for name, samples in self.unstressed.items() for s in samples}
        pairs = [(before[name, s.id], s.response) for name, samples in found.items() for s in samples]
        return sum(one != other for one, other in pairs) / len(pairs)


def _read(path: Path, key: str) -> ExamRecord | None:
    """A finished exam; None if there is none, it is of other settings, or the file is not what we wrote."""
    try:
        record = ExamRecord.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    return record if record.key == key else None


def find(run: RunSpec) -> subject.Source:
    """Where a checkpoint lies, if it can be put under stress.

    Raises:
        UserError: if it cannot be found, or only asked.
    """
    if not CAPABILITIES[run.backend].hidden_states:
        raise UserError(f"stress: --backend {run.backend} hides the model's inside", hint="use --backend hf")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("stress runs in one process", hint="start it without torchrun or accelerate")
    return subject.find(
        run.model,
        adapter=run.adapter,
        revision=run.revision,
        allow_pickle=run.allow_pickle,
        trust_remote_code=run.trust_remote_code,
    )


def subject_of(judged: JudgedModel, run: RunSpec, plan: Plan, scratch: Path, source: subject.Source) -> Subject:
    """What a stress is given of a loaded checkpoint and of the rows that it is asked."""
    rows: dict[str, list[Row]] = {}
    for one in plan.question_sets.values():
        rows.setdefault(role_of(one), []).extend(one.rows)
    return Subject(
        judged.lm.model,
        judged.lm.tokenizer,
        rows,
        scratch,
        checkpoint=str(source.path),
        adapter=str(source.adapter) if source.adapter else None,
        trust={"allow_pickle": run.allow_pickle, "trust_remote_code": run.trust_remote_code},
        seed=run.seed,
    )


def with_model(judged: JudgedModel, model: "PreTrainedModel", run: RunSpec) -> JudgedModel:
    """Another model with the same tokenizer and prompts."""
    return judged if model is judged.lm.model else _wrapped(judged, model, run.batch_size)


def _wrapped(judged: JudgedModel, model: "PreTrainedModel", batch_size: int | str) -> JudgedModel:
    """A model with the tokenizer and prompts of another, asked so many rows at a time."""
    from unlearn_bench.harness.hf_model import UnlearnLM

    lm = UnlearnLM(model, judged.lm.tokenizer, prompts=judged.prompts, batch_size=batch_size, alone=True)
    return replace(judged, lm=lm)


def role_of(asked: QuestionSet) -> Role:
    """Of the rows of a question set."""
    return asked.rows[0].role
