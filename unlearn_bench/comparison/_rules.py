"""What a gate file may say: the rule of each metric, and the settings of the whole gate; see `gate.py`."""

import fnmatch
import math
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from unlearn_bench.errors import UserError
from unlearn_bench.schema import Strict

DEFAULT_MARGIN = 0.05
DEFAULT_RELATIVE_MARGIN = 0.1
LEAST_ALPHA = 1e-6
_WIDEST = 100.0  # times the baseline's value: a larger margin of a metric without bounds is probably a typo


def _number(value: object) -> object:
    """Refuse what YAML makes of `yes`, and read `1e-3`, which YAML takes for a text."""
    if isinstance(value, bool):
        raise ValueError("yes and no are not numbers")
    return float(value) if isinstance(value, str) else value


Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]


class MetricGate(Strict):
    """The rule of one metric.

    Attributes:
        margin: Largest change for the worse, in the metric's own unit, that is not a regression.
        relative_margin: The same as a share of the baseline's value; the larger of the two holds.
        floor: Lowest value that passes, for any baseline; for a metric of which higher is better.
        ceiling: Highest value that passes, for any baseline; also for over-forgetting (a KFR above the oracle's).
        floor_on: Hold floor and ceiling against the value, or against the worse end of its interval.
        direction: Which way is better, for a metric whose direction is not known otherwise.
        required: The candidate must have the metric if the baseline has it.
        ignore: Judge nothing; only the JSON report holds it.
    """

    margin: Number | None = Field(default=None, ge=0)
    relative_margin: Number | None = Field(default=None, ge=0)
    floor: Number | None = None
    ceiling: Number | None = None
    floor_on: Literal["value", "interval"] = "value"
    direction: Literal["up", "down"] | None = None
    required: bool = True
    ignore: bool = False


class StressGate(Strict):
    """What a candidate under stress must keep to, whatever the baseline did.

    Attributes:
        ceiling: Highest excess recovery that passes.
        ceiling_on: Hold the ceiling against the excess, or against the upper end of its interval.
        required: The candidate must have been put under the stress.
    """

    ceiling: Number
    ceiling_on: Literal["value", "interval"] = "value"
    required: bool = True


class Gate(Strict):
    """A gate: see the module's text.

    `alpha` is one-sided and therefore 0.025, as is usual for non-inferiority: it fits 95 % intervals.
    """

    version: Literal[1] = 1
    alpha: Annotated[Number, Field(gt=LEAST_ALPHA, lt=0.5)] = 0.025
    power: Annotated[Number, Field(ge=0.5, le=0.999)] = 0.8
    inconclusive: Literal["pass", "fail"] = "pass"
    undecided: Literal["pass", "fail"] | None = None
    drift: Literal["fail", "warn"] = "fail"
    default: MetricGate = MetricGate()
    metrics: dict[Annotated[str, Field(pattern=r"^[^/]+/.+$")], MetricGate] = {}
    stress: dict[Annotated[str, Field(pattern=r"^[^/]+/.+$")], StressGate] = {}

    def rule(self, key: str) -> MetricGate:
        """The rule of "task/metric": the exact name, else the last pattern that fits, else the default."""
        if key in self.metrics:
            return self.metrics[key]
        fitting = [rule for name, rule in self.metrics.items() if fnmatch.fnmatchcase(key, name)]
        return fitting[-1] if fitting else self.default

    def names(self, key: str) -> bool:
        """Whether the file names the metric, exactly or by a pattern."""
        return self.rule(key) is not self.default

    @property
    def only_named(self) -> bool:
        """Whether nothing but the named metrics is judged: some are named, and no default is given."""
        return bool(self.metrics) and "default" not in self.model_fields_set

    def unused(self, keys: Iterable[str]) -> list[str]:
        """Names in the file that fit no metric: probably a typo."""
        known = list(keys)
        return [name for name in self.metrics if not fnmatch.filter(known, name) and name not in known]


def margin_of(rule: MetricGate, baseline: float, bounds: tuple[float, float]) -> float:
    """The largest change for the worse that is not a regression, in the metric's unit.

    Without one in the rule: `DEFAULT_MARGIN` for a metric in [0, 1], else `DEFAULT_RELATIVE_MARGIN` of the baseline.

    >>> margin_of(MetricGate(margin=0.01, relative_margin=0.1), 0.5, (0.0, 1.0))
    0.05
    """
    if rule.margin is None and rule.relative_margin is None:
        unit = bounds == (0.0, 1.0)
        return DEFAULT_MARGIN if unit else DEFAULT_RELATIVE_MARGIN * abs(baseline)
    return max(rule.margin or 0.0, (rule.relative_margin or 0.0) * abs(baseline))


def require_possible(key: str, rule: MetricGate, bounds: tuple[float, float], baseline: float, better: bool) -> None:
    """Refuse a rule with which the metric could never fail, or always would.

    Args:
        key: "task/metric", for the message.
        rule: Its rule.
        bounds: Smallest and largest value of the metric; infinite where unbounded.
        baseline: The baseline's value.
        better: Higher is better.

    Raises:
        UserError: with the reason and what to write.
    """
    for name, limit in (("floor", rule.floor), ("ceiling", rule.ceiling)):
        if limit is not None:
            _require_limit(key, name, limit, bounds, better)
    if rule.floor is not None and rule.ceiling is not None and rule.floor > rule.ceiling:
        raise UserError(f"gate: {key}: the floor of {rule.floor:g} is above the ceiling of {rule.ceiling:g}")
    if rule.relative_margin is not None and rule.relative_margin >= (1 if better else 10):
        raise UserError(
            f"gate: {key}: relative_margin {rule.relative_margin:g} can never fail: it is a share of the baseline",
            hint="write 0.1 for 10 %",
        )
    if rule.margin is not None:
        _require_margin(key, rule.margin, bounds, baseline, better)


def _require_limit(key: str, name: str, limit: float, bounds: tuple[float, float], better: bool) -> None:
    low, high = bounds
    if name == "floor" and not better:
        raise UserError(f"gate: {key}: lower is better: a floor holds nothing", hint=f"write ceiling: {limit:g}")
    never = limit <= low if name == "floor" else limit >= high
    always = limit > high if name == "floor" else limit < low
    if never or always:
        percent = f"; for {limit:g} % write {limit / 100:g}" if bounds == (0.0, 1.0) and 1 < limit <= 100 else ""
        what = "can never fail" if never else "would always fail"
        raise UserError(f"gate: {key}: {name} {limit:g} {what}", hint=f"values lie in {_range(bounds)}{percent}")


def _require_margin(key: str, margin: float, bounds: tuple[float, float], baseline: float, better: bool) -> None:
    room = baseline - bounds[0] if better else bounds[1] - baseline
    width = bounds[1] - bounds[0]
    if math.isfinite(width) and margin >= width:
        percent = f"; for {margin:g} points of a hundred write {margin / 100:g}" if 1 <= margin <= 100 else ""
        raise UserError(
            f"gate: {key}: margin {margin:g} can never fail", hint=f"values lie in {_range(bounds)}{percent}"
        )
    if math.isfinite(width) and margin >= room > width / 2:
        raise UserError(
            f"gate: {key}: margin {margin:g} can never fail: from the baseline's {baseline:.4g} no value is "
            f"worse by more than {room:.4g}",
            hint="name a smaller margin, or a floor or ceiling",
        )
    if not math.isfinite(room) and margin > _WIDEST * max(abs(baseline), 1.0):
        raise UserError(
            f"gate: {key}: margin {margin:g} is more than {_WIDEST:g} times the baseline's {baseline:.4g}",
            hint="name a smaller margin, or a relative_margin",
        )


def _range(bounds: tuple[float, float]) -> str:
    low, high = bounds
    return f"{low:g} to {high:g}" if math.isfinite(high) else f"{low:g} and above"


def json_schema() -> dict[str, object]:
    """The JSON Schema of gates.yaml, as published."""
    return Gate.model_json_schema()
