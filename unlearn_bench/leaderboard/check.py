"""The regression gate: is a checkpoint worse than the one before, and could we have seen it?

Per metric a verdict:
    regress        the drop is beyond the margin, and noise does not explain it (one-sided p <= alpha, Holm over
                   metrics); or the value is undefined, or beyond the floor
    pass           not worse by more than the margin: the interval of the difference excludes it (non-inferiority)
    inconclusive   neither: too few questions to tell; the report says how many would
    info           shown, not judged
Before that, unlike is refused (other rows, scorers, settings), and a result of the same weights, versions and greedy
settings must have the same outputs: any difference is drift of the environment, not of the model.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from unlearn_bench import stats
from unlearn_bench.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE, UserError
from unlearn_bench.leaderboard import _checks, _paired, _versus
from unlearn_bench.leaderboard._metric_info import info
from unlearn_bench.leaderboard._subject import Subject, distinct, metric_difference, task_differences
from unlearn_bench.leaderboard.gate import Gate, MetricGate, margin_of
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import MetricValue, TaskResult

SHOWN_FLIPS = 10
# Counted in every task, and mirrored by the scores: judging them by default would only cost power.
_NOT_BY_DEFAULT = frozenset({"empty", "degenerate", "nli_contradiction", "coverage"})


@dataclass(frozen=True)
class MetricVerdict:
    """One metric, judged.

    Attributes:
        difference: new - old in worth: negative is worse, also where lower values are better.
        low, high: 95 % interval of the difference.
        p: One-sided p-value of "worse", after Holm.
        detectable: The drop that this comparison would have called a regression with the gate's power; None if none.
        needed: About how many questions would decide, if the true drop is the one that was seen.
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
    p: float | None = None
    method: str | None = None
    n: int | None = None
    units: int | None = None
    detectable: float | None = None
    needed: int | None = None
    flips: list[_versus.Flip] = field(default_factory=list)


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
        """0 pass, 1 regression, 2 the environment drifted."""
        if self.drift is not None and self.gate.drift == "fail":
            return EXIT_USAGE
        failed = self.count("regress") or (self.gate.inconclusive == "fail" and self.count("inconclusive"))
        return EXIT_FAILED if failed else EXIT_OK

    @property
    def verdict(self) -> str:
        """One of "pass", "regression" and "drift"."""
        return {EXIT_OK: "pass", EXIT_FAILED: "regression", EXIT_USAGE: "drift"}[self.exit_code]


def check(candidate: Subject, baseline: Subject, gate: Gate | None = None) -> CheckReport:
    """Judge a candidate against a baseline.

    Raises:
        UserError: if they cannot be compared; says every reason.
    """
    gate = gate or Gate()
    baseline, candidate = distinct([baseline, candidate])
    old, new = baseline.metrics(), candidate.metrics()
    judged = _judged(old, new, gate, baseline)
    _refuse_unlike(candidate, baseline, [key for key in judged if key in old])
    notes = _notes(candidate, baseline)
    pairs = _versus.pairs_by_task(baseline, candidate)
    drift, identical = _drift(candidate, baseline)
    compared = {key: _compare(key, old, new, pairs) for key in judged}
    alpha = gate.alpha / max(1, sum(c is not None and c.p_worse is not None for c in compared.values()))
    adjusted = _holm(compared)
    verdicts = []
    for key in sorted(old.keys() | new.keys()):
        if key in judged:
            verdict = _judge(key, old.get(key), new.get(key), compared[key], adjusted.get(key), gate, alpha)
            task, _, metric = key.partition("/")
            found = _versus.flips(pairs.get(task, ()), metric, higher_is_better=verdict.higher_is_better is not False)
            verdicts.append(replace(verdict, flips=found))
        elif key in old and key in new:
            verdicts.append(_info(key, old[key], new[key]))
    return CheckReport(candidate.name, baseline.name, verdicts, drift, identical, notes, gate)


def _judged(old: dict, new: dict, gate: Gate, baseline: Subject) -> list[str]:
    """The keys to judge: what the gate names; else what the board shows; else everything with a direction."""
    every = old.keys() | new.keys()
    unused = gate.unused(every)
    if unused:
        raise did_you_mean("metric in the gate", unused[0], every)
    named = [key for key in every if gate.rule(key) is not gate.default]
    if gate.metrics and "default" not in gate.model_fields_set:
        keys = named
    else:
        shown = {m.key for m in baseline.board.metrics} if baseline.board else None
        keys = named + [key for key in every if key not in named and _by_default(key, old, new, shown)]
    keys = sorted(key for key in keys if not gate.rule(key).ignore)
    if not keys:
        raise UserError("nothing to judge: the results share no metric that has a direction")
    missing = [key for key in keys if key in old and key not in new and gate.rule(key).required]
    if missing:
        raise UserError(
            f"the candidate lacks {len(missing)} metrics of the baseline: {', '.join(missing[:5])}",
            hint="run the same tasks, or set required: false for them in the gate",
        )
    return keys


def _by_default(key: str, old: dict, new: dict, shown: set[str] | None) -> bool:
    if key not in old or old[key].higher_is_better is None or old[key].n == 0:
        return False
    if shown is not None:
        return key in shown and key in new
    return key.partition("/")[2] not in _NOT_BY_DEFAULT


def _refuse_unlike(candidate: Subject, baseline: Subject, keys: Iterable[str]) -> None:
    reasons = []
    for key in sorted(keys):
        task, _, metric = key.partition("/")
        old, new = baseline.result.tasks.get(task), candidate.result.tasks.get(task)
        if old is not None and new is not None:
            reasons += [f"{task}: {reason}" for reason in task_differences(old, new)]
            own = metric_difference(old, new, metric)
            reasons += [f"{key}: {own}"] if own else []
    reasons = list(dict.fromkeys(reasons))
    if reasons:
        raise UserError(f"{candidate.name} and {baseline.name} cannot be compared", hint="\n  ".join(reasons[:30]))


def _notes(candidate: Subject, baseline: Subject) -> list[str]:
    notes = []
    for subject in (baseline, candidate):
        if subject.samples is None:
            notes.append(f"no samples of {subject.name}: intervals are compared instead of questions, with less power")
        if subject.result.run.get("limit"):
            notes.append(f"{subject.name} was limited to {subject.result.run['limit']} questions a task")
        notes += [f"{subject.name}: {note}" for note in subject.result.notes]
    old, new = baseline.result.harness, candidate.result.harness
    for what in ("version", "lm_eval", "transformers", "torch"):
        if getattr(old, what) != getattr(new, what):
            notes.append(f"{what}: {getattr(old, what)} then, {getattr(new, what)} now")
    return notes


def _compare(key: str, old: dict, new: dict, pairs: dict) -> _paired.Comparison | None:
    a, b = old.get(key), new.get(key)
    if a is None or b is None or a.value is None or b.value is None:
        return None
    task, _, metric = key.partition("/")
    return _versus.versus(a, b, metric, pairs.get(task))


def _holm(compared: dict[str, _paired.Comparison | None]) -> dict[str, float]:
    tested = {k: c.p_worse for k, c in compared.items() if c is not None and c.p_worse is not None}
    return dict(zip(tested, stats.holm(list(tested.values())), strict=True))


def _judge(
    key: str,
    old: MetricValue | None,
    new: MetricValue | None,
    compared: _paired.Comparison | None,
    p: float | None,
    gate: Gate,
    alpha: float,
) -> MetricVerdict:
    rule = gate.rule(key)
    better = (new or old).higher_is_better is not False
    common = {
        "key": key,
        "old": old.value if old else None,
        "new": new.value if new else None,
        "higher_is_better": better,
        "floor": rule.floor,
    }
    broken = _broken(old, new, rule, better)
    if compared is None:
        verdict, reason = broken or ("info", "no value to compare with")
        return MetricVerdict(**common, verdict=verdict, reason=reason)
    margin = margin_of(rule, old.value, info(key.partition("/")[2]).bounds)
    verdict, reason = broken or _against_margin(compared, p, margin, gate.alpha)
    return MetricVerdict(
        **common,
        verdict=verdict,
        reason=reason,
        difference=compared.difference,
        low=compared.low,
        high=compared.high,
        margin=margin,
        p=p,
        method=compared.method,
        n=compared.n,
        units=compared.units,
        detectable=_paired.detectable(compared, alpha, gate.power, margin),
        needed=_paired.needed(compared, margin, alpha, gate.power),
    )


def _broken(old: MetricValue | None, new: MetricValue | None, rule: MetricGate, better: bool) -> tuple[str, str] | None:
    """Regressions that need no statistics: a value that is gone, or beyond the floor."""
    if new is None:
        return None
    if new.value is None:
        was = old is not None and old.value is not None
        return ("regress", "no sample could be scored any more") if was or rule.floor is not None else None
    if rule.floor is None:
        return None
    held = new.value
    if rule.floor_on == "interval" and new.ci95 is not None:
        held = new.ci95[0 if better else 1]
    if (held < rule.floor) if better else (held > rule.floor):
        what = "value" if held == new.value else "end of the interval"
        return "regress", f"the {what} {held:.4g} is beyond the floor of {rule.floor:g}"
    return None


def _against_margin(c: _paired.Comparison, p: float | None, margin: float, alpha: float) -> tuple[str, str]:
    drop = -c.difference
    if p is None:
        if drop > margin:
            return "regress", f"dropped by {drop:.4g}, beyond the margin of {margin:g} (no interval known)"
        return "pass", f"within the margin of {margin:g} (no interval known)"
    if drop > margin and p <= alpha:
        return "regress", f"dropped by {drop:.4g}, beyond the margin of {margin:g}, and noise does not explain it"
    if c.low is not None and c.low >= -margin:
        return "pass", f"not worse by more than {margin:g}"
    if drop > margin:
        return "inconclusive", f"dropped by {drop:.4g}, beyond the margin of {margin:g}, but noise may explain it"
    return "inconclusive", f"a drop of {margin:g} cannot be excluded"


def _info(key: str, old: MetricValue, new: MetricValue) -> MetricVerdict:
    better = new.higher_is_better
    return MetricVerdict(key, "info", "not judged", old.value, new.value, higher_is_better=better)


def _drift(candidate: Subject, baseline: Subject) -> tuple[Drift | None, bool]:
    """Whether two results of one model in one environment differ; (None, False) where they need not be equal."""
    if not _same_subject(candidate, baseline):
        return None, False
    pairs = [pair for found in _versus.pairs_by_task(baseline, candidate).values() for pair in found]
    old, new = baseline.result, candidate.result
    platforms = (old.harness.platform, new.harness.platform)
    if not pairs:
        same = {k: (m.value, m.n) for k, m in baseline.metrics().items()}
        other = {k: (m.value, m.n) for k, m in candidate.metrics().items()}
        changed = len(_checks.different_keys(same, other))
        return (Drift(len(same), changed, [], platforms), False) if changed else (None, True)
    changed = [_versus.Flip(a.id, a.question, a.reference, a.response, b.response, 0, 0, better=False)
               for a, b in pairs if (a.response, a.scores) != (b.response, b.scores)]  # fmt: skip
    if changed:
        return Drift(len(pairs), len(changed), changed[:SHOWN_FLIPS], platforms), False
    return None, True


def _same_subject(candidate: Subject, baseline: Subject) -> bool:
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
