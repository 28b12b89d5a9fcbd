"""What a gate says of a candidate under stress: a ceiling on the excess recovery, whatever the baseline did."""

import fnmatch
from collections.abc import Iterator

from unlearn_bench.comparison._rules import Gate, StressGate
from unlearn_bench.comparison._verdict import INFO, PASS, REGRESS, UNDECIDED, MetricVerdict
from unlearn_bench.schema import StressInfo, StressRow


def judged(info: StressInfo | None, gate: Gate) -> Iterator[MetricVerdict]:
    """A verdict for each stress and metric that the gate names; one that is missing fails, unless it may be missing."""
    rows = [row for row in info.rows if row.verdict is not None] if info else []
    for name, rule in gate.stress.items():
        found = [row for row in rows if any(fnmatch.fnmatchcase(key, name) for key in _names(row))]
        if not found:
            why = (info.skipped.get(name) if info else None) or "the candidate was not put under this stress"
            yield MetricVerdict(f"stress: {name}", REGRESS if rule.required else INFO, why, ceiling=rule.ceiling)
        yield from (_judge(row, rule) for row in found)


def _names(row: StressRow) -> tuple[str, str]:
    return row.stress, f"{row.stress}/{row.metric}"


def _judge(row: StressRow, rule: StressGate) -> MetricVerdict:
    key = f"stress: {row.stress}/{row.metric} ({row.task})"
    value = row.excess if rule.ceiling_on == "value" else row.ci95 and row.ci95[1]
    told = {"new": row.excess, "higher_is_better": False, "ceiling": rule.ceiling, "n": row.n, "needed": row.needed}
    if row.ci95 is not None:
        told |= {"low": row.ci95[0], "high": row.ci95[1]}
    if value is None:
        return MetricVerdict(key, UNDECIDED, row.reasons.get("excess", "it has no interval"), **told)
    if value > rule.ceiling:
        what = "excess recovery" if rule.ceiling_on == "value" else "upper end of the excess recovery"
        return MetricVerdict(key, REGRESS, f"{what} {value:.4f} is above the ceiling of {rule.ceiling:g}", **told)
    return MetricVerdict(key, PASS, f"excess recovery within {rule.ceiling:g}", **told)
