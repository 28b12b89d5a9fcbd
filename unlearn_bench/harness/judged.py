"""What a result says of its judges: who, how often right, what it took; and numbers without their error.

A judge's share (forgotten, retained, fluent, relevant) is corrected by its error on the planted cases (Rogan-Gladen
with the interval of Lang and Reiczigel, `stats.correction`). Real answers may be harder than planted ones: a
calibration by a person's labels, where there is one, takes the place of this correction. KFR and KRR are corrected so
where agreement is a judge's (`evidence.agreement_llm`).
"""

from collections.abc import Mapping, Sequence

from unlearn_bench.evidence.gather import JUDGES
from unlearn_bench.evidence.pipeline import clusters_of, sample_value
from unlearn_bench.hashing import sha256_file
from unlearn_bench.judges.judge import Judge
from unlearn_bench.results import samples_of
from unlearn_bench.schema import CorrectedValue, MetricValue, Result, Sample, TaskResult
from unlearn_bench.schema_judges import Coefficient, Controls, JudgeAgreement
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import Need, Parts
from unlearn_bench.stats.agreement import Agreement, krippendorff_alpha, weighted_kappa
from unlearn_bench.stats.correction import Confusion, rogan_gladen
from unlearn_bench.stats.intervals import effective_size

# judge -> the score made without it that decides the same, how many ordered categories both are read in
_LIKE: Mapping[Need, str] = {"judge_forget": "kfr", "judge_retain": "krr", "judge_fluency": "fluency"}
_DECIDED = {"kfr": (2, 0), "krr": (0, 2)}  # ranks (no, partly, yes: is it known?) of the scores 0 and 1


def tell_judges(result: Result, samples: Sequence[Sample], parts: Mapping[str, Parts]) -> None:
    """Put into a result what is known of its judges; nothing where there are none.

    Args:
        result: With its tasks.
        samples: All of its samples.
        parts: Task to the parts that scored it.
    """
    asked: list[Judge] = []
    for name, task in ((name, result.tasks[name]) for name in parts if name in result.tasks):
        own = samples_of(name, result, samples)
        for metric, (judge, counts) in _judged(task, parts[name]).items():
            result.judges[judge.kind] = judge.info()
            _correct(task.metrics[metric], metric, own, judge.controls, counts)
            asked.append(judge)
        for need in _needs(task):
            agreement = _agreement(name, need, own, task)
            result.judge_agreement += [agreement] if agreement else []
    for judge in asked:
        path = judge.source.kept.path
        result.verdicts_sha256 = sha256_file(path) if path is not None and path.is_file() else None
        judge.restart()
    if any(judge.source.kept.path is None for judge in asked):
        result.notes.append("the judges' replies are not kept; --output DIR or --judge-cache FILE keeps them")


def _judged(task: TaskResult, parts: Parts) -> dict[str, tuple[Judge, Confusion]]:
    """The shares that a judge made: metric to the judge, and to its counts with the metric's 1 as positive."""
    found = {}
    for need in _needs(task):
        judge = getattr(getattr(parts, need), "part", None)
        if judge is not None:
            found[_share(need)] = (judge, _counts(judge.controls))
    judge = getattr(getattr(parts.agreement, "part", None), "judge", None)
    if judge is not None:  # KFR's 1 is the verdict "no", which the planted cases count; KRR's 1 is any other
        forgotten = _counts(judge.controls)
        for metric, counts in (("kfr", forgotten), ("krr", Confusion(*forgotten[::-1]))):
            if metric in task.metrics and task.scorer.options.get(f"{metric}_rule", "auto") in ("auto", "agreement"):
                found[metric] = (judge, counts)
    return found


def _needs(task: TaskResult) -> list[Need]:
    return [need for need in JUDGES if _share(need) in task.metrics]


def _share(need: Need) -> str:
    return next(m.name for m in SCORERS.get(need).metrics if m.kind == "proportion")


def _counts(controls: Controls) -> Confusion:
    return Confusion(controls.hits, controls.misses, controls.false_alarms, controls.rejections)


def _correct(value: MetricValue, metric: str, samples: Sequence[Sample], controls: Controls, counts: Confusion) -> None:
    """The share without the judge's error on planted cases, where they say enough."""
    scored = [sample for sample in samples if sample_value(sample, metric) is not None]
    if value.value is None:
        return
    n = effective_size([float(sample_value(s, metric) or 0.0) for s in scored], clusters_of(scored))
    found = rogan_gladen(value.value, n, counts)
    value.corrected = value.not_corrected = None
    if found is None:
        value.not_corrected = f"the {controls.cases} planted cases say too little of this judge"
        return
    value.corrected = CorrectedValue(
        value=found.value,
        ci95=(found.interval.low, found.interval.high),
        ci_method=found.interval.method,
        labels=found.labels,
        labels_sha256=controls.sha256,
        basis=f"the {controls.cases} planted cases of the judge (where it holds {counts.hits:.0f} of "
        f"{counts.hits + counts.misses:.0f} right, elsewhere {counts.rejections:.0f} of "
        f"{counts.rejections + counts.false_alarms:.0f}); real answers may be harder",
    )


def _agreement(name: str, need: Need, samples: Sequence[Sample], task: TaskResult) -> JudgeAgreement | None:
    """How far a judge and the score that decides the same agree; None where nothing does, or neither ever varies.

    KFR and KRR are ranked as the judge's verdicts are (not known 0, known 2); fluency in [0, 1] as five equal steps.
    KFR and KRR by a language model's agreement are no other score.
    """
    score = _LIKE.get(need)
    if score is None or (score in _DECIDED and task.scorer.parts.get("agreement", "").startswith("llm:")):
        return None
    pairs = [(judged, made, s) for s in samples if None not in (judged := _rank(s, need), made := _made(s, score))]
    judged, made = [p[0] for p in pairs], [p[1] for p in pairs]
    clusters = clusters_of([p[2] for p in pairs]) if pairs else None
    alpha = krippendorff_alpha(judged, made, clusters=clusters)
    kappa = weighted_kappa(judged, made, 3 if score in _DECIDED else 5, clusters=clusters)
    if alpha is None or kappa is None:
        return None
    return JudgeAgreement(
        task=name,
        judge=JUDGES[need],
        score=score,
        alpha=_value(alpha, len(pairs)),
        kappa=_value(kappa, len(pairs)),
    )


def _rank(sample: Sample, need: Need) -> int | None:
    found = (sample.verdicts or {}).get(JUDGES[need])
    if found is None or (need == "judge_fluency" and found.grade is None):
        return None
    return found.grade - 1 if need == "judge_fluency" else ("no", "partly", "yes").index(found.verdict)


def _made(sample: Sample, score: str) -> int | None:
    value = sample_value(sample, score)
    if value is None:
        return None
    return _DECIDED[score][int(value)] if score in _DECIDED else min(4, int(value * 5))


def _value(found: Agreement, n: int) -> Coefficient:
    ends = None if found.interval is None else (found.interval.low, found.interval.high)
    return Coefficient(value=found.value, ci95=ends, n=n)
