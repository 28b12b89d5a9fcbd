"""What `train --list-methods` and `train --list-presets` print: read from the methods themselves."""

import json
from importlib.resources import files
from types import ModuleType


def names() -> str:
    """What `train --help` ends with: the names of all there is."""
    from unlearn_bench.losses import LOSSES
    from unlearn_bench.trainers import RECIPES, STEPS

    presets_file = files("unlearn_bench.trainers") / "presets.json"  # read here: --help imports no pydantic
    sides = {name: LOSSES.declared(name).get("side") for name in LOSSES.names()}
    lists = {
        "forget terms": [name for name, side in sides.items() if side == "forget"],
        "retain terms": [name for name, side in sides.items() if side == "retain"],
        "step changes": [*STEPS.names(), '(written first: "sure+npo+gdr")'],
        "procedures": [*RECIPES.names(), "(alone)"],
        "presets": sorted(json.loads(presets_file.read_text(encoding="utf-8"))),
    }
    return "\n".join(f"{title:<14} {' '.join(found)}" for title, found in lists.items())


def methods() -> str:
    """Every term, step change and procedure with its options and the head of its file: formula, source, divergences."""
    from unlearn_bench.losses import LOSSES
    from unlearn_bench.trainers import RECIPES, STEPS

    parts = []
    for side in ("forget", "retain"):
        for name in (name for name in LOSSES.names() if LOSSES.get(name).side == side):
            loss = LOSSES.get(name)
            alone = f"; alone it means {'+'.join([name, *loss.implies])}" if loss.implies else ""
            title = f"{name}: {side} term, weight {loss.weight:g}{alone}"
            parts.append(_entry(title, name, loss.options, LOSSES.module(name)))
    for kind, registry in (("changes the step", STEPS), ("procedure", RECIPES)):
        for name in registry.names():
            module = registry.module(name)
            parts.append(_entry(f"{name}: {kind}", name, getattr(module, "OPTIONS", {}), module))
    return "\n".join(parts)


def _entry(title: str, name: str, options: dict[str, object], module: ModuleType) -> str:
    lines = [f"  --set {name}.{key}={value}" for key, value in options.items()]
    text = [f"  {line}".rstrip() for line in (module.__doc__ or "").strip().splitlines()]
    return "\n".join([title, *lines, *text, ""])


def presets() -> str:
    """Every preset: for all methods ("*") and for single ones, with what it is taken from and where it differs."""
    from unlearn_bench.trainers import config

    lines = []
    for name, entries in config.presets().items():
        lines.append(name)
        for method, settings in entries.items():
            values = {key: value for key, value in settings.items() if key != "source"}
            lines.append(f"  {method}: {json.dumps(values)}")
            lines.append(f"    source: {settings['source']}")
        lines.append("")
    return "\n".join(lines)
