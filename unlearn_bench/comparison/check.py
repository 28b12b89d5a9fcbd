"""The regression gate: is a checkpoint worse than the one before, and could we have seen it?

Per metric a verdict:
    regress        the change for the worse exceeds the margin, and noise does not explain it (one-sided p <= alpha,
                   adjusted for all metrics that are judged); or the value is missing, or outside floor or ceiling
    pass           not worse by more than the margin: the interval of the difference excludes it (non-inferiority)
    inconclusive   neither: too few questions to decide; the report says how many would suffice
    undecided      a change too large to be let pass that no test can call a regression, or no value to compare with
    info           shown, not judged
Before that, unlike is refused (other rows, scorers, settings), numbers must follow from their samples, and a result of
the same weights, versions and greedy settings must have the same outputs: any difference is drift of the environment.

An answer that could not be scored counts as the worst, on both sides, where the scored share fell by more than two
points of a hundred; a metric that has no worst value is then undecided.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from unlearn_bench.comparison import _drift, _family, _plan, _under_stress, _versus, follows
from unlearn_bench.comparison._direction import direction
from unlearn_bench.comparison._drift import Drift
from unlearn_bench.comparison._verdict import INCONCLUSIVE, INFO, REGRESS, UNDECIDED, MetricVerdict, judge
from unlearn_bench.comparison.gate import Gate
from unlearn_bench.comparison.loaded import LoadedResult, distinct
from unlearn_bench.comparison.question_sets import in_one_vocabulary, renamed_gate
from unlearn_bench.errors import EXIT_FAILED, EXIT_OK, EXIT_UNDECIDED, EXIT_USAGE
from unlearn_bench.schema import CANNOT_READ

SHOWN_FLIPS = 10

__all__ = ["SHOWN_FLIPS", "CheckReport", "Drift", "MetricVerdict", "check"]


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
    baseline, candidate = in_one_vocabulary(distinct([baseline, candidate]), gate.metrics)
    gate, renamed = renamed_gate(gate, baseline.metrics().keys() | candidate.metrics().keys())
    judged = _plan.judged(baseline, candidate, gate)
    follows.require_comparable(
        baseline, candidate, judged, allow_no_samples=allow_no_samples, allow_partial=allow_partial
    )
    pairs = _versus.pairs_by_task(baseline, candidate)
    questions = _family.questions(baseline, candidate, judged, pairs, gate.alpha)
    verdicts = [judge(question, gate) for question in questions] + _infos(baseline, candidate, judged)
    verdicts += _under_stress.judged(candidate.result.stress, gate)
    drift, identical = _drift.find_drift(baseline, candidate, pairs)
    return CheckReport(
        candidate=candidate.name,
        baseline=baseline.name,
        metrics=sorted(verdicts, key=lambda verdict: verdict.key),
        drift=drift,
        identical=identical,
        notes=[*renamed, *_notes(candidate, baseline, gate)],
        gate=gate,
    )


def _infos(baseline: LoadedResult, candidate: LoadedResult, judged: Mapping[str, bool]) -> list[MetricVerdict]:
    old, new = baseline.metrics(), candidate.metrics()
    return [
        MetricVerdict(key, INFO, "not judged", old[key].value, new[key].value, direction(baseline.result, key))
        for key in old.keys() & new.keys()
        if key not in judged
    ]


def _corrected(subject: LoadedResult) -> list[str]:
    """Shares without the judge's error, and why others are not corrected; they are shown, not judged."""
    lines = []
    for key, value in subject.metrics().items():
        if found := value.corrected:
            low, high = found.ci95
            told = f"without the judge's error {found.value:.4f} ({low:.4f} .. {high:.4f}; {found.basis})"
            lines.append(f"{subject.name}: {key} {told}")
        elif value.not_corrected:
            lines.append(f"{subject.name}: {key} is not corrected: {value.not_corrected}")
    return lines


def _notes(candidate: LoadedResult, baseline: LoadedResult, gate: Gate) -> list[str]:
    notes = []
    for subject in (baseline, candidate):
        notes += follows.taken_on_trust(subject)
        if subject.result.run.get("limit"):
            notes.append(f"{subject.name} was limited to {subject.result.run['limit']} questions a task")
        notes += [f"{subject.name}: {note}" for note in subject.result.notes]
        notes += _corrected(subject)
    if not gate.only_named:
        unknown = [key for key in _plan.undirected(baseline, candidate) if not gate.names(key)]
        notes += [
            f"{key} is not judged: the better direction is unknown (set direction: in the gate)" for key in unknown
        ]
        new_ones = sorted(candidate.metrics().keys() - baseline.metrics().keys())
        if new_ones:
            notes.append(f"not judged, as {baseline.name} lacks them: {', '.join(new_ones[:SHOWN_FLIPS])}")
    notes += [
        f"{key} is not judged: the perplexity model cannot read this text ({CANNOT_READ})"
        for key in _plan.unreadable(baseline, candidate)
        if not gate.names(key)
    ]
    old, new = baseline.result.harness, candidate.result.harness
    for what in ("version", "lm_eval", "transformers", "torch"):
        if getattr(old, what) != getattr(new, what):
            notes.append(f"{what}: {getattr(old, what)} then, {getattr(new, what)} now")
    return notes
