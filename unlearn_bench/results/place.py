"""Where a number lies between the checkpoint before unlearning (0) and a model that never saw the forget set (1).

    place = (value - original) / (oracle - original)

0: nothing changed; 1: what never having seen the forget set gives; above 1 on forget rows: over-forgotten, which is as
far from the aim as below. The interval is the delta method's, from the three intervals as if they were independent; the
same questions under three related models agree more than that, so it is rather too wide. Where original and oracle do
not differ beyond their noise there is no line, and no place.
"""

import math

from unlearn_bench.schema import MetricValue, Place, Result, Role

_Z95 = 1.959963984540054
_OTHERWISE = "scored otherwise"


def place(value: MetricValue, original: MetricValue, oracle: MetricValue, role: Role) -> Place | None:
    """The place of a value; None where one of the three is undefined.

    Args:
        value: Of the judged model.
        original: Of the checkpoint before unlearning.
        oracle: Of a model that never saw the forget set.
        role: Of the questions; on forget rows a place beyond 1 is flagged.
    """
    if value.value is None or original.value is None or oracle.value is None:
        return None
    length, errors = oracle.value - original.value, [_error(m) for m in (value, original, oracle)]
    ends = {"original": original.value, "oracle": oracle.value}
    if abs(length) <= _Z95 * math.hypot(errors[1], errors[2]):
        return Place(value=None, **ends)
    found = 0.0 + (value.value - original.value) / length  # 0.0 + -0.0 is 0.0
    slopes = (1 / length, (found - 1) / length, -found / length)
    half = _Z95 * math.hypot(*(slope * error for slope, error in zip(slopes, errors, strict=True)))
    over = role == "forget" and found - half > 1
    interval = (found - half, found + half) if value.ci95 is not None else None
    return Place(value=found, ci95=interval, over_forgotten=over and interval is not None, **ends)


def _error(metric: MetricValue) -> float:
    """A standard error, from the interval; 0 where there is none."""
    return 0.0 if metric.ci95 is None else (metric.ci95[1] - metric.ci95[0]) / (2 * _Z95)


def set_places(result: Result, original: Result, oracle: Result) -> list[str]:
    """Give every metric of a result its place, and say which could not be compared because of rows or scorers.

    Args:
        result: Changed in place.
        original: The checkpoint before unlearning, asked the same.
        oracle: A model that never saw the forget set, asked the same.
    """
    unlike: dict[str, list[str]] = {}
    for name, task in result.tasks.items():
        for metric, value in task.metrics.items():
            ends = []
            for other, what in ((original, "original"), (oracle, "oracle")):
                why = _difference(result, other, name, metric)
                if why == _OTHERWISE and "oracle" in task.scorer.parts:
                    continue  # a number that is itself held against the oracle
                if why:
                    unlike.setdefault(f"{what}: {why}", []).append(f"{name}/{metric}")
                else:
                    ends.append(other.tasks[name].metrics[metric])
            if len(ends) == 2:
                value.place = place(value, ends[0], ends[1], task.role)
    return [f"not placed, {why}: {places[0]}" + _more(len(places) - 1) for why, places in unlike.items()]


def _more(count: int) -> str:
    return f" and {count} more" if count else ""


def _difference(result: Result, other: Result, task: str, metric: str) -> str | None:
    """Why two results cannot be compared on a metric; None where they can."""
    one, two = result.tasks[task], other.tasks.get(task)
    if two is None or metric not in two.metrics:
        return "it has no such number"
    if one.dataset.sha256 != two.dataset.sha256:
        return "other rows"
    makers = [t.scorer.metrics.get(metric, t.scorer.fingerprint) for t in (one, two)]
    return None if makers[0] == makers[1] or not one.metrics[metric].n else _OTHERWISE
