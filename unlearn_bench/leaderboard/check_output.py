"""The gate's answer for programs (JSON), for CI (JUnit XML, GitHub annotations), and as lines of text.

Names come from strangers: XML is built as a tree, annotations are percent-escaped as the runner asks, and control
characters are written out, so that no name can start a workflow command or an escape sequence.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from xml.etree import ElementTree

from unlearn_bench.leaderboard._text import shown
from unlearn_bench.leaderboard.check import SHOWN_FLIPS, CheckReport, MetricVerdict


def to_json(report: CheckReport) -> str:
    """The whole report as JSON; `verdict` and `exit_code` first."""
    head = {"verdict": report.verdict, "exit_code": report.exit_code}
    body = asdict(report)
    body["gate"] = report.gate.model_dump(mode="json")
    for metric in body["metrics"]:
        metric["flips"] = {
            "worse": sum(not flip["better"] for flip in metric["flips"]),
            "better": sum(flip["better"] for flip in metric["flips"]),
            "shown": metric["flips"][:SHOWN_FLIPS],
        }
    return json.dumps({**head, **body}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_junit(report: CheckReport) -> str:
    """JUnit XML: a test case per judged metric; inconclusive ones are skipped, with the reason."""
    judged = [m for m in report.metrics if m.verdict != "info"]
    suite = ElementTree.Element(
        "testsuite",
        name=shown(f"unlearn-bench check: {report.candidate} against {report.baseline}"),
        tests=str(len(judged) + (report.drift is not None)),
        failures=str(report.count("regress")),
        errors=str(int(report.drift is not None and report.gate.drift == "fail")),
        skipped=str(report.count("inconclusive")),
    )
    for metric in judged:
        task, _, name = metric.key.partition("/")
        case = ElementTree.SubElement(suite, "testcase", classname=shown(task), name=shown(name))
        if metric.verdict == "regress":
            failure = ElementTree.SubElement(case, "failure", message=shown(metric.reason))
            failure.text = "\n".join(map(shown, [line(metric), *flip_lines(metric)]))
        elif metric.verdict == "inconclusive":
            ElementTree.SubElement(case, "skipped", message=shown(f"{metric.reason}; {power(metric)}"))
    if report.drift is not None:
        case = ElementTree.SubElement(suite, "testcase", classname="environment", name="identical outputs")
        kind = "error" if report.gate.drift == "fail" else "skipped"
        ElementTree.SubElement(case, kind, message=shown(drift_line(report)))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def to_github(report: CheckReport) -> str:
    """GitHub workflow commands: an error per regression, a warning per inconclusive metric, a notice at the end."""
    found = []
    for metric in report.metrics:
        if metric.verdict == "regress":
            details = "\n".join([line(metric), *flip_lines(metric)])
            found.append(_command("error", f"{metric.key}: {metric.reason}", details))
        elif metric.verdict == "inconclusive":
            found.append(_command("warning", f"{metric.key}: inconclusive", f"{metric.reason}; {power(metric)}"))
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
    counts = ", ".join(f"{report.count(v)} {v}" for v in ("regress", "pass", "inconclusive") if report.count(v))
    return f"{report.candidate} against {report.baseline}: {report.verdict} ({counts or 'nothing judged'})"


def line(m: MetricVerdict) -> str:
    """One metric in one line."""
    text = f"{m.key}: {number(m.old)} -> {number(m.new)}"
    if m.low is not None:
        text += f", difference {m.difference:+.4f} [{m.low:+.4f}, {m.high:+.4f}]"
    if m.p is not None:
        text += f", p {p_value(m.p)} ({m.method}, Holm)"
    return text


def power(m: MetricVerdict) -> str:
    """What the comparison could have seen."""
    if m.p is None:
        return "no interval is known, so no drop within the noise can be told from a real one"
    if m.detectable is None and m.difference == 0 and m.low == m.high:
        return "no answer's value changed, so there is no noise to plan with"
    if m.detectable is None:
        return f"with {m.units} independent units no drop can be called a regression: this gate cannot fail here"
    text = f"it would have seen a drop of {m.detectable:.3f} (n = {m.n}, {m.units} independent)"
    if m.verdict == "inconclusive" and m.needed:
        text += f"; if {-m.difference:+.3f} is the true drop, about {m.needed:,} questions would decide"
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


def text_lines(report: CheckReport) -> Iterator[str]:
    """What stands below the table: drift, reasons, flips, power, notes."""
    if report.identical:
        yield "Same weights, same versions, greedy: the outputs are identical."
    if report.drift is not None:
        yield drift_line(report)
        for flip in report.drift.examples[:3]:
            yield f"  {flip.id}: was {clip(flip.old_response, 60)} / now {clip(flip.new_response, 60)}"
    for metric in report.metrics:
        if metric.verdict in ("regress", "inconclusive"):
            yield f"{metric.verdict.upper()} {metric.key}: {metric.reason}"
            if metric.verdict == "inconclusive" or metric.detectable is None:
                yield f"  {power(metric)}"
            yield from (f"  {text}" for text in flip_lines(metric))
    judged = [m for m in report.metrics if m.verdict != "info" and m.method]
    if judged:
        yield f"What this gate could have seen (power {report.gate.power:.0%}):"
        yield from (f"  {m.key}: {power(m)}" for m in judged)
    if report.count("info"):
        yield f"{report.count('info')} other metrics were not judged; --format json holds them"
    yield from (f"note: {clip(note, 300)}" for note in report.notes)
    yield clip(summary(report), 300)
