"""A run: a specification goes in, a result and its samples come out. One generation pass, every scorer over it.

RunSpec -> model (models.subject) -> lm-eval tasks (lm_tasks) -> answers (resume) -> samples -> Result
"""

import contextlib
import importlib.metadata
import logging
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench import __version__, tokens
from unlearn_bench.data import splits_of
from unlearn_bench.errors import UserError
from unlearn_bench.evidence import profiles
from unlearn_bench.harness.backends import load_model
from unlearn_bench.harness.observations import AnswerStore, with_seeds
from unlearn_bench.harness.progress import Progress, announced, reporting, timed, timed_call
from unlearn_bench.harness.stock import FEWSHOT_SEED, StockResults, run_stock
from unlearn_bench.harness.task_loading import load_tasks
from unlearn_bench.hashing import git_state, package_sha256, source_sha256
from unlearn_bench.models import subject
from unlearn_bench.results import build_task_result, missing_notes, result_fingerprint
from unlearn_bench.schema import DiagnosticsInfo, HarnessInfo, ModelInfo, Result, Sample, TaskResult

if TYPE_CHECKING:
    from lm_eval.api.group import Group
    from lm_eval.api.model import LM
    from lm_eval.api.task import Task

    from unlearn_bench.harness.tasks import UnlearnTask

CHUNK_BATCHES = 8  # a chunk of the answer store: long enough for refilling to pay, short enough to lose little
log = logging.getLogger(__name__)
AUTO_CHUNK = 256  # requests to a chunk where the batch size is found by trying


@dataclass(frozen=True)
class RunSpec:
    """What `unlearn-bench run` was asked to do; field by field its options.

    Attributes:
        tasks: Names of our tasks and groups, or of stock lm-eval tasks, or patterns (`nano_*`).
        thinking: "on" and "off" set the switch of a chat template; "model" leaves it as the template has it.
        template_date: What chat templates that write a date write, as YYYY-MM-DD.
        include_path: A folder of further task files, as lm-eval's option of that name.
        model_args: Passed on to `from_pretrained` (hf), to lm-eval's model class (vllm) or to lm_api (api).
        scoring: Profile and parts, as `profiles.build_parts` takes them, and scorers' options (kfr_rule, …).
        batch_size: Most rows in one model call, or "auto" for the most that fit.
        limit: Only the first questions of each task, or below 1 this share of them.
        seed: Of sampled answers.
        fewshot_seed: Of the examples in the prompts of stock tasks.
        tokenizer: Folder of a tokenizer in place of the checkpoint's own.
        chunks: Folder of the answer store; None keeps nothing.
        diagnose: Diagnostics to log into the result, over the questions of the run's forget tasks.
        original, oracle: For the diagnostics: the checkpoint before unlearning, and one that never saw the forget set.
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
    tokenizer: str | None = None
    batch_size: int | str = 32
    dtype: str = "auto"
    device: str | None = None
    limit: float | None = None
    seed: int = 0
    fewshot_seed: int = FEWSHOT_SEED
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
    original: str | None = None
    oracle: str | None = None
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


def evaluate(
    spec: RunSpec,
    progress: Progress | None = None,
    accept: Callable[[ModelInfo], None] = lambda _: None,
    load: Callable[[RunSpec], tuple["LM", ModelInfo]] = load_model,
) -> tuple[Result, list[Sample]] | None:
    """Score a checkpoint.

    Args:
        spec: What to do.
        progress: Told what happens.
        accept: Called with the loaded model's identity before anything is generated; may refuse it.
        load: Loads the model that `spec` names; see `backends.load_in_memory` for one that is loaded already.

    Returns:
        The result and its samples, sorted by task and row; None on every process but the first.

    Raises:
        UserError: for anything the user can put right: model, data, task names, settings.
    """
    progress = progress or Progress()
    timing: dict[str, float] = {}
    check_diagnose(spec)
    tasks, groups = load_tasks(spec.tasks, spec.metadata(), spec.include_path)
    ours = {name: task for name, task in tasks.items() if hasattr(task, "scorers")}
    for task in ours.values():
        profiles.require(task.parts(), task.scorers)  # a scorer's model that cannot be had must not cost a generation
    _check_forget_split(spec, ours)
    with timed(timing, "load", progress):
        lm, model = load(spec)
    accept(model)
    for task in ours.values():
        task.thinking_markers = lm.prompts.thinking_markers if hasattr(lm, "prompts") else ()
    _keep_answers(lm, spec, model, timing, progress)
    stock_tasks = {name: task for name, task in tasks.items() if name not in ours}
    with timed(timing, "run", progress), contextlib.redirect_stdout(sys.stderr):
        output = _ask_ours(lm, ours, spec) if ours else {"samples": {}}
        stock = _ask_stock(lm, stock_tasks, groups, spec) if stock_tasks else StockResults()
    if output is None or stock is None:
        return None
    with timed(timing, "aggregate", progress):
        samples = {name: _samples(output["samples"][name]) for name in sorted(ours)}
        if lm.world_size > 1:
            for name in samples:
                ours[name].settle(samples[name])
        results = {name: _task_result(ours[name], samples[name], spec, lm) for name in samples}
    diagnostics, warnings = None, []
    if spec.diagnose:
        with timed(timing, "diagnose", progress):
            diagnostics, warnings = _diagnose(spec, lm, ours)
    run = run_settings(spec)
    result = Result(
        model=model,
        harness=harness_info(),
        run=run,
        tasks=results,
        diagnostics=diagnostics,
        other=stock.values,
        other_better=stock.better,
        other_n=stock.n,
        other_settings=stock.settings,
        notes=[
            *_notes(spec, model, lm, results, stock),
            *missing_notes(s for name in samples for s in samples[name]),
            *warnings,
        ],
        fingerprint=result_fingerprint(model, results, run),
        timing={stage: round(seconds, 3) for stage, seconds in timing.items()},
    )
    return result, [sample for name in samples for sample in samples[name]]


def _check_forget_split(spec: RunSpec, ours: Mapping[str, "UnlearnTask"]) -> None:
    """An option that no task of the run reads is a mistake."""
    asked = {str(task.metadata.get("dataset")) for task in ours.values()}
    if spec.forget_split and not any(spec.forget_split in splits_of(name, "forget") for name in asked):
        raise UserError(f"--forget-split {spec.forget_split}: no task of the run asks a dataset with that forget set")


def _keep_answers(lm: "LM", spec: RunSpec, model: ModelInfo, timing: dict[str, float], progress: Progress) -> None:
    """Let the model's answers be kept, counted and timed, and sampled ones have seeds of their own."""
    from unlearn_bench.harness.hf_model import is_sampled

    # a server's answers are kept one by one, by the client itself
    store = AnswerStore(None if spec.backend == "api" else spec.chunks, _answer_identity(spec, model))
    chunk = AUTO_CHUNK if isinstance(spec.batch_size, str) else spec.batch_size * CHUNK_BATCHES
    generate = store.wrap(timed_call(reporting(lm, progress), timing), chunk, progress.answers)
    if spec.backend != "api":
        generate = with_seeds(generate, spec.seed, is_sampled)
    lm.generate_until = announced(generate, progress)


def _ask_ours(lm: "LM", tasks: Mapping[str, "UnlearnTask"], spec: RunSpec) -> dict | None:
    import lm_eval
    from lm_eval.tasks import TaskManager

    try:
        return lm_eval.simple_evaluate(
            model=lm,
            tasks=list(tasks.values()),
            task_manager=TaskManager(include_defaults=False),
            limit=spec.limit,
            bootstrap_iters=0,
            log_samples=True,
            gen_kwargs=dict(spec.generation) or None,
            apply_chat_template=uses_chat_template(lm, spec),
            random_seed=spec.seed,
            numpy_random_seed=spec.seed,
            torch_random_seed=spec.seed,
        )
    except ValueError as error:
        if "did not find any docs" not in str(error):
            raise
        raise UserError(
            f"a task has fewer questions than the {lm.world_size} processes that share them",
            hint="raise --limit, or start fewer processes",
        ) from None


def _ask_stock(
    lm: "LM", tasks: Mapping[str, "Task"], groups: Mapping[str, "Group"], spec: RunSpec
) -> StockResults | None:
    chat = spec.prompt == "chat" or spec.backend == "api"
    lm.as_stock = True
    try:
        return run_stock(
            lm,
            tasks,
            groups,
            limit=spec.limit,
            generation=spec.generation,
            chat=chat and uses_chat_template(lm, spec),
            fewshot_seed=spec.fewshot_seed,
        )
    finally:
        lm.as_stock = False


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


def run_settings(spec: RunSpec) -> dict[str, object]:
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
        "generation": [f"{key}={value}" for key, value in sorted(spec.generation.items())],
        "scoring": told_scoring(spec.scoring),
        **({"fewshot_seed": spec.fewshot_seed} if spec.fewshot_seed != FEWSHOT_SEED else {}),
        **({"tokenizer": Path(spec.tokenizer).name} if spec.tokenizer else {}),
    }


_UNTOLD = frozenset({"llm_base_url", "llm_api_key_env", "llm_cache", "llm_concurrency", "scorer_device"})


def told_scoring(scoring: Mapping[str, object]) -> list[str]:
    """Scoring settings as a result tells them: those that may move a number, without paths of this machine."""
    return [f"{key}={_plain(value)}" for key, value in sorted(scoring.items()) if key not in _UNTOLD]


def _plain(value: object) -> object:
    """A path of this machine by its last part."""
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def check_diagnose(spec: RunSpec) -> None:
    """Refuse before anything is generated what could not be diagnosed after."""
    if not spec.diagnose:
        return
    from unlearn_bench.diagnostics.output import check_plots
    from unlearn_bench.diagnostics.schema import check_names

    check_names(spec.diagnose)
    if spec.backend != "hf":
        raise UserError(f"--diagnose: --backend {spec.backend} hides the model's inside", hint="use --backend hf")
    if spec.inside and spec.plots:
        check_plots()
    for name in filter(None, (spec.original, spec.oracle)):
        subject.find(name, allow_pickle=spec.allow_pickle, trust_remote_code=spec.trust_remote_code)


def _diagnose(spec: RunSpec, lm: "LM", tasks: Mapping[str, "UnlearnTask"]) -> tuple[DiagnosticsInfo, list[str]]:
    """Look inside the judged model at the questions that it should have forgotten; also what the reader should know."""
    from unlearn_bench.diagnostics.compared import load_others
    from unlearn_bench.diagnostics.diagnose import Names, diagnose
    from unlearn_bench.diagnostics.output import write_diagnosis
    from unlearn_bench.harness.tasks import asked_rows

    forget = [task for task in tasks.values() if all(row.role == "forget" for row in asked_rows([task], 1))]
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
    others = load_others(spec.original, spec.oracle, lm.tokenizer, rows, **arguments)
    names = Names(Path(spec.model).name, *(name and Path(name).name for name in (spec.original, spec.oracle)))
    found = diagnose(lm.model, lm.tokenizer, rows, diagnostics=spec.diagnose, asker=lm.prompts, names=names, **others)
    if spec.inside is not None:
        write_diagnosis(found, spec.inside, plots=spec.plots)
    inside = found.document
    info = DiagnosticsInfo(
        rows=inside.rows,
        original=inside.original,
        oracle=inside.oracle,
        tables=inside.tables,
        unavailable=inside.unavailable,
    )
    return info, inside.warnings


def _notes(
    spec: RunSpec, model: ModelInfo, lm: "LM", results: Mapping[str, TaskResult], stock: StockResults
) -> list[str]:
    notes = []
    if spec.limit is not None:
        part = f"{spec.limit:.4g} of the questions" if spec.limit < 1 else f"{spec.limit:g} questions"
        notes.append(f"only the first {part} of each task were asked (--limit {spec.limit:g})")
    if model.adapter_dead:
        notes.append("dead adapter: its update is zero everywhere, so these are the numbers of the base model")
    if model.partial:
        notes.append(f"the model is not whole: {model.partial}; what is missing holds made-up numbers")
    if getattr(lm, "nan_prompts", 0):
        notes.append(f"the model returned NaN logits for {lm.nan_prompts} prompts; their answers end there")
    notes += getattr(lm, "notes", ())
    if getattr(lm, "cut_prompts", 0):
        notes.append(f"{lm.cut_prompts} prompts were longer than the model's context and lost their beginning")
    if any(r.prompt and not r.prompt.chat_template for r in results.values()):
        notes.append("no chat template was used")
    if stock.values and spec.backend == "hf" and spec.prompt != "chat" and lm.tokenizer.chat_template:
        notes.append(
            "stock lm-eval tasks were asked without the chat template, as lm_eval run does (or: --prompt chat)"
        )
    notes += [f"{name} is not a finite number and is left out" for name in stock.undefined]
    return notes


def _answer_identity(spec: RunSpec, model: ModelInfo) -> dict[str, object]:
    """Everything beside prompt and settings that may move an answer."""
    from unlearn_bench import chat_template
    from unlearn_bench.harness import hf_model as lm_model
    from unlearn_bench.models import _own_generate, _sampling, generation

    code = (lm_model, generation, _sampling, _own_generate, tokens, chat_template)

    return {
        "model": model.model_dump(),
        "arguments": {k: str(v) for k, v in spec.model_args.items()},
        "batch_size": spec.batch_size,
        "device": spec.device,
        "seed": spec.seed,
        "tokenizer": spec.tokenizer,
        "code": source_sha256(*(Path(module.__file__) for module in code)),
        "versions": {name: importlib.metadata.version(name) for name in ("lm_eval", "transformers", "torch")},
    }
