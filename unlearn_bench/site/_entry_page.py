"""What an entry's own page shows: metrics, answers, provenance, history, diagnostics' pictures."""

import base64
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup, escape

from unlearn_bench.boards.board import Board, Entry, PastEntry, PublishedLog
from unlearn_bench.boards.ranking import Scale
from unlearn_bench.comparison.metric_info import info
from unlearn_bench.comparison.question_sets import current_key
from unlearn_bench.result_table import correction_lines
from unlearn_bench.schema import CorrectedValue, MetricValue, Result, Sample
from unlearn_bench.site import _cells
from unlearn_bench.untrusted.strings import shown

MAX_SHOWN = 5_000
MAX_PICTURE = 4 << 20
_MAX_TEXT = 2_000
_BINS = 10
_CELLS = ("help", "interval", "corrected", "corrected_interval", "normalised", "better", "n", "unscored")
_MIME = {".svg": "image/svg+xml", ".png": "image/png"}


def metrics(result: Result, scales: dict[str, Scale]) -> dict[str, object]:
    """The metrics that the board shows, in its order, the rest of them, and what corrected values rest on."""
    rows = {row["key"]: row for row in _metric_rows(result, scales)}
    shown = [rows.pop(key) for key in scales if key in rows]
    rest = list(rows.values())
    corrected = any(row["corrected"] for row in [*shown, *rest])
    return {"shown": shown, "rest": rest, "corrected": corrected, "basis": correction_lines(result)}


def _metric_rows(result: Result, scales: dict[str, Scale]) -> list[dict[str, str]]:
    """Every metric of every task, as text."""
    from unlearn_bench.glossary import describe

    rows = []
    for name, task in result.tasks.items():
        for key, metric in ((f"{name}/{m}", value) for m, value in task.metrics.items()):
            scale = scales.get(key)
            normalised = scale.normalise(metric.value) if scale else None
            rows.append(
                {
                    "key": key,
                    "help": describe(key.partition("/")[2]) or "",
                    "value": "undefined" if metric.value is None else _figure(metric.value),
                    "interval": _interval(metric),
                    "corrected": _figure(metric.corrected.value) if metric.corrected else "",
                    "corrected_interval": _interval(metric.corrected) if metric.corrected else "",
                    "normalised": "" if normalised is None else f"{normalised:.3f}",
                    "better": "as the oracle"
                    if _cells.has_place(key.partition("/")[2])
                    else {True: "higher", False: "lower", None: ""}[metric.higher_is_better],
                    "n": f"{metric.n} of {task.n}",
                    "unscored": f"{metric.unscored}: {_cells.reasons(metric)}" if metric.unscored else "0",
                }
            )
    for name, values in result.other.items():
        blank = dict.fromkeys(_CELLS, "")
        rows += [{**blank, "key": f"{name}/{key}", "value": f"{value:.4f}"} for key, value in values.items()]
    return rows


def _interval(found: MetricValue | CorrectedValue) -> str:
    if found.ci95 is None:
        return ""
    return f"{' to '.join(map(_figure, found.ci95))} ({found.ci_method})"


def _figure(value: float) -> str:
    """Four places, or whole numbers where the value is large."""
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.0f}"


def sample_table(samples: Sequence[Sample], baseline: Sequence[Sample] | None) -> dict:
    """Columns and rows of the answers; a question that flipped against the baseline carries the word "flip"."""
    old = {(s.task, s.id): s for s in baseline or ()}
    columns = [
        {"title": "Task", "type": "string", "first": "asc"},
        {"title": "Question", "className": "text", "type": "string", "first": "asc"},
        {"title": "Reference", "className": "text", "type": "string", "first": "asc"},
        {"title": "Answer", "className": "text", "type": "string", "first": "asc"},
        {"title": "Labels", "className": "", "type": "string", "first": "asc"},
        {"title": "tags", "visible": False, "type": "string"},
    ]
    rows = []
    for sample in samples[:MAX_SHOWN]:
        before = old.get((sample.task, sample.id))
        changed = flipped(sample, before)
        answer = Markup("{}").format(_clip(sample.response) or "(empty)")
        if changed:
            answer += Markup('<br><span class="soft">before: {}</span>').format(_clip(before.response) or "(empty)")
        task = f" {sample.task} "
        rows.append(
            [
                [str(Markup("<span>{}</span>").format(task)), sample.task],
                _cells.cell(_clip(sample.question), sample.question[:80]),
                _cells.cell(_clip(sample.reference or ""), (sample.reference or "")[:80]),
                [str(answer), sample.response[:80]],
                [_labels(sample, changed), ""],
                _cells.cell(" flip " if changed else " same ", int(bool(changed))),
            ]
        )
    return {"columns": columns, "rows": rows, "order": []}


def flipped(sample: Sample, before: Sample | None) -> list[str]:
    """The 0/1 labels of a sample that are not what they were."""
    if before is None or before.question != sample.question:
        return []
    labels = [name for name in sample.scores if info(name).kind == "proportion"]
    return [n for n in labels if n in before.scores and before.scores[n] != sample.scores[n]]


def _labels(sample: Sample, changed: Sequence[str]) -> str:
    parts = [Markup('<span class="tag warn">{} flipped</span>').format(name) for name in changed]
    values = [f"{name} {value:.3g}" for name, value in sample.scores.items() if name not in changed]
    flags = [f"unscored: {name} ({reason})" for name, reason in sample.unscored.items()]
    if sample.degenerate:
        flags.append(f"degenerate: {sample.degenerate}")
    parts += [
        Markup("{}").format(text) for text in [*(f"{n} {sample.scores[n]:.3g}" for n in changed), *values, *flags]
    ]
    return str(Markup("<br>").join(parts))


def _clip(text: str) -> str:
    """A model's answer may hold anything; what cannot be seen is written out, line breaks stay."""
    lines = [shown(line) for line in text[:_MAX_TEXT].split("\n")]
    return "\n".join(lines) + ("…" if len(text) > _MAX_TEXT else "")


def histogram(samples: Sequence[Sample]) -> dict | None:
    """Histogram of the fluency of the answers, one trace a task: it shows two groups where the mean shows one.

    The bars are counted here: the site's small build of Plotly knows scatter, bar and pie only, and silently draws any
    other trace as a scatter plot.
    """
    tasks: dict[str, list[float]] = {}
    for sample in samples:
        if "fluency" in sample.scores:
            tasks.setdefault(sample.task, []).append(sample.scores["fluency"])
    if not tasks:
        return None
    ends = np.linspace(0, 1, _BINS + 1)
    data = [
        {"type": "bar", "name": str(escape(name)), "x": ((ends[:-1] + ends[1:]) / 2).round(4).tolist(),
         "y": (np.histogram(values, ends)[0] / len(values)).round(4).tolist()}
        for name, values in sorted(tasks.items())
    ]  # fmt: skip
    layout = {
        "barmode": "group",
        "xaxis": {"title": {"text": "fluency of one answer"}, "range": [0, 1]},
        "yaxis": {"title": {"text": "share of the task's answers"}, "range": [0, 1]},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 50, "r": 10, "t": 90, "b": 60},
        "colorway": [
            "#0072b2",
            "#e69f00",
            "#009e73",
            "#cc79a7",
            "#56b4e9",
            "#d55e00",
            "#999999",
            "#f0e442",
        ],  # Okabe & Ito
    }
    return {"data": data, "layout": layout}


def pictures(folder: Path | None) -> list[dict[str, str]]:
    """The plots that `diagnose` wrote next to a result, as data addresses: an image runs no script."""
    if folder is None:
        return []
    found = []
    for place in (folder, folder / "plots", folder / "diagnostics"):
        for path in sorted(place.glob("*.*")) if place.is_dir() else ():
            if path.suffix in _MIME and path.is_file() and path.stat().st_size <= MAX_PICTURE:
                data = base64.b64encode(path.read_bytes()).decode("ascii")
                name = path.stem.replace("_", " ")
                if path.suffix == ".svg" or not path.with_suffix(".svg").is_file():
                    found.append({"name": name, "data": f"data:{_MIME[path.suffix]};base64,{data}"})
    return found


def checked(entry: Entry, asked: Sequence[str], log: PublishedLog | None) -> list[dict[str, object]]:
    """What was found again, and not taken from the submission."""
    block = entry.verification
    if log is not None:
        return _published(log)
    if block is None:
        items = [("Numbers", "not verified: they have not been recomputed here")]
    else:
        how = {
            "rescored": "questions and references compared with the dataset, evidence, scores and intervals recomputed "
            "from the answers",
            "records": "questions and references compared with the dataset, scores and intervals recomputed from the "
            "recorded evidence, which is believed (not rescored)",
        }[block.level]
        items = [("Numbers", how), ("Samples", f"{block.rows}, {block.samples_sha256}")]
        items.append(("By", f"unlearn-bench {block.harness}, {block.at}"))
    items.append(("Asked like the original", f"no, with another {', '.join(asked)}" if asked else "yes"))
    return [{"key": key, "value": value, "code": False} for key, value in items]


def _published(log: PublishedLog) -> list[dict[str, object]]:
    """Where a published log is, and how whoever has it verifies the row."""
    rows = ", ".join(f"{name} {count}" for name, count in log.known_rows.items())
    items = [
        ("Numbers", "not verified here: scored by the board's maintainers from a published log, whose answers are not "
         "kept; unlearn-bench verify BOARD --logs DIR scores it again", False),
        ("Log", log.file, False), ("Source", log.source, False), ("Revision", log.revision, False),
        ("Licence", log.licence, False), ("Hash of the log", log.sha256, True),
        ("Rows that are the dataset's word for word", rows, False),
    ]  # fmt: skip
    return [{"key": key, "value": value, "code": code} for key, value, code in items if value is not None]


def provenance(result: Result, entry: Entry | None) -> list[dict[str, object]]:
    """Who made the numbers, from what, with what."""
    items: list[tuple[str, object, bool]] = []
    if entry is not None:
        items += [
            ("Submitted", entry.submitted, False),
            ("Submitter", entry.submitter, False),
            ("Evaluated by", entry.relationship.replace("_", " "), False),
            ("Run identity", entry.result_sha256, True),
        ]
        for key, value in (entry.training.model_dump() if entry.training else {}).items():
            items.append((f"Training: {key.replace('_', ' ')}", value or None, key.endswith("sha256")))
    items += [(f"Model: {k.replace('_', ' ')}", v, k.endswith("sha256")) for k, v in result.model.model_dump().items()]
    items += [(f"Code: {k.replace('_', ' ')}", v, k.endswith("sha256")) for k, v in result.harness.model_dump().items()]
    items += [(f"Run: {k.replace('_', ' ')}", v, False) for k, v in result.run.items()]
    items += [(f"Seconds: {k}", f"{v:.1f}", False) for k, v in result.timing.items()]
    for name, task in result.tasks.items():
        parts = ", ".join(f"{k} {v}" for k, v in task.scorer.parts.items())
        items.append((f"Scorers of {name}", f"{task.scorer.profile} ({parts}), {task.scorer.fingerprint}", True))
        clusters = f", {task.clusters.n} clusters" if task.clusters else ""
        items.append((f"Rows of {name}", f"{task.dataset.name} {task.dataset.split}, {task.n}{clusters}", False))
    items += [("Note", note, False) for note in result.notes]
    items += [("Samples", result.samples_sha256, True)]
    return [{"key": k, "value": _plain(v), "code": code} for k, v, code in items if v is not None]


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def history_rows(history: Sequence[PastEntry], board: Board) -> tuple[list[str], list[dict[str, object]]]:
    """What the entry said before: labels of the figures, and a row for each past result."""
    keys = [m for m in board.metrics if m.axis is not None]
    rows = []
    for past in history:
        said = {current_key(key): value for key, value in past.values.items()} | past.values
        values = [said.get(m.key) for m in keys]
        figures = ["-" if value is None else f"{value:.3f}" for value in values]
        rows.append(
            {
                "submitted": past.submitted[:10],
                "replaced": past.replaced[:10],
                "figures": figures,
                "because": past.because,
            }
        )
    return [m.label for m in keys], rows
