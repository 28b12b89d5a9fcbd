"""The gate's answer for programs (JSON), for CI (JUnit XML, GitHub annotations), and as lines of text.

Names are untrusted: XML is built as a tree, annotations are percent-escaped as the runner asks, and control
characters are written out, so that no name can start a workflow command or an escape sequence.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from xml.etree import ElementTree

from unlearn_bench.comparison._verdict import INCONCLUSIVE, INFO, PASS, REGRESS, UNDECIDED
from unlearn_bench.comparison.check import SHOWN_FLIPS, CheckReport, MetricVerdict
from unlearn_bench.comparison.gate import Gate
from unlearn_bench.errors import EXIT_USAGE, UserError
from unlearn_bench.untrusted.strings import shown

COLUMNS = ("metric", "verdict", "baseline", "now", "difference", "margin", "p")
_COLOURS = {REGRESS: "bold red", PASS: "green", INCONCLUSIVE: "yellow", UNDECIDED: "bold yellow"}


def render(report: CheckReport, kind: str, *, colours: bool = False) -> str:
    """The report as "text", "json", "junit" or "github"; `colours` for the text on a terminal."""
    if kind == "text":
        return to_text(report, colours=colours)
    return {"json": to_json, "junit": to_junit, "github": to_github}[kind](report)


def render_error(error: UserError, kind: str) -> str:
    """What `render` is for a check that could not be made, as "json", "junit" or "github"."""
    return {"json": error_json, "junit": error_junit, "github": error_github}[kind](error)


def to_json(report: CheckReport) -> str:
    """The whole report as JSON; `verdict` and `exit_code` first."""
    head = {"verdict": report.verdict, "exit_code": report.exit_code}
    body = asdict(report)
    body["gate"] = report.gate.model_dump(mode="json")
    for metric in body["metrics"]:
        metric["ci95"] = interval(metric)
        metric["flips"] = {
            "worse": sum(not flip["better"] for flip in metric["flips"]),
            "better": sum(flip["better"] for flip in metric["flips"]),
            "shown": metric["flips"][:SHOWN_FLIPS],
        }
    return json.dumps({**head, **body}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def interval(difference: Mapping[str, object]) -> list[object] | None:
    """`ci95` of a difference, as results write it; `low` and `high`, its names in version 0.1, go away in 0.3."""
    return None if difference["low"] is None else [difference["low"], difference["high"]]


def to_junit(report: CheckReport) -> str:
    """JUnit XML: a test case per judged metric; what the gate fails for is a failure, inconclusive ones are skipped.

    An undecided metric is an error, unless the gate says what it is to be.
    """
    judged = [m for m in report.metrics if m.verdict != INFO]
    kinds = [_junit_kind(m.verdict, report.gate) for m in judged]
    drift = None if report.drift is None else "error" if report.gate.drift == "fail" else "skipped"
    suite = ElementTree.Element(
        "testsuite",
        name=shown(f"unlearn-bench check: {report.candidate} against {report.baseline}"),
        tests=str(len(judged) + (drift is not None)),
        failures=str(kinds.count("failure")),
        errors=str([*kinds, drift].count("error")),
        skipped=str([*kinds, drift].count("skipped")),
    )
    for metric, kind in zip(judged, kinds, strict=True):
        task, _, name = metric.key.partition("/")
        case = ElementTree.SubElement(suite, "testcase", classname=shown(task), name=shown(name))
        if kind is not None:
            told = metric.reason if metric.verdict == REGRESS else f"{metric.reason}; {power(metric, report.gate)}"
            element = ElementTree.SubElement(case, kind, message=shown(told))
            element.text = "\n".join(map(shown, [line(metric), *flip_lines(metric)]))
    if drift is not None:
        case = ElementTree.SubElement(suite, "testcase", classname="environment", name="identical outputs")
        ElementTree.SubElement(case, drift, message=shown(drift_line(report)))
    return _xml(suite)


def _junit_kind(verdict: str, gate: Gate) -> str | None:
    """The element of a test case; None for a pass."""
    given = {INCONCLUSIVE: gate.inconclusive, UNDECIDED: gate.undecided}.get(verdict)
    if verdict == REGRESS or given == "fail":
        return "failure"
    return {INCONCLUSIVE: "skipped", UNDECIDED: "skipped" if given == "pass" else "error"}.get(verdict)


def _xml(suite: ElementTree.Element) -> str:
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def to_github(report: CheckReport) -> str:
    """GitHub workflow commands: an error per metric that fails, a warning per inconclusive one, a notice at the end."""
    found = []
    for metric in report.metrics:
        kind = _junit_kind(metric.verdict, report.gate)
        if metric.verdict == REGRESS:
            details = "\n".join([line(metric), *flip_lines(metric)])
            found.append(_command("error", f"{metric.key}: {metric.reason}", details))
        elif kind is not None:
            level = "warning" if kind == "skipped" else "error"
            told = f"{metric.reason}; {power(metric, report.gate)}"
            found.append(_command(level, f"{metric.key}: {metric.verdict}", told))
    if report.drift is not None:
        level = "error" if report.gate.drift == "fail" else "warning"
        found.append(_command(level, "the environment drifted", drift_line(report)))
    found.append(_command("notice", f"unlearn-bench check: {report.verdict}", summary(report)))
    return "\n".join(found) + "\n"


def _command(level: str, title: str, message: str) -> str:
    title = shown(title)[:200].replace("%", "%25").replace(":", "%3A").replace(",", "%2C").replace("\n", " ")
    lines = "\n".join(shown(part) for part in message.split("\n"))[:4000]
    return f"::{level} title={title}::" + lines.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def summary(report: CheckReport) -> str:
    """The verdict in one sentence."""
    counts = ", ".join(f"{report.count(v)} {v}" for v in (REGRESS, UNDECIDED, PASS, INCONCLUSIVE) if report.count(v))
    return f"{report.candidate} against {report.baseline}: {report.verdict} ({counts or 'nothing judged'})"


def line(m: MetricVerdict) -> str:
    """One metric in one line."""
    text = f"{m.key}: {number(m.old)} -> {number(m.new)}"
    if m.low is not None:
        text += f", difference {m.difference:+.4f} [{m.low:+.4f}, {m.high:+.4f}]"
    if m.p is not None:
        text += f", p {p_value(m.p)} ({m.method}, adjusted)"
    return text


def power(m: MetricVerdict, gate: Gate) -> str:
    """What the comparison could have seen."""
    if m.method is None:
        return "there is nothing to compare"
    if m.p is None:
        return "no interval is known, so noise cannot be distinguished from a real change"
    if m.detectable is None and m.difference == 0 and m.low == m.high:
        return "no answer's value changed, so there is no noise to plan with"
    change = "a drop" if m.higher_is_better else "a rise"
    if m.detectable is None and m.verdict == REGRESS:
        return "only a loss as large as this one can be called a regression"
    if m.detectable is None:
        return f"with {m.units} independent units no change can be called a regression: this gate cannot fail here"
    counts = f"n = {m.n}, {m.units} independent"
    text = f"this gate catches {change} of {m.detectable:.3f} in {gate.power:.0%} of cases ({counts})"
    if m.verdict in (INCONCLUSIVE, UNDECIDED) and m.needed:
        text += f"; if {m.difference:+.3f} is the true difference, about {m.needed:,} questions would decide"
    return text


def p_value(p: float) -> str:
    """A p-value for people.

    >>> p_value(0.0314), p_value(1e-9)
    ('0.031', '<0.0001')
    """
    return "<0.0001" if p < 1e-4 else f"{p:.2g}"


def number(value: float | None) -> str:
    """A value for people; undefined is said."""
    return "undefined" if value is None else f"{value:.4f}"


def flip_lines(m: MetricVerdict, limit: int = SHOWN_FLIPS) -> list[str]:
    """The questions that changed their label, worse ones first."""
    if not m.flips:
        return []
    worse = sum(not flip.better for flip in m.flips)
    lines = [f"{len(m.flips)} questions flipped: {worse} for the worse, {len(m.flips) - worse} for the better"]
    for flip in m.flips[:limit]:
        sign = "+" if flip.better else "-"
        lines.append(f"  {sign} {flip.id}: {clip(flip.question)}")
        lines.append(f"      was: {clip(flip.old_response)}")
        lines.append(f"      now: {clip(flip.new_response)}")
    return lines


def drift_line(report: CheckReport) -> str:
    """What drifted, and where the platforms differ."""
    drift = report.drift
    old, new = drift.platforms
    where = f"platform {old} then, {new} now" if old != new else f"both on {new}"
    return (
        f"the same weights, versions and greedy settings gave other outputs for {drift.changed} of {drift.compared} "
        f"answers: the environment drifted ({where}), and differences in scores are not the model's"
    )


def clip(text: str, width: int = 100) -> str:
    """A text on one line, cut where it is long."""
    flat = shown(" ".join(text.split()))
    return flat if len(flat) <= width else f"{flat[: width - 1]}…"


def to_text(report: CheckReport, *, colours: bool = False) -> str:
    """The table of judged metrics, and what stands below it; as wide as the terminal where there are colours."""
    import io

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in COLUMNS[:2] else "right")
    for m in report.metrics:
        if m.verdict == INFO:
            continue
        interval = "" if m.low is None else f" [{m.low:+.3f}, {m.high:+.3f}]"
        cells = [
            number(m.old),
            number(m.new),
            ("" if m.difference is None else f"{m.difference:+.3f}") + interval,
            "" if m.margin is None else f"{m.margin:g}",
            "" if m.p is None else p_value(m.p),
        ]
        table.add_row(Text(shown(m.key)), Text(m.verdict, style=_COLOURS[m.verdict]), *map(Text, cells))
    buffer = io.StringIO()
    console = Console(file=buffer, force_terminal=colours, width=None if colours else 140, highlight=False)
    console.print(table)
    for text in text_lines(report):
        console.print(Text(text), soft_wrap=True)
    return buffer.getvalue()


def text_lines(report: CheckReport) -> Iterator[str]:
    """What is printed below the table: drift, reasons, flips, power, notes."""
    if report.identical:
        yield "Same weights, same versions, greedy: the outputs are identical."
    if report.drift is not None:
        yield drift_line(report)
        for flip in report.drift.examples[:3]:
            yield f"  {flip.id}: was {clip(flip.old_response, 60)} / now {clip(flip.new_response, 60)}"
    for metric in report.metrics:
        if metric.verdict in (REGRESS, INCONCLUSIVE, UNDECIDED):
            yield f"{metric.verdict.upper()} {metric.key}: {metric.reason}"
            if metric.verdict != REGRESS:
                yield f"  {power(metric, report.gate)}"
            yield from (f"  {text}" for text in flip_lines(metric))
    judged = [m for m in report.metrics if m.verdict != INFO and m.method]
    if judged:
        yield "What this gate could have seen:"
        yield from (f"  {m.key}: {power(m, report.gate)}" for m in judged)
    if report.count(INFO):
        yield f"{report.count(INFO)} other metrics were not judged; --format json holds them"
    yield from (f"note: {clip(note, 300)}" for note in report.notes)
    if report.verdict == "undecided":
        yield "undecided: exit code 3; --undecided pass or fail (or the same in the gate) makes it 0 or 1"
    yield clip(summary(report), 300)


def error_json(error: UserError) -> str:
    """What `to_json` is for a check that could not be made: the verdict "error", the message and what to do."""
    head = {"verdict": "error", "exit_code": EXIT_USAGE, "error": error.message, "hint": error.hint}
    return json.dumps(head, indent=1, ensure_ascii=False) + "\n"


def error_junit(error: UserError) -> str:
    """JUnit XML of a check that could not be made: one test case, an error."""
    suite = ElementTree.Element(
        "testsuite", name="unlearn-bench check", tests="1", failures="0", errors="1", skipped="0"
    )
    case = ElementTree.SubElement(suite, "testcase", classname="check", name="comparable")
    element = ElementTree.SubElement(case, "error", message=shown(error.message))
    element.text = "\n".join(map(shown, str(error).split("\n")))
    return _xml(suite)


def error_github(error: UserError) -> str:
    """The workflow command of a check that could not be made."""
    return _command("error", "unlearn-bench check: not comparable", str(error)) + "\n"
