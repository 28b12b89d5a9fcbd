"""gates.yaml: what "not worse" means, metric by metric.

    version: 1
    alpha: 0.025                   # chance of a false alarm over all metrics together, one-sided (Holm)
    inconclusive: pass             # what a metric does that could not be judged: pass (and say so) or fail
    drift: fail                    # same weights and versions, other answers: fail or warn
    default: {margin: 0.05}        # for every metric that has a direction and is not named below
    metrics:
      nano_kfr/kfr: {margin: 0.05, floor: 0.8}
      nano_krr/krr: {margin: 0.02, floor: 0.9}
      nano_ls/ls: {relative_margin: 0.1}
      "*/rouge1": {ignore: true}

Names may hold * and ?. An exact name beats a pattern, a later pattern an earlier one. The schema of the file is
published as `leaderboards/gate.schema.json`.
"""

import fnmatch
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from unlearn_bench.errors import UserError
from unlearn_bench.leaderboard import _store, _strict_json, _text
from unlearn_bench.schema import Finite, Strict

MAX_GATE = _strict_json.MIB
DEFAULT_MARGIN = 0.05
DEFAULT_RELATIVE_MARGIN = 0.1
Rate = Annotated[float, Field(gt=0, lt=0.5)]


class MetricGate(Strict):
    """The rule of one metric.

    Attributes:
        margin: Largest drop, in the metric's own unit, that is no regression.
        relative_margin: The same as a share of the baseline's value; the larger of the two holds.
        floor: Worst value that passes, whatever the baseline; a ceiling where lower is better.
        floor_on: Hold the floor against the value, or against the worse end of its interval.
        required: The candidate must have the metric if the baseline has it.
        ignore: Judge nothing; only the JSON report holds it.
    """

    margin: Finite | None = Field(default=None, ge=0)
    relative_margin: Finite | None = Field(default=None, ge=0)
    floor: Finite | None = None
    floor_on: Literal["value", "interval"] = "value"
    required: bool = True
    ignore: bool = False


class Gate(Strict):
    """A gate: see the module's text.

    `alpha` is one-sided and therefore 0.025, as is usual for non-inferiority: it fits 95 % intervals.
    """

    version: Literal[1] = 1
    alpha: Rate = 0.025
    power: Annotated[float, Field(ge=0.5, lt=1)] = 0.8
    inconclusive: Literal["pass", "fail"] = "pass"
    drift: Literal["fail", "warn"] = "fail"
    default: MetricGate = MetricGate()
    metrics: dict[str, MetricGate] = {}

    @model_validator(mode="after")
    def _keys(self) -> "Gate":
        for name in self.metrics:
            if "/" not in name:
                raise ValueError(f"{name!r} should be task/metric, for example nano_kfr/kfr or */fluency")
        return self

    def rule(self, key: str) -> MetricGate:
        """The rule of "task/metric": the exact name, else the last pattern that fits, else the default."""
        if key in self.metrics:
            return self.metrics[key]
        fitting = [rule for name, rule in self.metrics.items() if fnmatch.fnmatchcase(key, name)]
        return fitting[-1] if fitting else self.default

    def unused(self, keys: Iterable[str]) -> list[str]:
        """Names in the file that fit no metric: most likely a slip of the pen."""
        known = list(keys)
        return [name for name in self.metrics if not fnmatch.filter(known, name) and name not in known]


def margin_of(rule: MetricGate, baseline: float, bounds: tuple[float, float]) -> float:
    """The largest drop that is no regression, in the metric's unit.

    Without one in the rule: `DEFAULT_MARGIN` for a metric in [0, 1], else `DEFAULT_RELATIVE_MARGIN` of the baseline.

    >>> margin_of(MetricGate(margin=0.01, relative_margin=0.1), 0.5, (0.0, 1.0))
    0.05
    """
    if rule.margin is None and rule.relative_margin is None:
        unit = bounds == (0.0, 1.0)
        return DEFAULT_MARGIN if unit else DEFAULT_RELATIVE_MARGIN * abs(baseline)
    return max(rule.margin or 0.0, (rule.relative_margin or 0.0) * abs(baseline))


def read_gate(path: Path) -> Gate:
    """Read gates.yaml.

    Raises:
        UserError: if it is missing, not YAML, or says something that a gate cannot mean.
    """
    import yaml

    text = _strict_json.read_text(path, limit=MAX_GATE, what="gate")
    try:
        document = yaml.load(text, Loader=_unique_keys())
        if document is None:
            raise UserError(
                f"gate {path} is empty", hint="leave --gate out for the default gate, or write `version: 1`"
            )
        return Gate.model_validate(document)
    except ValidationError as error:
        known = ", ".join(MetricGate.model_fields)
        raise UserError(f"gate {path}: {_store.first_error(error)}", hint=f"a metric takes: {known}") from None
    except (yaml.YAMLError, ValueError, AttributeError) as error:  # the last two: `!!timestamp x`, 5,000 digits
        raise UserError(f"gate {path} is not YAML: {_text.shown(' '.join(str(error).split())[:300])}") from None
    except RecursionError:
        raise UserError(f"gate {path} is nested too deeply") from None


def _unique_keys() -> type:
    """A safe loader that refuses a key given twice, and aliases, which can grow a small file without bound."""
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: object, index: object) -> object:
            if self.check_event(yaml.events.AliasEvent):
                raise yaml.YAMLError("aliases (*name) are not accepted")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            repeated = {str(key) for key in keys if keys.count(key) > 1}
            if repeated:
                raise yaml.YAMLError(f"the key {sorted(repeated)[0]!r} is given twice")
            return super().construct_mapping(node, deep)

    return Loader


def json_schema() -> dict[str, object]:
    """The JSON Schema of gates.yaml, as published."""
    return Gate.model_json_schema()
