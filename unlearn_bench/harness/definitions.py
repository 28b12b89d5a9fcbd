"""What a task file of this project says: which rows are asked, how, and which scorers score the answers."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from unlearn_bench import data, tokens
from unlearn_bench.errors import UserError
from unlearn_bench.evidence.pipeline import resolve
from unlearn_bench.harness.observations import without_surrogates
from unlearn_bench.harness.spec import DataSettings, PromptSettings, Scoring
from unlearn_bench.schema import NeverKnew, Response, Row
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import PROBES
from unlearn_bench.text import answer

_COMPANIONS = {"kfr": ("kfr_fluent", "fluency"), "krr": ("fluency",), "linguistic_score": ("fluency",)}
RUN = "run"  # `samples_of` of a task that scores the answers of all others
_READ = frozenset(
    ("task", "tag", "class", "include", "custom_dataset", "test_split", "output_type", "doc_to_text", "doc_to_target")
) | {"generation_kwargs", "metadata", "samples_of", "metrics", "probes", "num_fewshot", "metric_list"}


@dataclass(frozen=True)
class Task:
    """What a task file of this project declares.

    Attributes:
        question: The row's field that is asked.
        scorers: Names of scorers or metrics.
        on_request: Scorers that cost too much to be computed unasked; `run --metrics` names them.
        generation: Settings of the generation.
        samples_of: The question set whose samples are scored: another task's name, or `RUN`; None: its own.
        probes: Ways in which a row is asked in addition to those that the scorers read.
        data, scoring: Settings that the file holds itself.
        prompts: Prompt settings that the file fixes, whatever a run is asked for (a benchmark for base models).
        never_knew: Metric to what a model that never knew scores.
        optional: As part of a group it is left out where its rows are missing, and that is noted.
        reference_tokens: Of the reference answer only so many tokens of the judged model count; None: all.
    """

    name: str
    version: str
    dataset: str
    split: str
    question: str
    scorers: tuple[str, ...]
    generation: Mapping[str, Any]
    samples_of: str | None = None
    on_request: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    data: DataSettings = field(default_factory=DataSettings)
    scoring: Scoring = field(default_factory=Scoring)
    prompts: Mapping[str, Any] = field(default_factory=dict)
    never_knew: Mapping[str, NeverKnew] = field(default_factory=dict)
    optional: bool = False
    reference_tokens: int | None = None

    def asked_with(self, settings: PromptSettings) -> PromptSettings:
        """The prompt settings of a run, with those that the task fixes."""
        return replace(settings, **self.prompts)

    @property
    def question_set(self) -> str:
        """Name of the questions that it asks itself; of a task over the whole run, those that it asks alone."""
        return self.name if self.samples_of in (None, RUN) else str(self.samples_of)


def with_companions(scorers: Iterable[str]) -> list[str]:
    """Scorers, each followed by those that show where a collapsed model games it.

    >>> with_companions(["krr", "rouge"])
    ['krr', 'fluency', 'rouge']
    """
    return list(dict.fromkeys(n for name in scorers for n in (name, *_COMPANIONS.get(name, ()))))


def reads_answers(task: Task) -> bool:
    """Whether a task's question set is answered: of others (holdout rows) only likelihoods are asked."""
    return any("answer" in SCORERS.get(name).probes for name in resolve(task.scorers))


def read_task(config: Mapping[str, Any]) -> Task:
    """A task file's content, its includes resolved, as a task.

    Raises:
        UserError: for an unknown key, or an invalid value.
    """
    name, metadata = str(config.get("task")), config.get("metadata") or {}
    if unread := sorted(set(config) - _READ):
        raise UserError(f"task {name}: {unread[0]} is not read by tasks of class UnlearnTask")
    if config.get("output_type", "generate_until") != "generate_until":
        raise UserError(f"task {name}: output_type {config['output_type']}: tasks of class UnlearnTask generate")
    for key in ("dataset", "split", "scorers"):
        if key not in metadata:
            raise UserError(
                f"task {name}: metadata has no {key}", hint="see the task files in `unlearn-bench tasks --dir`"
            )
    probes = _listed(config.get("probes", ()))
    if unknown := sorted(set(probes) - set(PROBES)):
        raise UserError(f"task {name}: unknown probe {unknown[0]!r}", hint=f"known: {', '.join(PROBES)}")
    return Task(
        name=name,
        version=str(metadata.get("version", "0")),
        dataset=str(metadata["dataset"]),
        split=str(metadata["split"]),
        question=str(metadata.get("question", "question")),
        scorers=_listed(config.get("metrics", metadata["scorers"])),
        generation=dict(config.get("generation_kwargs") or {}),
        samples_of=config.get("samples_of"),
        on_request=_listed(metadata.get("on_request", ())) if "metrics" not in config else (),
        probes=probes,
        data=DataSettings.of(metadata),
        scoring=Scoring.of(metadata),
        prompts=PromptSettings.fixed_by(metadata),
        never_knew=_never_knew(name, metadata),
        optional=bool(metadata.get("optional", False)),
        reference_tokens=metadata.get("reference_tokens"),
    )


def _never_knew(task: str, metadata: Mapping[str, Any]) -> dict[str, NeverKnew]:
    values, source = metadata.get("never_knew") or {}, metadata.get("never_knew_source")
    if values and not source:
        raise UserError(f"task {task}: never_knew has no never_knew_source", hint="say which model, and where it is")
    return {str(metric): NeverKnew(value=value, source=str(source)) for metric, value in values.items()}


def _listed(names: Any) -> tuple[str, ...]:
    """A list, or names joined by "+": what `lm_eval run --metadata` can say."""
    return tuple(map(str, names)) if isinstance(names, (list, tuple)) else tuple(str(names).split("+"))


@lru_cache(maxsize=32)
def _load(dataset: str, split: str, data_dir: str | None, revision: str | None) -> data.Dataset:
    return data.load(dataset, split, data_dir=data_dir, revision=revision)


def asked_dataset(task: Task) -> data.Dataset:
    """The dataset that a task asks; `forget_split` chooses among the forget sets that it declares.

    Raises:
        UserError: if it cannot be loaded.
    """
    settings = task.data
    if settings.data_dir is not None and not Path(settings.data_dir).is_dir():
        raise UserError(
            f"--data-dir {settings.data_dir} does not exist", hint="pass the folder that holds tofu/ or knowundo/"
        )
    split = data.asked_split(task.dataset, task.split, settings.forget_split)
    return _load(task.dataset, split, settings.data_dir, settings.data_revision)


def asked_rows(task: Task, limit: float | None = None) -> list[Row]:
    """The rows of a task, `question` being what is asked: the first `limit`, below 1 this share of them.

    Raises:
        UserError: if rows lack the field that is to be asked.
    """
    rows = asked_dataset(task).rows
    missing = sum(getattr(row, task.question) is None for row in rows)
    if missing:
        raise UserError(f"{task.dataset} {task.split}: {missing} of {len(rows)} rows have no {task.question}")
    count = limit if limit is None else math.ceil(len(rows) * limit) if limit < 1 else int(limit)
    if task.question == "question":
        return rows[:count]
    return [row.model_copy(update={"question": getattr(row, task.question)}) for row in rows[:count]]


def response_to(row: Row, question_set: str, text: str = "", *, missing: str | None = None) -> Response:
    """What was said to a row, or why nothing was (`Response.missing`)."""
    return Response(
        id=row.id,
        task=question_set,
        role=row.role,
        question=row.question,
        reference=row.answer or None,
        response=text,
        missing=missing,
        cluster=row.cluster,
        kind=row.kind,
        aliases=row.aliases,
        choices=row.choices,
        gold=row.gold,
    )


def prompt_text(
    task: Task, row: Row, settings: PromptSettings, template: Callable[..., str] | None, *, system: str | None = None
) -> str:
    """The text that a row is asked with: the question in its style, and the beginning of the answer if there is one.

    White space at the start of that beginning is left out behind white space.
    """
    style = task.asked_with(settings).prompt
    question = row.question if row.asked is None else row.asked
    asked = tokens.build(question, style=style, chat_template=template, system=system, earlier=row.earlier)
    if not row.prefill:
        return asked  # a conversation for a server is more than its text
    return asked + (row.prefill.lstrip() if asked[-1:].isspace() else row.prefill)


def read_answer(
    row: Row, question_set: str, prompt: str, generation: str, *, markers: answer.Markers, first_answer: bool
) -> Response:
    """The answer in a generation.

    Args:
        row: What was asked.
        question_set: Its name.
        prompt: The text that was generated from.
        generation: All that was generated.
        markers: What the model's template puts around thinking.
        first_answer: Whether the answer is cut out of the generation.
    """
    missing = answer.why_not_given(generation)
    text = "" if missing else without_surrogates(generation).strip()
    response = response_to(row, question_set, text, missing=missing)
    if missing or not first_answer:
        return response
    return answer.apply(response, markers=markers, opened=answer.is_open(prompt, markers))
