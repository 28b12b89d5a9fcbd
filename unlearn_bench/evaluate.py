"""A run: a specification goes in, a result and its samples come out. One generation pass, every scorer over it.

RunSpec -> model (models.subject) -> lm-eval tasks (lm_tasks) -> answers (resume) -> samples -> Result
"""

import importlib.metadata
import logging
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench import __version__, profiles, tokens
from unlearn_bench.backends import load_model
from unlearn_bench.errors import UserError
from unlearn_bench.fingerprint import git_state, package_sha256, source_sha256
from unlearn_bench.models import subject
from unlearn_bench.registry import did_you_mean
from unlearn_bench.results import build_task_result, missing_notes, result_fingerprint
from unlearn_bench.resume import AnswerStore, Generate
from unlearn_bench.schema import DiagnosticsInfo, HarnessInfo, ModelInfo, Result, Sample, TaskResult
from unlearn_bench.tasks_index import tasks_dir

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    from unlearn_bench.lm_tasks import UnlearnTask

CHUNK_BATCHES = 8  # a chunk of the answer store: long enough for refilling to pay, short enough to lose little

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunSpec:
    """What `unlearn-bench run` was asked to do; field by field its options.

    Attributes:
        tasks: Names of our tasks and groups, or of stock lm-eval tasks.
        thinking: "on" and "off" set the switch of a chat template; "model" leaves it as the template has it.
        template_date: What chat templates that write a date write, as YYYY-MM-DD.
        include_path: A folder of further task files, as lm-eval's option of that name.
        model_args: Passed on to `from_pretrained` (hf), to lm-eval's model class (vllm) or to lm_api (api).
        scoring: Profile and parts, as `profiles.build_parts` takes them, and scorers' options (kfr_rule, …).
        chunks: Folder of the answer store; None keeps nothing.
        diagnose: Diagnostics to log into the result, over the questions of the run's forget tasks.
        reference, retain_model: For the diagnostics: the model before unlearning, and one that never knew.
        inside: Folder for the diagnostics' document, arrays and (`plots`) pictures; None keeps only the numbers.
    """

    model: str = "nano-full"
    tasks: tuple[str, ...] = ("nano",)
    include_path: str | None = None
    adapter: str | None = None
    revision: str | None = None
    backend: str = "hf"
    model_args: Mapping[str, object] = field(default_factory=dict, repr=False)
    scoring: Mapping[str, object] = field(default_factory=dict)
    batch_size: int = 32
    dtype: str = "auto"
    device: str | None = None
    limit: int | None = None
    seed: int = 0
    data_dir: str | None = None
    data_revision: str | None = None
    forget_split: str | None = None
    prompt: str = "auto"
    thinking: str = "model"
    template_date: str = tokens.DATE
    first_answer: bool = True
    generation: Mapping[str, object] = field(default_factory=dict)
    allow_pickle: bool = False
    trust_remote_code: bool = False
    allow_partial: bool = False
    chunks: Path | None = None
    diagnose: tuple[str, ...] = ()
    reference: str | None = None
    retain_model: str | None = None
    inside: Path | None = None
    plots: bool = True

    def metadata(self) -> dict[str, object]:
        """What the tasks read of this specification."""
        own = {
            "data_dir": self.data_dir,
            "data_revision": self.data_revision,
            "forget_split": self.forget_split,
            "prompt": self.prompt,
            "first_answer": self.first_answer,
        }
        return {key: value for key, value in {**own, **self.scoring}.items() if value is not None}


@dataclass(frozen=True)
class Progress:
    """What a run tells while it works: the stage it enters, how many answers it will make, how many were just made."""

    stage: Callable[[str], None] = lambda name: None
    total: Callable[[int], None] = lambda count: None
    answers: Callable[[int], None] = lambda count: None


def evaluate(spec: RunSpec, progress: Progress | None = None) -> tuple[Result, list[Sample]] | None:
    """Score a checkpoint.

    Returns:
        The result and its samples, sorted by task and row; None on every process but the first.

    Raises:
        UserError: for anything the user can put right: model, data, task names, settings.
    """
    progress = progress or Progress()
    timing: dict[str, float] = {}
    _check_diagnose(spec)
    tasks, manager = load_tasks(spec.tasks, spec.metadata(), spec.include_path)
    for task in _ours(tasks).values():
        profiles.require(task.parts(), task.scorers)  # a scorer's model that cannot be had must not cost a generation
    with _timed(timing, "load", progress):
        lm, model = load_model(spec)
    for task in _ours(tasks).values():
        task.thinking_markers = lm.prompts.thinking_markers if hasattr(lm, "prompts") else ()
    # a server's answers are kept one by one, by the client itself
    store = AnswerStore(None if spec.backend == "api" else spec.chunks, _answer_identity(spec, model))
    chunk_size = spec.batch_size * CHUNK_BATCHES
    lm.generate_until = _announced(
        store.wrap(_timed_call(_reporting(lm, progress), timing), chunk_size, progress.answers), progress
    )
    with _timed(timing, "run", progress):
        output = _simple_evaluate(lm, tasks, manager, spec)
    if output is None:
        return None
    ours = _ours(tasks)
    with _timed(timing, "aggregate", progress):
        samples = {name: _samples(output["samples"][name]) for name in sorted(ours)}
        if lm.world_size > 1:
            for name in samples:
                ours[name].settle(samples[name])
        results = {name: _task_result(ours[name], samples[name], spec, lm) for name in samples}
    diagnostics, warnings = None, []
    if spec.diagnose:
        with _timed(timing, "diagnose", progress):
            diagnostics, warnings = _diagnose(spec, lm, ours)
    harness, run = harness_info(), _run_settings(spec)
    result = Result(
        model=model,
        harness=harness,
        run=run,
        tasks=results,
        diagnostics=diagnostics,
        other=_other(output["results"], set(tasks) - set(ours)),
        notes=[*_notes(model, lm, results), *missing_notes(s for name in samples for s in samples[name]), *warnings],
        fingerprint=result_fingerprint(model, results, run),
        timing={stage: round(seconds, 3) for stage, seconds in timing.items()},
    )
    return result, [sample for name in samples for sample in samples[name]]


def _ours(tasks: Mapping[str, object]) -> dict[str, "UnlearnTask"]:
    return {name: task for name, task in tasks.items() if hasattr(task, "scorers")}


def _hush() -> None:
    """Progress is ours to show: no bars and no chatter of the libraries."""
    os.environ["TQDM_DISABLE"] = "1"  # tqdm reads it when it is first imported
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    for name in ("lm_eval", "lm_eval.api.task", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)

    from lm_eval import evaluator

    # These ask git (which complains on the terminal outside a clone) and the system; `harness_info` records our own.
    evaluator.get_git_commit_hash = lambda: None
    evaluator.add_env_info = lambda storage: None


def load_tasks(
    names: Sequence[str], metadata: Mapping[str, object], include_path: str | None = None
) -> tuple[dict[str, "UnlearnTask"], "TaskManager"]:
    """Build the named tasks and groups; lm-eval's own index (seconds) is read only if a name is not ours.

    Args:
        names: Names of tasks and groups.
        metadata: Settings that override those of the task files.
        include_path: A folder of further task files.

    Raises:
        UserError: for a name that is neither ours nor lm-eval's.
    """
    _hush()
    from lm_eval.tasks import TaskManager

    folders = [str(tasks_dir()), *([include_path] if include_path else [])]
    manager = TaskManager(include_path=folders, include_defaults=False, metadata=dict(metadata))
    ours = set(manager.all_tasks)
    if not set(names) <= ours:
        manager = TaskManager(include_path=folders, metadata=dict(metadata))
        for name in names:
            if name not in manager.all_tasks:
                raise did_you_mean("task", name, ours)
    return manager.load(list(names))["tasks"], manager


def _simple_evaluate(lm: "LM", tasks: Mapping[str, object], manager: "TaskManager", spec: RunSpec) -> dict | None:
    import lm_eval

    return lm_eval.simple_evaluate(
        model=lm,
        tasks=list(tasks.values()),
        task_manager=manager,
        limit=spec.limit,
        bootstrap_iters=0,
        log_samples=True,
        gen_kwargs=dict(spec.generation) or None,
        apply_chat_template=uses_chat_template(lm, spec),
        random_seed=spec.seed,
        numpy_random_seed=spec.seed,
        torch_random_seed=spec.seed,
        fewshot_random_seed=spec.seed,
    )


def uses_chat_template(lm: "LM", spec: RunSpec) -> bool:
    """Whether prompts go through a chat template: always for a chat server, else where the tokenizer has one.

    Raises:
        UserError: if `--prompt chat` was asked for and there is none.
    """
    if spec.backend == "api":
        return True
    template = getattr(lm.tokenizer, "chat_template", None)
    if spec.prompt == "chat" and not template:
        raise UserError("--prompt chat: the tokenizer has no chat template", hint="use --prompt qa, tofu or plain")
    return spec.prompt in ("auto", "chat") and bool(template)


def _samples(logged: Sequence[Mapping]) -> list[Sample]:
    """The scored samples of a task in the order of its rows: several processes log theirs one after the other."""
    return [entry["filtered_resps"][0].sample for entry in sorted(logged, key=lambda entry: entry["doc_id"])]


def _task_result(task: "UnlearnTask", samples: list[Sample], spec: RunSpec, lm: "LM") -> TaskResult:
    template = _template_text(lm, spec) if uses_chat_template(lm, spec) else None
    prompts: tokens.Prompts | None = getattr(lm, "prompts", None)
    return build_task_result(
        str(task.VERSION),
        task.dataset_info(),
        tokens.info(spec.prompt, template, first_answer=spec.first_answer, chat=prompts.template if prompts else None),
        {**task.config.generation_kwargs, "batch_size": spec.batch_size, "backend": spec.backend},
        profiles.scorer_info(task.parts(), task.scorers, task.options()),
        samples,
        task.aggregate(samples),
    )


def _template_text(lm: "LM", spec: RunSpec) -> str:
    return "the server's own" if spec.backend == "api" else str(lm.tokenizer.chat_template)


def harness_info() -> HarnessInfo:
    """This code and its environment."""
    commit, dirty = git_state()
    versions = {name: importlib.metadata.version(name) for name in ("lm_eval", "transformers", "torch")}
    return HarnessInfo(
        version=__version__,
        commit=commit,
        dirty=dirty,
        code_sha256=package_sha256(),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        **versions,
    )


def _run_settings(spec: RunSpec) -> dict[str, object]:
    """The settings as given, without paths of this machine and without what may be a secret."""
    return {
        "tasks": list(spec.tasks),
        "backend": spec.backend,
        "batch_size": spec.batch_size,
        "dtype": spec.dtype,
        "device": spec.device,
        "limit": spec.limit,
        "seed": spec.seed,
        "prompt": spec.prompt,
        "thinking": spec.thinking,
        "template_date": spec.template_date,
        "first_answer": spec.first_answer,
        "forget_split": spec.forget_split,
        "model_args": sorted(str(key) for key in spec.model_args),
    }


def _check_diagnose(spec: RunSpec) -> None:
    """Refuse before anything is generated what could not be diagnosed after."""
    if not spec.diagnose:
        return
    from unlearn_bench.diagnostics._output import check_plots
    from unlearn_bench.diagnostics._schema import check_names

    check_names(spec.diagnose)
    if spec.backend != "hf":
        raise UserError(f"--diagnose: --backend {spec.backend} hides the model's inside", hint="use --backend hf")
    if spec.inside and spec.plots:
        check_plots()
    for name in filter(None, (spec.reference, spec.retain_model)):
        subject.find(name, allow_pickle=spec.allow_pickle, trust_remote_code=spec.trust_remote_code)


def _diagnose(spec: RunSpec, lm: "LM", tasks: Mapping[str, "UnlearnTask"]) -> tuple[DiagnosticsInfo, list[str]]:
    """Look inside the judged model at the questions that it should have forgotten; also what the reader should know."""
    from unlearn_bench.diagnostics._compared import load_compared
    from unlearn_bench.diagnostics._output import write_diagnosis
    from unlearn_bench.diagnostics.diagnose import Names, diagnose
    from unlearn_bench.lm_tasks import asked_rows

    forget = [task for task in tasks.values() if all(row.split == "forget" for row in asked_rows([task], 1))]
    rows = asked_rows(forget, spec.limit)
    if not rows:
        raise UserError("--diagnose: no task of the run asks forget questions", hint="add one, for example nano_kfr")
    arguments = {
        "dtype": spec.dtype,
        "device": str(lm.device),
        "allow_pickle": spec.allow_pickle,
        "trust_remote_code": spec.trust_remote_code,
        "on_partial": log.warning if spec.allow_partial else None,
        "uses_template": spec.prompt in subject.TEMPLATE_STYLES,
    }
    given = {"reference": spec.reference, "retain": spec.retain_model}
    options = {"reference": "--reference", "retain": "--retain-model"}
    others = {
        key: load_compared(name, options[key], lm.tokenizer, rows, **arguments) for key, name in given.items() if name
    }
    names = Names(Path(spec.model).name, *(name and Path(name).name for name in given.values()))
    found = diagnose(lm.model, lm.tokenizer, rows, diagnostics=spec.diagnose, asker=lm.prompts, names=names, **others)
    if spec.inside is not None:
        write_diagnosis(found, spec.inside, plots=spec.plots)
    inside = found.document
    info = DiagnosticsInfo(
        rows=inside.rows,
        reference=inside.reference,
        retain_model=inside.retain,
        tables=inside.tables,
        unavailable=inside.unavailable,
    )
    return info, inside.warnings


def _other(results: Mapping[str, Mapping], names: set[str]) -> dict[str, dict[str, float]]:
    """Numbers of stock lm-eval tasks, as lm-eval reports them."""
    return {
        name: {key.removesuffix(",none"): value for key, value in results[name].items() if isinstance(value, float)}
        for name in sorted(names)
    }


def _notes(model: ModelInfo, lm: "LM", results: Mapping[str, TaskResult]) -> list[str]:
    notes = []
    if model.adapter_dead:
        notes.append("dead adapter: its update is zero everywhere, so these are the numbers of the base model")
    if model.partial:
        notes.append(f"the model is not whole: {model.partial}; what is missing holds made-up numbers")
    if getattr(lm, "nan_prompts", 0):
        notes.append(f"the model returned NaN logits for {lm.nan_prompts} prompts; their answers end there")
    notes += getattr(lm, "notes", ())
    if any(r.prompt and not r.prompt.chat_template for r in results.values()):
        notes.append("no chat template was used")
    return notes


def _answer_identity(spec: RunSpec, model: ModelInfo) -> dict[str, object]:
    """Everything beside prompt and settings that may move an answer."""
    from unlearn_bench import chat_template, lm_model
    from unlearn_bench.models import generation

    return {
        "model": model.model_dump(),
        "arguments": {k: str(v) for k, v in spec.model_args.items()},
        "batch_size": spec.batch_size,
        "device": spec.device,
        "seed": spec.seed,
        "code": source_sha256(*(Path(module.__file__) for module in (lm_model, generation, tokens, chat_template))),
        "versions": {name: importlib.metadata.version(name) for name in ("lm_eval", "transformers", "torch")},
    }


@contextmanager
def _timed(timing: dict[str, float], stage: str, progress: Progress) -> Iterator[None]:
    progress.stage(stage)
    start = time.perf_counter()
    yield
    timing[stage] = timing.get(stage, 0.0) + time.perf_counter() - start


def _announced(generate: Generate, progress: Progress) -> Generate:
    def announced(requests: Sequence["Instance"], disable_tqdm: bool = False) -> list[str]:
        progress.total(len(requests))
        return generate(requests, disable_tqdm)

    return announced


def _reporting(lm: "LM", progress: Progress) -> Generate:
    """The model's `generate_until`, telling of answers as they finish, or of all at the end where the model cannot."""
    generate = lm.generate_until
    if hasattr(lm, "on_finish"):
        lm.on_finish = progress.answers
        return generate

    def reporting(requests: Sequence["Instance"], disable_tqdm: bool = False) -> list[str]:
        answers = generate(requests, disable_tqdm=disable_tqdm)
        progress.answers(len(answers))
        return answers

    return reporting


def _timed_call(call: Callable, timing: dict[str, float]) -> Callable:
    def timed(*args: object, **kwargs: object) -> object:
        start = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            timing["generate"] = timing.get("generate", 0.0) + time.perf_counter() - start

    return timed


def validate_task(name: str, metadata: Mapping[str, object]) -> str | None:
    """Load one task with its data and build one request.

    Returns:
        What is wrong, or None.
    """
    try:
        tasks, _ = load_tasks([name], metadata)
        for task in tasks.values():
            task.build_all_requests(limit=1)
    except UserError as error:
        return str(error)
    except Exception as error:  # a task file of a third party may fail in any way; each is a finding, not a crash
        return f"{type(error).__name__}: {error}"
    return None
