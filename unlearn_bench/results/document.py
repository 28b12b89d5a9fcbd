"""Samples and metrics become a result; a result and its samples become two files. `reading.py` reads them."""

import hashlib
import importlib.metadata
import os
import platform
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import chain
from pathlib import Path

from unlearn_bench import __version__
from unlearn_bench.errors import UserError
from unlearn_bench.files import write_together
from unlearn_bench.hashing import git_state, package_sha256, sha256_json
from unlearn_bench.schema import (
    ClusterInfo,
    DatasetInfo,
    HarnessInfo,
    MetricValue,
    ModelInfo,
    PromptInfo,
    Result,
    Role,
    Sample,
    ScorerInfo,
    TaskResult,
)

RESULT_FILE = "result.json"
SAMPLES_FILE = "samples.jsonl"


def build_task_result(
    task_version: str,
    dataset: DatasetInfo,
    prompt: PromptInfo | None,
    generation: Mapping[str, str | int | float | bool | list[str] | None],
    scorer: ScorerInfo,
    samples: Sequence[Sample],
    metrics: Mapping[str, MetricValue],
    *,
    role: Role | None = None,
    samples_of: Sequence[str] = (),
) -> TaskResult:
    """Everything known about one task.

    Args:
        task_version: Version of the task's definition.
        dataset: Identity of the rows that were asked.
        prompt: None where the prompts were made elsewhere and cannot be known.
        generation: Settings of the generation, as far as they are known.
        scorer: Who scored.
        samples: The scored answers, in the order of the rows.
        metrics: Metric name to its aggregate over `samples`.
        role: The samples' own if left out; "fluency" where they are of several kinds.
        samples_of: Names of the question sets that the samples belong to; empty means the task's own name.
    """
    return TaskResult(
        version=task_version,
        role=role or _common_role(samples),
        samples_of=list(samples_of),
        dataset=dataset,
        prompt=prompt,
        generation=dict(generation),
        scorer=scorer,
        n=len(samples),
        clusters=cluster_info(samples),
        empty=sum(sample.empty for sample in samples),
        degenerate=sum(sample.degenerate is not None for sample in samples),
        cut=dict(sorted(Counter(kind for sample in samples for kind in sample.cut).items())),
        metrics=dict(metrics),
    )


def samples_of(task: str, result: Result, samples: Iterable[Sample]) -> list[Sample]:
    """The samples that a task's numbers were computed from, in the order of its question sets and their rows.

    Args:
        task: A key of `result.tasks`.
        result: The result.
        samples: All samples of the result.

    Returns:
        The samples themselves, not copies. A task over several question sets (`ls`) has each question once: the
        sample of the first set that asks it.

    Raises:
        KeyError: if the result has no such task.
    """
    return choose_samples(sets_of(task, result.tasks[task]), samples)


def samples_by_task(result: Result, samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """Every task of a result with the samples that its numbers were computed from; see `samples_of`."""
    by_set: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_set[sample.task].append(sample)
    return {
        name: choose_samples(sets, chain.from_iterable(by_set[one] for one in dict.fromkeys(sets)))
        for name, task in result.tasks.items()
        for sets in [sets_of(name, task)]
    }


def sets_of(name: str, task: TaskResult) -> list[str]:
    """The question sets (`Sample.task`) whose samples a task takes: by default its own name."""
    return task.samples_of or [name]


def takers(result: Result) -> dict[str, list[str]]:
    """Question set to the names of the tasks that take its samples."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, task in result.tasks.items():
        for one in dict.fromkeys(sets_of(name, task)):
            found[one].append(name)
    return dict(found)


def choose_samples(question_sets: Sequence[str], samples: Iterable[Sample]) -> list[Sample]:
    """The samples of question sets; where there are several sets, the first sample of each question."""
    chosen: dict[str, list[Sample]] = {name: [] for name in question_sets}
    for sample in samples:
        if sample.task in chosen:
            chosen[sample.task].append(sample)
    found = [sample for group in chosen.values() for sample in group]
    if len(chosen) == 1:
        return found
    first: dict[str, Sample] = {}
    for sample in found:
        first.setdefault(sample.question or f"{sample.task}\n{sample.id}", sample)  # a log may leave the question out
    return list(first.values())


_MISSING = {
    "prompt_too_long": "the prompt leaves no room for an answer in the model's context; lower --max-gen-toks",
    "no_answer_after_thinking": "the text ends inside the thinking; raise --max-gen-toks, or pass --thinking off where "
    "the chat template knows it",
}


_NO_LIKELIHOOD = {
    "backend_gives_no_log_probabilities": "metrics that need it are unscored; --backend hf and vllm give it",
    "empty_continuation": "the text is empty, or the tokenizer makes no token of it",
    "longer_than_context": "prompt and text do not fit into the model's context, and nothing is cut",
    "nan_logits": "the model returned NaN",
}


def missing_notes(samples: Sequence[Sample]) -> list[str]:
    """What the reader should know of answers and likelihoods that are not there: a line for each reason."""
    counts = Counter(str(sample.missing) for sample in samples if sample.lost)
    answers = [
        f"{count} {'answers are' if count > 1 else 'answer is'} unscored ({reason}): "
        f"{_MISSING.get(reason, 'no answer was given')}"
        for reason, count in sorted(counts.items())
    ]
    texts = [(name, why) for sample in samples for name, why in (sample.no_likelihood or {}).items()]
    counts = Counter(why for name, why in texts if name != "gradient")  # that reason stands below the table
    return answers + [
        f"{count} given texts have no likelihood ({reason}): {_NO_LIKELIHOOD.get(reason, 'the model told none')}"
        for reason, count in sorted(counts.items())
    ]


def _common_role(samples: Sequence[Sample]) -> Role:
    kinds = {sample.role for sample in samples}
    return kinds.pop() if len(kinds) == 1 else "fluency"


def cluster_info(samples: Sequence[Sample]) -> ClusterInfo | None:
    """What intervals are computed over; None if any sample names no cluster, or all name the same."""
    names = {sample.cluster for sample in samples}
    return None if None in names or len(names) < 2 else ClusterInfo(key="cluster", n=len(names))


@cache
def _installed(package: str) -> str:
    return importlib.metadata.version(package)


def harness_info() -> HarnessInfo:
    """This code and its environment."""
    commit, dirty = git_state()
    versions = {name: _installed(name) for name in ("lm_eval", "transformers", "torch")}
    return HarnessInfo(
        version=__version__,
        commit=commit,
        dirty=dirty,
        code_sha256=package_sha256(),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        **versions,
    )


def result_fingerprint(model: ModelInfo, tasks: Mapping[str, TaskResult], run: Mapping[str, object]) -> str:
    """Hash of all that may move a number of a result (model, data, prompts, settings, versions), not of the numbers.

    Fields at their default are left out, so that a field added later changes no older fingerprint.
    """
    numbers = {"metrics", "empty", "degenerate", "cut"}
    asked = {
        name: task.model_dump(exclude=numbers, exclude_defaults=True, by_alias=True) for name, task in tasks.items()
    }
    return sha256_json(
        {"model": model.model_dump(exclude_defaults=True, by_alias=True), "tasks": asked, "run": dict(run)}
    )


def write_results(folder: Path, result: Result, samples: Sequence[Sample]) -> None:
    """Write samples.jsonl and result.json; the samples' hash is put into `result` first.

    Both texts are on the disk before either takes its name, so a full disk leaves the files that were there.

    Raises:
        UserError: if `folder` is a file.
        OSError: if the disk is full or the folder cannot be written.
    """
    require_folder(folder)
    result.samples_sha256 = samples_sha256(samples)
    write_together({folder / SAMPLES_FILE: sample_lines(samples), folder / RESULT_FILE: [dump_result(result)]})


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Keep a folder from other processes while a result is made; the first process of a distributed run holds it.

    Raises:
        UserError: if another process writes to it, or `folder` is a file.
    """
    from filelock import FileLock, Timeout

    if os.environ.get("RANK", "0") != "0":
        yield
        return
    require_folder(folder)
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"another process is writing to {folder}", hint="choose another --output, or wait") from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()
        if new:
            with suppress(OSError):
                folder.rmdir()  # nothing was written: leave nothing


def require_folder(path: Path, flag: str = "--output") -> None:
    """Make sure that a folder can be there.

    Args:
        path: The folder; may be missing.
        flag: The option that named it.

    Raises:
        UserError: if it is a file.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"{flag} {path}: a file, expected a folder", hint="name a folder; it is made if missing")


def dump_result(result: Result) -> str:
    """The text of result.json."""
    return result.model_dump_json(indent=2) + "\n"


def samples_sha256(samples: Sequence[Sample]) -> str:
    """Hash of samples.jsonl as it would be written."""
    digest = hashlib.sha256()
    for line in sample_lines(samples):
        digest.update(line.encode("utf-8"))
    return digest.hexdigest()


def sample_lines(samples: Sequence[Sample]) -> Iterator[str]:
    """The lines of samples.jsonl."""
    return (sample.model_dump_json() + "\n" for sample in samples)
