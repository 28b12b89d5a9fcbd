"""Run the diagnostics over a set of rows.

    rows -> prompts -> batches -> one recorded pass per model -> records (per row) -> tables, layers, arrays

One pass of the judged model serves token_distribution, logit_lens and circuits; the original and the oracle are
passed once too, where they are compared. Depth patches states and needs separate passes.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from unlearn_bench.diagnostics import _tables, circuits, depth, logit_lens, token_distribution, weights
from unlearn_bench.diagnostics._arrays import arrays_of
from unlearn_bench.diagnostics._examples import example
from unlearn_bench.diagnostics._generate import run_free
from unlearn_bench.diagnostics._hooks import Decoder, Trace, attention_parts, eager_attention, find_decoder, record
from unlearn_bench.diagnostics._prompts import MAX_TOKENS, Batch, Prompt, batches, encode_all
from unlearn_bench.diagnostics._records import Record, split
from unlearn_bench.diagnostics.schema import DIAGNOSTICS, Diagnostics, Module, check_names
from unlearn_bench.errors import UserError
from unlearn_bench.schema import Row
from unlearn_bench.tokens import Prompts


@dataclass(frozen=True)
class Names:
    """What the models are called in the document."""

    model: str = "model"
    original: str | None = None
    oracle: str | None = None


@dataclass
class Diagnosis:
    """What `diagnose` found.

    Attributes:
        document: The numbers, for diagnostics.json.
        arrays: The values behind them, for diagnostics.npz.
        records: The rows' measurements in the order given, for plots.
        drawn: The same with the row first that plots of a single question draw.
    """

    document: Diagnostics
    arrays: dict[str, np.ndarray]
    records: list[Record]
    drawn: list[Record]


@dataclass
class _Session:
    """The models taken apart, and what is asked of them."""

    asked: frozenset[str]
    judged: Decoder
    original: Decoder | None
    oracle: Decoder | None
    positions: int
    candidates: int
    ends: frozenset[int]
    examples: frozenset[str]
    tracers: dict[int, circuits.Tracer] = field(default_factory=dict)
    parts: dict[int, list] = field(default_factory=dict)

    def trace(self, decoder: Decoder, batch: Batch, where: tuple[torch.Tensor, torch.Tensor]) -> Trace:
        return record(decoder, batch.ids, batch.mask, where, parts=self.parts.get(id(decoder)))


def diagnose(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    *,
    original: PreTrainedModel | None = None,
    oracle: PreTrainedModel | None = None,
    diagnostics: Sequence[str] = DIAGNOSTICS,
    limit: int | None = None,
    batch_size: int = 16,
    asker: Prompts | None = None,
    positions: int = 8,
    candidates: int = 5,
    examples: int = 3,
    question: str | None = None,
    names: Names | None = None,
    on_rows: Callable[[int], None] = lambda count: None,
) -> Diagnosis:
    """Look inside a checkpoint.

    Args:
        model: The judged model.
        tokenizer: Its tokenizer; the other models must share it.
        rows: Questions with reference answers, usually the forget set.
        original: The model before unlearning.
        oracle: A model that never knew.
        diagnostics: Some of `DIAGNOSTICS`; what cannot be computed without a missing model is listed as unavailable.
        limit: Only the first rows.
        batch_size: Prompts per pass.
        asker: How questions are asked; the chat template where there is one, else `qa`, if left out.
        positions: Answer positions that are analysed.
        candidates: Candidates kept per position.
        examples: Rows shown in detail.
        question: The row that comes first among them, and is drawn: its id, or its number from 1 on.
        names: What the models are called.
        on_rows: Told how many rows are done, for a progress bar.

    Raises:
        UserError: for an unknown diagnostic, rows without answers, models that do not fit each other or are
            unsupported.
    """
    check_names(diagnostics)
    asker = asker or Prompts(tokenizer)
    names = names or Names("model", "original" if original else None, "oracle" if oracle else None)
    longest = min([MAX_TOKENS, *(_context(m) for m in (model, original, oracle) if m is not None)])
    prompts, skipped = encode_all(rows[:limit], tokenizer, positions=positions, asker=asker, longest=longest)
    shown = _shown_first(prompts, question)
    missing, asked = _available(diagnostics, original is not None, oracle is not None)
    session = _Session(
        asked=asked,
        judged=find_decoder(model),
        original=None if original is None else find_decoder(original),
        oracle=None if oracle is None else find_decoder(oracle),
        positions=positions,
        candidates=candidates,
        ends=asker.end_ids(model),
        examples=frozenset(p.id for p in shown[:examples]),
    )
    _check_vocabularies(session, prompts)
    timing: dict[str, float] = {}
    changes: list[weights.ModuleChange] = []
    if "weights" in asked:  # first: models of different shape are refused before the long work
        with _timed(timing, "weights"):
            changes = list(weights.compare(session.judged, session.original))
    measured = _measure(session, batches(prompts, tokenizer, session.judged.device, batch_size), timing, on_rows)
    records = [measured[id(p)] for p in prompts]
    drawn = [measured[id(p)] for p in shown]
    document = Diagnostics(
        model=names.model,
        original=names.original,
        oracle=names.oracle,
        settings=_settings(sorted(asked), positions, candidates, batch_size, limit, session.judged),
        rows=len(prompts),
        skipped=dict(skipped),
        entity_rules=dict(Counter(p.entity_rule for p in prompts)),
        unavailable=missing,
        warnings=_warnings(asked, records, names),
        examples=[example(r, tokenizer) for r in drawn[:examples]] if "token_distribution" in asked else [],
        timing={stage: round(seconds, 3) for stage, seconds in timing.items()},
        **_sum_up(asked, records, changes),
    )
    return Diagnosis(document, arrays_of(records, changes), records, drawn)


def _shown_first(prompts: Sequence[Prompt], question: str | None) -> list[Prompt]:
    """The prompts, the named one first."""
    if question is None:
        return list(prompts)
    number = int(question) - 1 if question.isdecimal() else -1
    places = [i for i, prompt in enumerate(prompts) if prompt.id == question] or [number]
    if not 0 <= places[0] < len(prompts):
        raise UserError(
            f"--question {question}: no such question among the {len(prompts)} that are analysed",
            hint=f"a number from 1 on, or an id such as {prompts[0].id}",
        )
    first = prompts[places[0]]
    return [first, *(prompt for prompt in prompts if prompt is not first)]


def _available(diagnostics: Sequence[str], original: bool, oracle: bool) -> tuple[dict[str, str], frozenset[str]]:
    """What cannot be computed with the models at hand and why; what can."""
    no_original = "needs the checkpoint before unlearning (--original)"
    no_oracle = "needs a checkpoint that never saw the forget set (--oracle)"
    cases = {
        "token_distribution.original": None if original else no_original,
        "logit_lens.residual_excess": None if oracle else no_oracle,
        "circuits.difference": None if original else no_original,
        "depth": None if original and oracle else f"{no_oracle if original else no_original}",
        "weights": None if original else no_original,
    }
    missing = {name: why for name, why in cases.items() if why and name.split(".")[0] in diagnostics}
    return missing, frozenset(diagnostics) - missing.keys()


def _check_vocabularies(session: _Session, prompts: Sequence[Prompt]) -> None:
    """All models must read the same tokens."""
    for who, decoder in (("--original", session.original), ("--oracle", session.oracle)):
        if decoder is not None and decoder.vocabulary != session.judged.vocabulary:
            raise UserError(
                f"{who} has a vocabulary of {decoder.vocabulary}, the judged model {session.judged.vocabulary}",
                hint="distributions can only be compared over the same tokens",
            )
        if decoder is not None and "depth" in session.asked:
            depth.check_same_shape(session.judged, decoder, who)
    if session.candidates > session.judged.vocabulary:
        raise UserError(f"--candidates {session.candidates}: the model knows {session.judged.vocabulary} tokens")
    if (highest := max(max(p.ids) for p in prompts)) >= session.judged.vocabulary:
        raise UserError(f"the tokenizer gives token {highest}, the model knows {session.judged.vocabulary}")


def _context(model: PreTrainedModel) -> int:
    """The model's context length; later positions do not exist or were never trained."""
    return getattr(model.config, "max_position_embeddings", None) or MAX_TOKENS


def _measure(
    session: _Session, todo: Sequence[Batch], timing: dict[str, float], on_rows: Callable[[int], None]
) -> dict[int, Record]:
    found: dict[int, Record] = {}
    with ExitStack() as stack:
        if "circuits" in session.asked:
            for decoder in filter(None, (session.judged, session.original)):
                stack.enter_context(eager_attention(decoder))
                session.parts[id(decoder)] = attention_parts(decoder)
                session.tracers[id(decoder)] = circuits.Tracer(decoder, session.parts[id(decoder)])
        for batch in todo:
            records = [Record(p) for p in batch.prompts]
            _measure_passes(session, batch, records, timing)
            if "token_distribution" in session.asked:
                with _timed(timing, "free_running"):
                    _measure_free(session, batch, records)
            if "depth" in session.asked:
                with _timed(timing, "depth"):
                    _measure_depth(session, batch, records)
            found |= {id(r.prompt): r for r in records}
            on_rows(len(records))
    return found


def _measure_passes(session: _Session, batch: Batch, records: list[Record], timing: dict[str, float]) -> None:
    """One pass per model, and everything that is read from it."""
    if not session.asked & {"token_distribution", "logit_lens", "circuits"}:
        return
    asked = [p.asked for p in batch.prompts]
    where, gold, counts = batch.where(asked), batch.targets(asked), [len(a) for a in asked]
    compared = session.asked & {"token_distribution", "circuits"}
    with _timed(timing, "passes"):
        ours = session.trace(session.judged, batch, where)
        theirs = session.trace(session.original, batch, where) if session.original and compared else None
    if "token_distribution" in session.asked:
        with _timed(timing, "token_distribution"):
            original = None if theirs is None else session.original.read(theirs.final)
            logits = session.judged.read(ours.final)
            measured = token_distribution.measure(logits, gold, original, top_k=session.candidates)
            for r, part in zip(records, split(measured, counts), strict=True):
                r.forced = part
    if "logit_lens" in session.asked:
        with _timed(timing, "logit_lens"):
            _measure_lens(session, batch, records, ours)
    if "circuits" in session.asked:
        with _timed(timing, "circuits"):
            for row, r in enumerate(records):
                r.circuit = _circuit(session, session.judged, ours, row, r.prompt)
                r.original_circuit = theirs and _circuit(session, session.original, theirs, row, r.prompt)


def _measure_lens(session: _Session, batch: Batch, records: list[Record], ours: Trace) -> None:
    asked = [p.asked for p in batch.prompts]
    gold, counts = batch.targets(asked), [len(a) for a in asked]
    lens = logit_lens.measure(ours.hidden, gold, session.judged.unembed, top_k=session.candidates)
    for r, part in zip(records, split(lens, counts), strict=True):
        r.lens = part
    if session.oracle is None:
        return
    never = record(session.oracle, batch.ids, batch.mask, batch.where(asked))
    lens = logit_lens.measure(never.hidden, gold, session.oracle.unembed, top_k=session.candidates)
    for r, part in zip(records, split(lens, counts), strict=True):
        r.oracle_lens = part


def _circuit(session: _Session, decoder: Decoder, trace: Trace, row: int, prompt: Prompt) -> circuits.Circuit | None:
    """None for a model whose states are not finite: broken, not unsupported."""
    threshold = circuits.EXAMPLE_THRESHOLD if prompt.id in session.examples else min(circuits.THRESHOLDS)
    found = session.tracers[id(decoder)].trace(trace.blocks, row, prompt, threshold=threshold)
    return found if np.isfinite(found.sources).all() else None


def _measure_free(session: _Session, batch: Batch, records: list[Record]) -> None:
    """The same numbers along the model's own words; the original is asked after those words."""
    prompts, logits = run_free(session.judged, batch, positions=session.positions, ends=session.ends)
    # Position by position against the reference answer: the answers may already differ, so ranks mean less here.
    gold = torch.cat([torch.tensor(b.ids[p.start : len(p.ids)]) for p, b in zip(prompts, batch.prompts, strict=True)])
    own = Batch(prompts, batch.pad, batch.device)
    asked = [p.asked for p in prompts]
    original = None
    if session.original is not None:
        trace = record(session.original, own.ids, own.mask, own.where(asked))
        original = session.original.read(trace.final)
    measured = token_distribution.measure(logits, gold.to(batch.device), original, top_k=session.candidates)
    for r, prompt, part in zip(records, prompts, split(measured, [len(a) for a in asked]), strict=True):
        r.free, r.free_ids = part, prompt.ids[prompt.start :]


def _measure_depth(session: _Session, batch: Batch, records: list[Record]) -> None:
    losses = depth.measure(session.original, session.judged, session.oracle, batch)
    for row, r in enumerate(records):
        r.d1, r.d2, r.control = losses.d1[row], losses.d2[row], losses.control[row]


def _warnings(asked: frozenset[str], records: list[Record], names: Names) -> list[str]:
    if "depth" not in asked:
        return []
    losses = depth.Losses(*(np.stack([getattr(r, name) for r in records]) for name in ("d1", "d2", "control")))
    found = depth.warning(losses, names.original, names.oracle)
    return [found] if found else []


def _sum_up(asked: frozenset[str], records: list[Record], changes: list[weights.ModuleChange]) -> dict[str, object]:
    tables, layers = {}, {}
    if "token_distribution" in asked:
        tables["token_distribution"] = _tables.token_table(records)
    if "logit_lens" in asked:
        tables["logit_lens"], layers["logit_lens"] = _tables.lens_table(records), _tables.lens_layers(records)
    if "circuits" in asked:
        tables["circuits"] = _tables.circuit_table(records)
    if "depth" in asked:
        tables["depth"], layers["depth"] = _tables.depth_table(records), _tables.depth_layers(records)
    if changes:
        tables["weights"] = _tables.weight_table(changes)
    modules = [
        Module(
            name=c.name,
            layer=c.layer,
            parameters=c.parameters,
            update_norm=c.update_norm,
            effective_rank=c.effective_rank,
            flips=c.flips,
        )
        for c in changes
    ]
    return {"tables": tables, "layers": layers, "modules": modules}


def _settings(
    asked: list[str], positions: int, candidates: int, batch_size: int, limit: int | None, judged: Decoder
) -> dict[str, object]:
    return {
        "diagnostics": asked,
        "positions": positions,
        "candidates": candidates,
        "batch_size": batch_size,
        "limit": limit or 0,
        "architecture": judged.name,
        "dtype": str(judged.model.dtype).removeprefix("torch."),
        "flattened_margin": token_distribution.FLATTENED_MARGIN,
        "repeaked_mass": token_distribution.REPEAKED_MASS,
        "residual_rank": logit_lens.RESIDUAL_RANK,
        "edge_thresholds": list(circuits.THRESHOLDS),
        "depth_threshold": depth.THRESHOLD,
    }


@contextmanager
def _timed(timing: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        timing[stage] = timing.get(stage, 0.0) + time.perf_counter() - start
