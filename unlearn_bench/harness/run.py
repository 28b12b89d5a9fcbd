"""A run: a specification goes in, a result and its samples come out.

    RunSpec -> plan (what is asked) -> observe (answers) -> score -> collect -> aggregate -> Result

Stock lm-eval tasks are asked of the same loaded model (stock).
"""

import contextlib
import importlib.metadata
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from unlearn_bench import tokens
from unlearn_bench.calibration.correct import correct
from unlearn_bench.errors import UserError
from unlearn_bench.harness.backends import CAPABILITIES, JudgedModel, load_model
from unlearn_bench.harness.judged import tell_judges
from unlearn_bench.harness.lm import StoredLM
from unlearn_bench.harness.observations import AnswerStore
from unlearn_bench.harness.observe import observe
from unlearn_bench.harness.oracle import Oracle, is_result, read_oracle, require_same
from unlearn_bench.harness.plan import Plan, distinct_rows, make_plan
from unlearn_bench.harness.progress import Progress, timed
from unlearn_bench.harness.scoring import aggregate, collect, score
from unlearn_bench.harness.spec import DiagnosisSettings, RunSpec, run_settings
from unlearn_bench.harness.stock import StockResults, check_fewshot_seed, run_stock
from unlearn_bench.harness.summary import rows_of, summary_tasks
from unlearn_bench.hashing import source_sha256
from unlearn_bench.models import subject
from unlearn_bench.results import harness_info, missing_notes, result_fingerprint, samples_sha256
from unlearn_bench.results.place import set_places
from unlearn_bench.schema import DiagnosticsInfo, ModelInfo, Result, Sample, TaskResult

log = logging.getLogger(__name__)


def evaluate(
    spec: RunSpec,
    progress: Progress | None = None,
    accept: Callable[[ModelInfo], None] = lambda _: None,
    load: Callable[[RunSpec], JudgedModel] = load_model,
) -> tuple[Result, list[Sample]] | None:
    """Score a checkpoint.

    Args:
        spec: What to do.
        progress: Told what happens.
        accept: Called with the loaded model's identity before anything is generated; may refuse it.
        load: Loads the model that `spec` names; see `backends.load_in_memory` for one that is loaded already.

    Returns:
        The result and its samples, sorted by question set and row; None on every process but the first.

    Raises:
        UserError: for anything the user can put right: model, data, task names, settings.
    """
    progress = progress or Progress()
    timing: dict[str, float] = {}
    check_diagnosis(spec)
    plan = make_plan(
        spec.tasks,
        data=spec.data,
        scoring=spec.scoring,
        generation=spec.generation,
        limit=spec.limit,
        include_path=spec.include_path,
        metrics=spec.metrics,
    )
    check_fewshot_seed(spec.fewshot_seed, plan.stock)
    plan.require_parts()
    original, oracle = (given(spec, which) for which in ("original", "oracle"))
    with timed(timing, "load", progress):
        model = load(spec)
    accept(model.info)
    for other in filter(None, (original, oracle)):
        require_same(other, rows_of(plan), model.prompt_info(spec.prompts), model.info.tokenizer_sha256)
    model = replace(model, lm=stored(spec, model, timing, progress))
    with timed(timing, "run", progress), contextlib.redirect_stdout(sys.stderr):
        observed = observe(plan, model, spec.prompts, seed=spec.seed)
        shares = score(plan, observed)
        samples = collect(plan, shares, model.lm)
        stock = _ask_stock(plan, model, spec)
    original = original or _run_other(spec, spec.diagnosis.original, "original", progress, load)
    oracle = oracle or _run_other(spec, spec.diagnosis.oracle, "oracle", progress, load)
    if samples is None or stock is None:
        return None
    with timed(timing, "aggregate", progress):
        asked = {"batch_size": spec.batch_size, "backend": spec.backend}
        prompt_of = lambda task: model.prompt_info(task.asked_with(spec.prompts))  # noqa: E731
        results = aggregate(plan, samples, prompt_of, asked)
        results |= summary_tasks(plan, samples, prompt_of, oracle)
    diagnostics, warnings = None, []
    if spec.diagnosis.diagnose:
        with timed(timing, "diagnose", progress):
            diagnostics, warnings = diagnose(plan, model, spec)
    told = [sample for name in sorted(samples) for sample in samples[name]]
    notes = [*plan.notes, *_notes(spec, model, results, stock), *missing_notes(told), *warnings]
    result = _result(spec, model.info, results, stock, diagnostics, notes, timing)
    correct(result, told)
    if original is not None and oracle is not None:
        result.notes += set_places(result, original.result, oracle.result)
    tell_judges(result, told, {name: plan.parts(name) for name in plan.tasks})
    return result, told


def given(spec: RunSpec, which: str) -> Oracle | None:
    """The original or oracle whose result was named; None where none was, or a checkpoint, which `evaluate` runs."""
    named = getattr(spec.diagnosis, which)
    if named is None or (isinstance(named, str) and not is_result(Path(named).expanduser())):
        return None
    if spec.diagnosis.diagnose:
        raise UserError(f"--{which}: a result, and --diagnose compares checkpoints", hint="name the checkpoint")
    return read_oracle(Path(named).expanduser()) if isinstance(named, str) else named


def _run_other(
    spec: RunSpec, named: str | None, which: str, progress: Progress, load: Callable[[RunSpec], JudgedModel]
) -> Oracle | None:
    """The answers of a checkpoint to the same questions; None without one, and on every process but the first."""
    if named is None:
        return None
    own = replace(
        spec,
        model=named,
        adapter=None,
        revision=None,
        diagnosis=DiagnosisSettings(),
        chunks=None if spec.chunks is None else spec.chunks.with_name(f"{spec.chunks.name}-{which}"),
    )
    outcome = evaluate(own, progress, load=load)
    if outcome is None:
        return None
    result, samples = outcome
    return Oracle(result.model.name, samples_sha256(samples), samples, result)


def _result(
    spec: RunSpec,
    model: ModelInfo,
    results: Mapping[str, TaskResult],
    stock: StockResults,
    diagnostics: DiagnosticsInfo | None,
    notes: list[str],
    timing: Mapping[str, float],
) -> Result:
    run = run_settings(spec)
    return Result(
        model=model,
        harness=harness_info(),
        run=run,
        tasks=dict(results),
        diagnostics=diagnostics,
        other=stock.values,
        other_better=stock.better,
        other_n=stock.n,
        other_settings=stock.settings,
        notes=notes,
        fingerprint=result_fingerprint(model, results, run),
        timing={stage: round(seconds, 3) for stage, seconds in timing.items()},
    )


def stored(spec: RunSpec, model: JudgedModel, timing: dict[str, float], progress: Progress) -> StoredLM:
    """The model with its answers kept, counted and timed, and sampled ones drawn with seeds of their own."""
    own, identity = model.can.keeps_answers, answer_identity(spec, model.info)
    return StoredLM(
        model.lm,
        AnswerStore(None if own else spec.chunks, identity),
        batch_size=spec.batch_size,
        seed=None if own else spec.seed,
        progress=progress,
        timing=timing,
        template=model.template,
    )


def _ask_stock(plan: Plan, model: JudgedModel, spec: RunSpec) -> StockResults | None:
    if plan.stock is None:
        return StockResults()
    with model.lm.asking_stock():
        return run_stock(
            model.lm,
            plan.stock,
            limit=spec.limit,
            generation=spec.generation,
            chat=_stock_chat(spec, model),
            fewshot_seed=spec.fewshot_seed,
        )


def _stock_chat(spec: RunSpec, model: JudgedModel) -> bool:
    """Whether stock tasks go through the chat template: as `lm_eval run` does it, only where that was asked for."""
    return model.template is not None and (spec.prompts.prompt == "chat" or not model.can.template)


def check_diagnosis(spec: RunSpec) -> None:
    """Refuse before anything is generated what could not be compared or diagnosed after.

    Raises:
        UserError: for an original or oracle that is not there, an unknown diagnostic, a backend that hides the model's
            inside, or plots without matplotlib.
    """
    asked = spec.diagnosis
    for name in filter(lambda other: isinstance(other, str), (asked.original, asked.oracle)):
        if spec.backend == "hf" and not is_result(Path(name).expanduser()):
            subject.find(name, allow_pickle=spec.allow_pickle, trust_remote_code=spec.trust_remote_code)
    if not asked.diagnose:
        return
    from unlearn_bench.diagnostics.output import check_plots
    from unlearn_bench.diagnostics.schema import check_names

    check_names(asked.diagnose)
    if not CAPABILITIES[spec.backend].hidden_states:
        raise UserError(f"--diagnose: --backend {spec.backend} hides the model's inside", hint="use --backend hf")
    if asked.inside and asked.plots:
        check_plots()


def diagnose(plan: Plan, model: JudgedModel, spec: RunSpec) -> tuple[DiagnosticsInfo, list[str]]:
    """Look inside the judged model at the questions that it should have forgotten; also what the reader should know.

    Raises:
        UserError: if no task of the run asks such questions, or a model that is compared cannot be loaded.
    """
    from unlearn_bench.diagnostics.checkpoint import DiagnoseSpec, look_inside
    from unlearn_bench.diagnostics.output import write_diagnosis

    sets = plan.question_sets.values()
    rows = distinct_rows(asked for asked in sets if all(row.role == "forget" for row in asked.rows))
    if not rows:
        raise UserError("--diagnose: no task of the run asks forget questions", hint="add one, for example nano_forget")
    asked = spec.diagnosis
    found = look_inside(
        DiagnoseSpec(spec.model, diagnostics=asked.diagnose, original=asked.original, oracle=asked.oracle),
        model.lm.model,
        model.prompts,
        rows,
        dtype=spec.dtype,
        device=str(model.lm.device),
        allow_pickle=spec.allow_pickle,
        trust_remote_code=spec.trust_remote_code,
        on_partial=log.warning if spec.allow_partial else None,
        uses_template=spec.prompts.prompt in tokens.TEMPLATE_STYLES,
    )
    if asked.inside is not None:
        write_diagnosis(found, asked.inside, plots=asked.plots)
    inside = found.document
    info = DiagnosticsInfo(
        rows=inside.rows,
        original=inside.original,
        oracle=inside.oracle,
        tables=inside.tables,
        unavailable=inside.unavailable,
    )
    return info, inside.warnings


def _notes(spec: RunSpec, model: JudgedModel, results: Mapping[str, TaskResult], stock: StockResults) -> list[str]:
    lm, notes = model.lm, []
    if spec.limit is not None:
        part = f"{spec.limit:.4g} of the questions" if spec.limit < 1 else f"{spec.limit:g} questions"
        notes.append(f"only the first {part} of each task were asked (--limit {spec.limit:g})")
    if model.info.adapter_dead:
        notes.append("dead adapter: its update is zero everywhere, so these are the numbers of the base model")
    if model.info.partial:
        notes.append(f"the model is not whole: {model.info.partial}; what is missing holds made-up numbers")
    if getattr(lm, "nan_prompts", 0):
        notes.append(f"the model returned NaN logits for {lm.nan_prompts} prompts; their answers end there")
    notes += getattr(lm, "notes", ())
    if getattr(lm, "cut_prompts", 0):
        notes.append(f"{lm.cut_prompts} prompts were longer than the model's context and lost their beginning")
    if any(r.prompt and not r.prompt.chat_template for r in results.values()):
        notes.append("no chat template was used")
    if stock.values and model.template is not None and not _stock_chat(spec, model):
        notes.append(
            "stock lm-eval tasks were asked without the chat template, as lm_eval run does (or: --prompt chat)"
        )
    notes += [f"{name} is not a finite number and is left out" for name in stock.undefined]
    return notes


def answer_identity(spec: RunSpec, model: ModelInfo) -> dict[str, object]:
    """Everything other than prompt and settings that may move an answer."""
    from unlearn_bench import chat_template
    from unlearn_bench.harness import hf_model
    from unlearn_bench.models import generation, gradients, likelihood, own_generate, sampling

    code = (hf_model, generation, sampling, own_generate, tokens, chat_template, gradients)
    return {
        "model": model.model_dump(),
        "arguments": {k: str(v) for k, v in spec.model_args.items()},
        "batch_size": spec.batch_size,
        "device": spec.device,
        "seed": spec.seed,
        "tokenizer": spec.tokenizer,
        "code": source_sha256(*(Path(module.__file__) for module in code), *likelihood.SOURCES),
        "versions": {name: importlib.metadata.version(name) for name in ("lm_eval", "transformers", "torch")},
    }
