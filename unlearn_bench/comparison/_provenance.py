"""What two results say of how they were made: what differs, what is the same, and what neither can know."""

from unlearn_bench.comparison.loaded import LoadedResult, metric_difference, task_differences
from unlearn_bench.schema import Result

_FIELDS = {
    "another model": {
        "model.weights_sha256": "weights",
        "model.adapter_sha256": "adapter",
        "model.tokenizer_sha256": "tokenizer",
        "model.chat_template_sha256": "chat template (prompts differ)",
        "model.config_sha256": "config",
        "model.dtype": "dtype",
    },
    "other code": {
        "harness.version": "unlearn-bench",
        "harness.code_sha256": "its code",
        "harness.lm_eval": "lm_eval",
        "harness.transformers": "transformers",
    },
    "another environment": {
        "harness.torch": "torch",
        "harness.python": "python",
        "harness.platform": "platform",
        "run.device": "device",
        "run.batch_size": "batch size",
    },
    "other settings": {
        "run.seed": "seed",
        "run.prompt": "prompt",
        "run.first_answer": "first answer",
        "run.limit": "limit",
        "run.options": "scoring options",
        "run.files": "files",
    },
}
_GROUPS = ("model", "code", "environment", "settings")


def provenance_differences(old: LoadedResult, new: LoadedResult) -> list[str]:
    """What is not the same about two runs, in words: model, code, environment, settings, scorers; what is not known."""
    found, same = [], []
    unknown = _unknown(old, new)
    for (title, fields), group in zip(_FIELDS.items(), _GROUPS, strict=True):
        changed = [
            f"{label} {_short(_get(old.result, path))} and {_short(_get(new.result, path))}"
            for path, label in fields.items()
            if _get(old.result, path) != _get(new.result, path) and None not in _asked(old, new, path)
        ]
        if changed:
            found.append(f"{title}: {'; '.join(changed)}")
        elif group not in unknown:
            same.append(group)
    if _scored_otherwise(old.result, new.result):
        found.append("other scorers or questions, as said above")
    lines = [f"{new.name} against {old.name}, {line}" for line in found]
    if same and not found:
        lines.append(f"{new.name}: the same {_listed(same)} as {old.name}")
    return lines + [f"{new.name} against {old.name}, not known: {reason}" for reason in unknown.values()]


def _asked(old: LoadedResult, new: LoadedResult, path: str) -> tuple[object, object]:
    """The weights of both: a hash that one lacks differs from nothing. Other fields mean something as None too."""
    known = path == "model.weights_sha256"
    return (_get(old.result, path), _get(new.result, path)) if known else (0, 0)


def _unknown(old: LoadedResult, new: LoadedResult) -> dict[str, str]:
    """Group to what no result can say of it."""
    found = {}
    nameless = [s.name for s in (old, new) if s.result.model.weights_sha256 is None]
    if nameless:
        found["model"] = f"the model (no hash of the weights: {_listed(nameless)})"
    files = [s.name for s in (old, new) if s.result.run.get("verb") == "score"]
    if files:
        found["settings"] = f"how the answers were generated (read from files: {_listed(files)})"
    return found


def _scored_otherwise(old: Result, new: Result) -> bool:
    shared = [(old.tasks[name], new.tasks[name]) for name in old.tasks.keys() & new.tasks.keys()]
    return any(task_differences(a, b) or any(metric_difference(a, b, m) for m in a.metrics) for a, b in shared)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _get(result: Result, path: str) -> object:
    first, second = path.split(".")
    part = getattr(result, first)
    return part.get(second) if isinstance(part, dict) else getattr(part, second)


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text[:120]
