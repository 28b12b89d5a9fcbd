"""One metric of a gate, judged: the comparison, the margin, floor and ceiling, and what could not be judged at all."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from unlearn_bench.comparison import _versus
from unlearn_bench.comparison._direction import stock_bounds
from unlearn_bench.comparison._rules import Gate, MetricGate, margin_of
from unlearn_bench.comparison.metric_info import info
from unlearn_bench.schema import MetricValue
from unlearn_bench.stats import paired, power

REGRESS, PASS, INCONCLUSIVE, UNDECIDED, INFO = "regress", "pass", "inconclusive", "undecided", "info"


@dataclass(frozen=True)
class MetricVerdict:
    """One metric, judged.

    Attributes:
        difference: new - old, in the metric's unit; whether that is worse, `higher_is_better` says.
        low, high: 95 % interval of the difference.
        p: One-sided p-value of "worse", adjusted for all metrics that are judged.
        detectable: The change for the worse that this gate catches with the gate's power; None if none.
        needed: About how many questions would decide, if the true difference is the one that was seen.
    """

    key: str
    verdict: str
    reason: str
    old: float | None = None
    new: float | None = None
    higher_is_better: bool | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    floor: float | None = None
    ceiling: float | None = None
    p: float | None = None
    method: str | None = None
    n: int | None = None
    units: int | None = None
    detectable: float | None = None
    needed: int | None = None
    flips: list[_versus.Flip] = field(default_factory=list)


@dataclass(frozen=True)
class Question:
    """What is asked of one metric.

    Attributes:
        key: "task/metric".
        old, new: Its values.
        better: Higher is better.
        compared: The comparison; None where there is nothing to compare.
        alpha: The metric's share of the gate's alpha.
        p: One-sided p-value of "worse", adjusted for all metrics that are judged; None without a test.
        flips: Questions whose label changed.
    """

    key: str
    old: MetricValue
    new: MetricValue
    better: bool
    compared: paired.Comparison | None
    alpha: float
    p: float | None = None
    flips: list[_versus.Flip] = field(default_factory=list)

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value."""
        return bounds_of(self.key)

    @property
    def room(self) -> float:
        """By how much the value could get worse, at most."""
        low, high = self.bounds
        return self.old.value - low if self.better else high - self.old.value


def bounds_of(key: str) -> tuple[float, float]:
    """Smallest and largest value of "task/metric"."""
    metric = key.partition("/")[2]
    return info(metric, unknown=stock_bounds(metric)).bounds


def judge(asked: Question, gate: Gate) -> MetricVerdict:
    """The verdict on one metric."""
    rule, c = gate.rule(asked.key), asked.compared
    known: Mapping[str, object] = {
        "key": asked.key,
        "old": asked.old.value,
        "new": asked.new.value,
        "higher_is_better": asked.better,
        "floor": rule.floor,
        "ceiling": rule.ceiling,
        "flips": asked.flips,
    }
    broken = _beyond_limit(asked.new, rule, better=asked.better)
    if c is None:
        verdict, reason = broken or _without_comparison(asked)
        return MetricVerdict(**known, verdict=verdict, reason=reason)
    margin = margin_of(rule, asked.old.value, asked.bounds)
    detectable = power.detectable(c, asked.alpha, gate.power, margin)
    verdict, reason = broken or _against_margin(asked, margin, gate.alpha, detectable)
    sign = 1.0 if asked.better else -1.0
    low, high = (None, None) if c.low is None else sorted((0.0 + sign * c.low, 0.0 + sign * c.high))
    return MetricVerdict(
        **known,
        verdict=verdict,
        reason=reason + _unscored(asked),
        difference=0.0 + sign * c.difference,  # 0.0 + -0.0 is 0.0
        low=low,
        high=high,
        margin=margin,
        p=asked.p,
        method=c.method,
        n=c.n,
        units=c.units,
        detectable=detectable,
        needed=power.needed(c, margin, asked.alpha, gate.power),
    )


def _without_comparison(asked: Question) -> tuple[str, str]:
    old, new = asked.old, asked.new
    if new.value is None and old.value is not None:
        return REGRESS, f"no sample could be scored any more{_reasons(new)}"
    if old.value is None:
        side = "on either side" if new.value is None else "in the baseline"
        return UNDECIDED, f"no value {side}{_reasons(old)}; name it with ignore: true to go on without it"
    share = (
        f"{_versus.scored_share(old):.0%} of the questions could be scored then, {_versus.scored_share(new):.0%} now"
    )
    return UNDECIDED, f"{share}{_reasons(new)}, and what could not be scored has no worst value"


def _reasons(value: MetricValue) -> str:
    told = ", ".join(f"{reason} {count}" for reason, count in list(value.unscored_reasons.items())[:5])
    return f" ({told})" if told else ""


def _unscored(asked: Question) -> str:
    if not _versus.became_unscored(asked.old, asked.new):
        return ""
    old, new = asked.old.unscored, asked.new.unscored
    return f"; {new} answers could not be scored, {old} in the baseline{_reasons(asked.new)}: counted as the worst"


def _beyond_limit(new: MetricValue, rule: MetricGate, *, better: bool) -> tuple[str, str] | None:
    """A regression that needs no statistics: the value is below the floor, or above the ceiling."""
    if new.value is None:
        return None
    low, high = new.ci95 if rule.floor_on == "interval" and new.ci95 is not None else (new.value, new.value)
    what = "value" if low == high else "end of the interval"
    if rule.floor is not None and low < rule.floor:
        return REGRESS, f"the {what} {low:.4g} is below the floor of {rule.floor:g}"
    # an interval's upper end is held against a ceiling that is a limit of quality; over-forgetting must be shown
    held = low if better else high
    if rule.ceiling is not None and held > rule.ceiling:
        return REGRESS, f"the {what} {held:.4g} is above the ceiling of {rule.ceiling:g}"
    return None


def _against_margin(asked: Question, margin: float, alpha: float, detectable: float | None) -> tuple[str, str]:
    c, p = asked.compared, asked.p
    worse = -c.difference
    moved = f"{'dropped' if asked.better else 'rose'} by {worse:.4g}, beyond the margin of {margin:g}"
    change = "drop" if asked.better else "rise"
    if p is None:
        verdict, what = (REGRESS, moved) if worse > margin else (PASS, f"within the margin of {margin:g}")
        return verdict, f"{what} (no interval known)"
    if worse > margin and p <= alpha:
        return REGRESS, f"{moved}, and noise does not explain it"
    if c.unchanged:
        return PASS, "no answer's value changed"
    if c.low is not None and c.low >= -margin:
        return PASS, f"not worse by more than {margin:g}"
    if worse <= margin:
        return INCONCLUSIVE, f"a {change} of {margin:g} cannot be excluded"
    if _too_large_to_pass(asked, worse, detectable, alpha):
        return UNDECIDED, f"{moved}, and with {c.n} questions ({c.units} independent) it cannot be judged"
    return INCONCLUSIVE, f"{moved}, but noise may explain it"


def _too_large_to_pass(asked: Question, worse: float, detectable: float | None, alpha: float) -> bool:
    """Whether a change larger than the margin, though not significant, is too large to pass.

    It is where this comparison could have found no change at all, or where the change is one that it should have found;
    where it is half of the metric's range, or half of what the baseline could lose and the metric's own test (not
    adjusted for the others) says worse; and where a value without bounds doubled.
    """
    c, (low, high) = asked.compared, asked.bounds
    if detectable is None or worse >= detectable:
        return True
    if not math.isfinite(asked.room):
        return worse >= abs(asked.old.value)
    return worse >= (high - low) / 2 or (worse >= asked.room / 2 and c.p_worse <= alpha)
