"""The regression gate: is a checkpoint worse than the one before, and could we have seen it?

Per metric a verdict:
    regress        the change for the worse is beyond the margin, and noise does not explain it (one-sided p <= alpha,
                   adjusted for all metrics that are judged); or the value is gone, or beyond floor or ceiling
    pass           not worse by more than the margin: the interval of the difference excludes it (non-inferiority)
    inconclusive   neither: too few questions to tell; the report says how many would
    undecided      a change too large to be let pass that no test can call a regression, or no value to compare with
    info           shown, not judged
Before that, unlike is refused (other rows, scorers, settings), numbers must follow from their samples, and a result of
the same weights, versions and greedy settings must have the same outputs: any difference is drift of the environment.

An answer that could not be scored counts as the worst, on both sides, where the scored share fell by more than two
points of a hundred; a metric that has no worst value is then undecided.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from unlearn_bench.comparison import _follows, _plan, _versus
from unlearn_bench.comparison._direction import direction
from unlearn_bench.comparison._verdict import INCONCLUSIVE, INFO, REGRESS, UNDECIDED, MetricVerdict, Question, judge
from unlearn_bench.comparison.gate import Gate
from unlearn_bench.comparison.loaded import LoadedResult, distinct, metric_difference, task_differences
from unlearn_bench.errors import EXIT_FAILED, EXIT_OK, EXIT_UNDECIDED, EXIT_USAGE
from unlearn_bench.results.identity import different_keys
from unlearn_bench.schema import MetricValue, TaskResult
from unlearn_bench.stats import paired
from unlearn_bench.stats.multiplicity import LABEL_WEIGHT, Member, adjust

SHOWN_FLIPS = 10

__all__ = ["SHOWN_FLIPS", "CheckReport", "Drift", "MetricVerdict", "check"]


@dataclass(frozen=True)
class Drift:
    """Outputs of the same model that differ: what was equal, how many answers changed, and the first of them."""

    compared: int
    changed: int
    examples: list[_versus.Flip]
    platforms: tuple[str, str]


@dataclass(frozen=True)
class CheckReport:
    """The gate's answer; `identical` says that the same model gave the same outputs."""

    candidate: str
    baseline: str
    metrics: list[MetricVerdict]
    drift: Drift | None
    identical: bool
    notes: list[str]
    gate: Gate

    def count(self, verdict: str) -> int:
        """Metrics with that verdict."""
        return sum(m.verdict == verdict for m in self.metrics)

    @property
    def exit_code(self) -> int:
        """0 pass, 1 regression, 2 the environment drifted, 3 undecided."""
        if self.drift is not None and self.gate.drift == "fail":
            return EXIT_USAGE
        undecided = self.count(UNDECIDED)
        if (
            self.count(REGRESS)
            or (self.gate.inconclusive == "fail" and self.count(INCONCLUSIVE))
            or (self.gate.undecided == "fail" and undecided)
        ):
            return EXIT_FAILED
        return EXIT_UNDECIDED if undecided and self.gate.undecided is None else EXIT_OK

    @property
    def verdict(self) -> str:
        """One of "pass", "regression", "drift" and "undecided"."""
        names = {EXIT_OK: "pass", EXIT_FAILED: "regression", EXIT_USAGE: "drift", EXIT_UNDECIDED: "undecided"}
        return names[self.exit_code]


def check(
    candidate: LoadedResult,
    baseline: LoadedResult,
    gate: Gate | None = None,
    *,
    allow_no_samples: bool = False,
    allow_partial: bool = False,
) -> CheckReport:
    """Judge a candidate against a baseline.

    Args:
        candidate: The result to judge.
        baseline: What it is held against.
        gate: The rules; the default gate if None.
        allow_no_samples: Take the numbers of a result without samples as they are.
        allow_partial: Judge a model of which tensors were missing.

    Raises:
        UserError: if they cannot be compared, or do not follow from their samples; says every reason.
    """
    gate = gate or Gate()
    baseline, candidate = distinct([baseline, candidate])
    judged = _plan.judged(baseline, candidate, gate)
    tasks = {key.partition("/")[0] for key in judged}
    for subject, option in ((baseline, "--baseline-samples"), (candidate, "--samples")):
        if not allow_no_samples:
            _follows.require_samples(subject, option)
        if not allow_partial:
            _follows.require_whole(subject)
    _plan.require_alike(baseline, candidate, judged)
    for subject in (baseline, candidate):
        _follows.require(subject)
    _follows.require_same_rows(baseline, candidate, tasks)
    pairs = _versus.pairs_by_task(baseline, candidate)
    drift, identical = _drift(candidate, baseline)
    verdicts = _verdicts(baseline, candidate, judged, pairs, gate)
    verdicts += _infos(baseline, candidate, judged)
    notes = _notes(candidate, baseline, gate)
    verdicts.sort(key=lambda m: m.key)
    return CheckReport(candidate.name, baseline.name, verdicts, drift, identical, notes, gate)


def _verdicts(
    baseline: LoadedResult,
    candidate: LoadedResult,
    judged: Mapping[str, bool],
    pairs: Mapping[str, _versus.Pairs],
    gate: Gate,
) -> list[MetricVerdict]:
    old, new = baseline.metrics(), candidate.metrics()
    compared = {key: _compare(key, old[key], new[key], pairs, better=better) for key, better in judged.items()}
    tested = {key: c for key, c in compared.items() if c is not None and c.p_worse is not None}
    weights = {key: LABEL_WEIGHT if c.labels else 1.0 for key, c in tested.items()}
    alphas = {key: gate.alpha * weight / sum(weights.values()) for key, weight in weights.items()}
    tested = {key: paired.resolved(c, alphas[key]) for key, c in tested.items()}
    adjusted = adjust({key: Member(c.p_worse, weights[key], c.swaps) for key, c in tested.items()})
    found = []
    for key, better in judged.items():
        asked = Question(key, old[key], new[key], better, tested.get(key, compared[key]), alphas.get(key, gate.alpha))
        task, _, metric = key.partition("/")
        flips = _versus.flips(pairs.get(task, ()), metric, higher_is_better=better)
        found.append(replace(judge(asked, gate, adjusted.get(key)), flips=flips))
    return found


def _compare(
    key: str, old: MetricValue, new: MetricValue, pairs: Mapping[str, _versus.Pairs], *, better: bool
) -> paired.Comparison | None:
    """The comparison; None where a value is missing, or what became unscored has no worst value."""
    if old.value is None or new.value is None:
        return None
    task, _, metric = key.partition("/")
    fill = None
    if _versus.became_unscored(old, new):
        fill = _versus.worst_value(metric, better=better)
        if fill is None:
            return None
    return _versus.versus(old, new, metric, pairs.get(task), better=better, fill=fill)


def _infos(baseline: LoadedResult, candidate: LoadedResult, judged: Mapping[str, bool]) -> list[MetricVerdict]:
    old, new = baseline.metrics(), candidate.metrics()
    return [
        MetricVerdict(key, INFO, "not judged", old[key].value, new[key].value, direction(baseline.result, key))
        for key in old.keys() & new.keys()
        if key not in judged
    ]


def _notes(candidate: LoadedResult, baseline: LoadedResult, gate: Gate) -> list[str]:
    notes = []
    for subject in (baseline, candidate):
        notes += _follows.taken_on_trust(subject)
        if subject.result.run.get("limit"):
            notes.append(f"{subject.name} was limited to {subject.result.run['limit']} questions a task")
        notes += [f"{subject.name}: {note}" for note in subject.result.notes]
    if not gate.only_named:
        unknown = [key for key in _plan.undirected(baseline, candidate) if not gate.names(key)]
        notes += [f"{key} is not judged: nobody says which way is better (direction: in the gate)" for key in unknown]
        new_ones = sorted(candidate.metrics().keys() - baseline.metrics().keys())
        if new_ones:
            notes.append(f"not judged, as {baseline.name} lacks them: {', '.join(new_ones[:SHOWN_FLIPS])}")
    old, new = baseline.result.harness, candidate.result.harness
    for what in ("version", "lm_eval", "transformers", "torch"):
        if getattr(old, what) != getattr(new, what):
            notes.append(f"{what}: {getattr(old, what)} then, {getattr(new, what)} now")
    return notes


def _drift(candidate: LoadedResult, baseline: LoadedResult) -> tuple[Drift | None, bool]:
    """Whether two results of one model in one environment differ; (None, False) where they need not be equal."""
    if not _same_subject(candidate, baseline):
        return None, False
    pairs = [pair for found in _versus.pairs_by_task(baseline, candidate).values() for pair in found]
    old, new = baseline.result, candidate.result
    platforms = (old.harness.platform, new.harness.platform)
    if not pairs:
        same = {k: (m.value, m.n) for k, m in baseline.metrics().items()}
        other = {k: (m.value, m.n) for k, m in candidate.metrics().items()}
        changed = len(different_keys(same, other))
        return (Drift(len(same), changed, [], platforms), False) if changed else (None, True)
    changed = [_versus.Flip(a.id, a.question, a.reference, a.response, b.response, 0, 0, better=False)
               for a, b in pairs if (a.response, a.scores) != (b.response, b.scores)]  # fmt: skip
    if changed:
        return Drift(len(pairs), len(changed), changed[:SHOWN_FLIPS], platforms), False
    return None, True


def _same_subject(candidate: LoadedResult, baseline: LoadedResult) -> bool:
    old, new = baseline.result, candidate.result
    if old.model.weights_sha256 is None:
        return False
    model = ("weights_sha256", "adapter_sha256", "config_sha256", "tokenizer_sha256", "chat_template_sha256", "dtype")
    code = ("code_sha256", "lm_eval", "transformers", "torch", "python")
    run = ("batch_size", "device", "dtype", "seed", "backend", "model_args", "prompt", "first_answer")
    return (
        all(getattr(old.model, f) == getattr(new.model, f) for f in model)
        and all(getattr(old.harness, f) == getattr(new.harness, f) for f in code)
        and all(old.run.get(f) == new.run.get(f) for f in run)
        and all(_same_task(old.tasks[t], new.tasks[t]) for t in old.tasks.keys() & new.tasks.keys())
    )


def _same_task(old: TaskResult, new: TaskResult) -> bool:
    greedy = not old.generation.get("do_sample") and not old.generation.get("temperature")
    same_scorers = not any(metric_difference(old, new, metric) for metric in old.metrics)
    asked_alike = old.generation == new.generation and old.prompt == new.prompt and not task_differences(old, new)
    return greedy and asked_alike and same_scorers
