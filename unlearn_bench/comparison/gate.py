"""gates.yaml: what "not worse" means, metric by metric.

    version: 1
    alpha: 0.025                   # chance of a false alarm over all metrics together, one-sided
    inconclusive: pass             # a metric of which a small drop cannot be excluded: pass (and say so) or fail
    undecided: fail                # a large drop that cannot be judged, or no value: pass or fail; left out: exit 3
    drift: fail                    # same weights and versions, other answers: fail or warn
    default: {margin: 0.05}        # for every metric that has a direction and is not named below
    metrics:
      nano_forget/kfr: {margin: 0.05, floor: 0.8, ceiling: 0.98}
      nano_retain/krr: {margin: 0.02, floor: 0.9}
      nano_forget/ls: {relative_margin: 0.1}
      nano_forget/perplexity: {relative_margin: 0.2, ceiling: 20}
      my_task/my_metric: {margin: 0.1, direction: down}
      "*/rouge1_recall": {ignore: true}
    stress:                        # excess recovery over the oracle (result of `run --stress`)
      quantization/nf4/kfr: {ceiling: 0.05}
      "prefix/*": {ceiling: 0.2, ceiling_on: interval}

Names may hold * and ?. An exact name beats a pattern, a later pattern an earlier one. A value with which a gate could
never fail, or always would, is refused. The file is read strictly, and refused in words that say what to write instead;
its schema is published as `leaderboards/gate.schema.json`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from unlearn_bench.comparison._rules import LEAST_ALPHA, Gate, MetricGate, StressGate, json_schema, margin_of
from unlearn_bench.errors import UserError
from unlearn_bench.registry import did_you_mean
from unlearn_bench.untrusted import strict_json, strings
from unlearn_bench.untrusted.strict_yaml import unique_keys

if TYPE_CHECKING:
    import yaml

__all__ = ["Gate", "MetricGate", "json_schema", "margin_of", "read_gate"]

MAX_GATE = strict_json.MIB
_MEANT = {"min": "floor", "minimum": "floor", "max": "ceiling", "maximum": "ceiling", "tolerance": "margin",
          "threshold": "floor", "higher_is_better": "direction", "skip": "ignore", "optional": "required"}  # fmt: skip
_YES_NO = "true or false"
_EXPECTED = {
    "version": "1",
    "alpha": f"a number between {LEAST_ALPHA:g} and 0.5, for example 0.025",
    "power": "a number from 0.5 to 0.999, for example 0.8",
    "inconclusive": "pass or fail",
    "undecided": "pass or fail (left out: exit code 3)",
    "drift": "fail or warn",
    "default": "a rule, for example {margin: 0.05}",
    "stress": "stresses and their rules, for example quantization/nf4: {ceiling: 0.05}",
    "ceiling_on": "value or interval",
    "metrics": "names and their rules, for example nano_forget/kfr: {margin: 0.05, floor: 0.8}",
    "margin": "a number from 0 up, in the metric's own unit (0.05 is 5 points of a share)",
    "relative_margin": "a number from 0 up, as a share of the baseline's value (0.1 is 10 %)",
    "floor": "a number: the lowest value that passes",
    "ceiling": "a number: the highest value that passes",
    "floor_on": "value or interval",
    "direction": "up or down",
    "required": _YES_NO,
    "ignore": _YES_NO,
}


def read_gate(path: Path) -> Gate:
    """Read gates.yaml.

    Raises:
        UserError: if it is missing, not YAML, or holds an invalid rule.
    """
    document = _parsed(path)
    if document is None:
        raise UserError(f"gate {path} is empty", hint="leave --gate out for the default gate, or write `version: 1`")
    _require_mapping(document, "the file", "version: 1")
    _require_known(document, Gate, "", path)
    for where, rule in _rules(document):
        under_stress = where.startswith("stress")
        _require_mapping(rule, where, "{ceiling: 0.05}" if under_stress else "{margin: 0.05}")
        _require_known(rule, StressGate if under_stress else MetricGate, f"{where}: ", path)
    try:
        gate = Gate.model_validate(document)
    except ValidationError as error:
        raise UserError(f"gate {path}: {_explain(error)}") from None
    _require_by_name(gate)
    return gate


def _parsed(path: Path) -> object:
    import yaml

    text = strict_json.read_text(path, limit=MAX_GATE, what="gate")
    try:
        return yaml.load(text, Loader=_loader())
    except (yaml.YAMLError, ValueError, AttributeError) as error:  # the last two: `!!timestamp x`, 5,000 digits
        raise UserError(f"gate {path} is not YAML: {strings.shown(' '.join(str(error).split())[:300])}") from None
    except RecursionError:
        raise UserError(f"gate {path} is nested too deeply") from None


def _require_mapping(value: object, where: str, example: str) -> None:
    if isinstance(value, Mapping):
        return
    raise UserError(f"gate: {where}: expected keys with values, got {_said(value)}", hint=f"for example {example}")


def _rules(document: Mapping[object, object]) -> list[tuple[str, object]]:
    """The place of each rule, and the rule."""
    found = [("default", document["default"])] if "default" in document else []
    for key, what, example in (
        ("metrics", "metric", "task/metric, for example nano_forget/kfr or '*/fluency'"),
        ("stress", "stress", "stress/variant, for example quantization/nf4 or 'prefix/*'"),
    ):
        named = document.get(key, {})
        _require_mapping(named, key, _EXPECTED[key].partition("example ")[2])
        for name, rule in named.items():
            if not isinstance(name, str) or not re.fullmatch(r"[^/]+/.+", name):
                raise UserError(f"gate: {key}: {_said(name)} is not the name of a {what}", hint=f"write {example}")
            found.append((f"{key}: {strings.shown(name)}", rule))
    return found


def _require_known(found: Mapping[object, object], model: type, where: str, path: Path) -> None:
    known = list(model.model_fields)
    for key in found:
        if key in known:
            continue
        name, colon, value = str(key).partition(":")
        if colon and name in known:
            raise UserError(
                f"gate {path}: {where}{_said(key)}: a space is missing after the colon",
                hint=f"write {name}: {strings.shown(value[:40])}",
            )
        if str(key) in _MEANT and _MEANT[str(key)] in known:
            raise UserError(f"gate {path}: {where}unknown key {_said(key)}; did you mean {_MEANT[str(key)]}?")
        error = did_you_mean("key", strings.shown(str(key)[:60]), known)
        raise UserError(f"gate {path}: {where}{error.message}", hint=error.hint)


def _explain(error: ValidationError) -> str:
    """The first thing that is wrong, in this file's words: where, what was expected, what was written."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = [str(part) for part in first["loc"] if part != "[key]"]
    field = next((part for part in reversed(place) if part in _EXPECTED), "metrics")
    return f"{strings.shown(': '.join(place))}: expected {_EXPECTED[field]}; got {_said(first['input'])}"


def _said(value: object) -> str:
    if isinstance(value, bool):
        return f"{'yes' if value else 'no'} (which is true or false to YAML, no number)"
    return strings.shown(repr(value)[:60])


def _require_by_name(gate: Gate) -> None:
    """What lets a metric go unjudged must name the metric: a default would let every metric go."""
    for what, given in (("ignore: true", gate.default.ignore), ("required: false", not gate.default.required)):
        if given:
            raise UserError(
                f"gate: default: {what} would let everything pass",
                hint="leave `default` out to judge only what `metrics` names; say there what may be missing",
            )
    if gate.default.direction is not None:
        raise UserError("gate: default: a direction belongs to one metric", hint="name the metric under `metrics`")


def _loader() -> "type[yaml.SafeLoader]":
    """A safe loader that refuses a key given twice, and aliases, which can grow a small file without bound."""
    import yaml

    class Loader(unique_keys()):
        def compose_node(self, parent: object, index: object) -> object:
            if self.check_event(yaml.events.AliasEvent):
                raise yaml.YAMLError("aliases (*name) are not accepted")
            return super().compose_node(parent, index)

    return Loader
