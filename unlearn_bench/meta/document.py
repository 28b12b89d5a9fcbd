"""The report as a JSON document, as Markdown, and as rows of cells."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from unlearn_bench.files import write_atomically
from unlearn_bench.meta.evaluate import MetaReport, MetricReport
from unlearn_bench.meta.pool import STRESSES
from unlearn_bench.meta.robustness import Robustness
from unlearn_bench.results import harness_info
from unlearn_bench.untrusted.escape import markdown

SCHEMA_VERSION = "1.0"
JSON_FILE, MARKDOWN_FILE = "meta.json", "meta.md"
COLUMNS = ("place", "metric", "more known", "AUC [95 %]", "knows", "does not", "broken", "R", "Q", "overall")
OTHERS = ("metric", "AUC [95 %]", "knows", "does not", "broken", "missing")
ALIKE = 0.95  # correlation from which two metrics say the same
LEGEND = (
    "AUC: share of pairs of a model that knows and one that does not in which the metric says so; below 0.5 it points "
    "the wrong way. Equal places (=) are ties: the intervals, over models, overlap with the best of the place or are "
    "not wholly below more of the others. knows, does not: mean value of the two sides. broken: share of pairs in "
    "which a broken model seems to have forgotten more than one that never knew; from 0.5 on the metric takes a wreck "
    "for good forgetting. R, Q: robustness to relearning and to quantisation, symmetric / one-sided. overall: harmonic "
    "mean of AUC, R and Q (symmetric)."
)
OTHERS_LEGEND = (
    "Not measures of this knowledge: the best AUC here is 0.5. broken: AUC between whole and broken models, in the "
    "metric's better direction; 1 is best."
)


def to_dict(report: MetaReport, run: Mapping[str, object] | None = None) -> dict[str, object]:
    """meta.json as a dictionary; robustness by name, undefined numbers None."""
    metrics = []
    for one in report.metrics:
        entry = asdict(one)
        for name in STRESSES:
            found: Robustness | None = getattr(one, name)
            entry[name] = None if found is None else found._asdict()
        metrics.append(entry)
    return {
        "schema_version": SCHEMA_VERSION,
        "harness": harness_info().model_dump(mode="json"),
        "run": dict(run or {}),
        "asked": report.asked,
        "models": {side: list(names) for side, names in report.models.items()},
        "metrics": metrics,
        "correlations": {
            "metrics": [one.key for one in report.metrics if one.knows is not None],
            "spearman": report.spearman,
            "pearson": report.pearson,
        },
        "notes": list(report.notes),
    }


def write(report: MetaReport, folder: Path, run: Mapping[str, object] | None = None) -> list[Path]:
    """Write meta.json and meta.md; returns their paths."""
    text = json.dumps(to_dict(report, run), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(folder / JSON_FILE, [text])
    write_atomically(folder / MARKDOWN_FILE, [to_markdown(report)])
    return [folder / JSON_FILE, folder / MARKDOWN_FILE]


def rows(report: MetaReport) -> list[list[str]]:
    """The metrics of knowledge, a row of cells each, as `COLUMNS` names them."""
    return [_row(one) for one in report.metrics if one.knows is not None]


def other_rows(report: MetaReport) -> list[list[str]]:
    """The other metrics, as `OTHERS` names the cells."""
    return [
        [one.key, _auc(one), *_means(one), number(one.broken), str(_count(one)) if _count(one) else ""]
        for one in report.metrics
        if one.knows is None
    ]


def _row(one: MetricReport) -> list[str]:
    place = place_cell(one.place, tied=one.tied)
    stressed = [_robust(found) for found in (one.relearning, one.quantization)]
    return [place, one.key, str(one.knows), _auc(one), *_means(one), number(one.broken), *stressed, number(one.overall)]


def _auc(one: MetricReport) -> str:
    if one.auc is None or one.ci95 is None:
        return "-"
    return f"{one.auc:.3f} [{one.ci95[0]:.2f}, {one.ci95[1]:.2f}]"


def _means(one: MetricReport) -> list[str]:
    return [number(one.means.get(side)) for side in ("positive", "negative")]


def _robust(found: Robustness | None) -> str:
    return "-" if found is None else f"{number(found.symmetric)} / {number(found.one_sided)}"


def _count(one: MetricReport) -> int:
    return sum(map(len, one.missing.values()))


def place_cell(place: int | None, *, tied: bool) -> str:
    """A place, with "=" where another metric has it too; a dash where there is none."""
    return "-" if place is None else f"{place}{'=' if tied else ''}"


def number(value: float | None) -> str:
    """Three digits that count; a dash where there is no value.

    >>> number(0.12345), number(1941.6), number(None)
    ('0.123', '1942', '-')
    """
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) >= 10 else f"{value:.3f}"


def notes(report: MetaReport) -> list[str]:
    """What the reader should know: models without a value, metrics without an AUC, what was left out, what is alike."""
    told = [f"{one.key}: no AUC, {one.reason}" for one in report.metrics if one.reason]
    lacking: dict[str, list[str]] = {}
    for one in report.metrics:
        if one.missing and not one.reason:
            sides = ", ".join(f"{len(names)} {side} ({_some(names)})" for side, names in one.missing.items())
            lacking.setdefault(sides, []).append(one.key)
    told += [f"without a value of {sides}: {_some(keys)}" for sides, keys in lacking.items()]
    return [*told, *report.notes]


def alike(report: MetaReport) -> list[tuple[str, str, float]]:
    """Pairs of metrics whose Spearman correlation over the pool is at least `ALIKE`, the closest first."""
    keys = [one.key for one in report.metrics if one.knows is not None]
    found = [
        (keys[i], keys[j], rho)
        for i in range(len(keys))
        for j in range(i)
        if (rho := report.spearman[i][j]) is not None and rho >= ALIKE
    ]
    return sorted(found, key=lambda pair: -pair[2])


def _some(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def heading(report: MetaReport) -> str:
    """Who is in the pool."""
    told = [f"{len(names)} {side}" for side, names in report.models.items()]
    return f"{', '.join(told)}; what they know or not: {report.asked} rows"


def to_markdown(report: MetaReport) -> str:
    """meta.md: the two tables with their legends, the notes, and Spearman's correlations."""
    lines = ["# Which metric can be believed", "", f"Models: {markdown(heading(report))}.", "", LEGEND, ""]
    lines += [*grid(COLUMNS, rows(report)), ""]
    if others := other_rows(report):
        lines += ["## What does not measure it", "", OTHERS_LEGEND, "", *grid(OTHERS, others), ""]
    if told := notes(report):
        lines += [*(f"- {markdown(note)}" for note in told), ""]
    keys = [one.key for one in report.metrics if one.knows is not None]
    lines += ["## Correlation over the pool (Spearman)", "", "Amounts of knowledge, numbered as listed.", ""]
    head = ["", "metric", *(str(i + 1) for i in range(len(keys)))]
    body = [
        [str(i + 1), key, *("-" if v is None else f"{v:.2f}" for v in report.spearman[i][: i + 1])]
        + [""] * (len(keys) - i - 1)
        for i, key in enumerate(keys)
    ]
    return "\n".join([*lines, *grid(head, body)]) + "\n"


def grid(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; names are left-aligned, numbers right."""
    rule = ["---" if name in ("", "metric", "more known") else "---:" for name in head]
    first, *rest = ([*map(markdown, line)] for line in (head, *body))
    return ["| " + " | ".join(line) + " |" for line in (first, rule, *rest)]
