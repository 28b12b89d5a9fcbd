"""Did the same model, in the same environment and with greedy settings, give the same outputs?"""

from collections.abc import Mapping
from dataclasses import dataclass

from unlearn_bench.comparison._versus import Flip, Pairs
from unlearn_bench.comparison.loaded import LoadedResult, metric_difference, task_differences
from unlearn_bench.results.identity import different_keys
from unlearn_bench.schema import TaskResult

SHOWN = 10
_MODEL = ("weights_sha256", "adapter_sha256", "config_sha256", "tokenizer_sha256", "chat_template_sha256", "dtype")
_CODE = ("code_sha256", "lm_eval", "transformers", "torch", "python")
_RUN = ("batch_size", "device", "dtype", "seed", "backend", "model_args", "prompt", "first_answer")


@dataclass(frozen=True)
class Drift:
    """Outputs of the same model that differ: what was equal, how many answers changed, and the first of them."""

    compared: int
    changed: int
    examples: list[Flip]
    platforms: tuple[str, str]


def find_drift(
    baseline: LoadedResult, candidate: LoadedResult, pairs: Mapping[str, Pairs]
) -> tuple[Drift | None, bool]:
    """How the outputs of one model differ, and whether they are identical; (None, False) where they need not be."""
    if not _same_model(baseline, candidate):
        return None, False
    platforms = (baseline.result.harness.platform, candidate.result.harness.platform)
    every = [pair for found in pairs.values() for pair in found]
    if not every:
        same = {k: (m.value, m.n) for k, m in baseline.metrics().items()}
        other = {k: (m.value, m.n) for k, m in candidate.metrics().items()}
        changed = len(different_keys(same, other))
        return (Drift(len(same), changed, [], platforms), False) if changed else (None, True)
    changed = [Flip(a.id, a.question, a.reference, a.response, b.response, 0, 0, better=False)
               for a, b in every if (a.response, a.scores) != (b.response, b.scores)]  # fmt: skip
    return (Drift(len(every), len(changed), changed[:SHOWN], platforms), False) if changed else (None, True)


def _same_model(baseline: LoadedResult, candidate: LoadedResult) -> bool:
    old, new = baseline.result, candidate.result
    return (
        old.model.weights_sha256 is not None
        and all(getattr(old.model, f) == getattr(new.model, f) for f in _MODEL)
        and all(getattr(old.harness, f) == getattr(new.harness, f) for f in _CODE)
        and all(old.run.get(f) == new.run.get(f) for f in _RUN)
        and all(_same_task(old.tasks[t], new.tasks[t]) for t in old.tasks.keys() & new.tasks.keys())
    )


def _same_task(old: TaskResult, new: TaskResult) -> bool:
    greedy = not old.generation.get("do_sample") and not old.generation.get("temperature")
    same_scorers = not any(metric_difference(old, new, metric) for metric in old.metrics)
    asked_alike = old.generation == new.generation and old.prompt == new.prompt and not task_differences(old, new)
    return greedy and asked_alike and same_scorers
