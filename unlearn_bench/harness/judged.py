"""What a result says of its judges: who, how often right, what it took; and numbers without their error.

A judge's share (forgotten, retained, fluent, relevant) is corrected by its error on the planted cases (Rogan-Gladen
with the interval of Lang and Reiczigel, `stats.correction`). Real answers may be harder than planted ones: a
calibration by a person's labels, where there is one, takes the place of this correction.
"""

from collections.abc import Mapping, Sequence

from unlearn_bench.evidence.gather import JUDGES
from unlearn_bench.evidence.pipeline import clusters_of, sample_value
from unlearn_bench.hashing import sha256_file
from unlearn_bench.results import samples_of
from unlearn_bench.schema import CorrectedValue, MetricValue, Result, Sample
from unlearn_bench.schema_judges import Coefficient, Controls, JudgeAgreement
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import Parts
from unlearn_bench.stats.agreement import Agreement, krippendorff_alpha, weighted_kappa
from unlearn_bench.stats.correction import Confusion, rogan_gladen
from unlearn_bench.stats.intervals import effective_size

# judge -> the score made without it that decides the same, how many ordered categories both are read in
_LIKE = {"judge_forget": "kfr", "judge_retain": "krr", "judge_fluency": "fluency"}
_DECIDED = {"kfr": (2, 0), "krr": (0, 2)}  # ranks (no, partly, yes: is it known?) of the scores 0 and 1


def tell_judges(result: Result, samples: Sequence[Sample], parts: Mapping[str, Parts]) -> None:
    """Put into a result what is known of its judges; nothing where there are none.

    Args:
        result: With its tasks.
        samples: All of its samples.
        parts: Task to the parts that scored it.
    """
    for name, task in ((name, result.tasks[name]) for name in parts if name in result.tasks):
        own = samples_of(name, result, samples)
        for need, judge in JUDGES.items():
            part = getattr(getattr(parts[name], need), "part", None)
            share = next(m.name for m in SCORERS.get(need).metrics if m.kind == "proportion")
            if part is None or share not in task.metrics:
                continue
            result.judges[judge] = part.info()
            _correct(task.metrics[share], share, own, part.controls)
            agreement = _agreement(name, need, own)
            result.judge_agreement += [agreement] if agreement else []
            path = part.source.kept.path
            result.verdicts_sha256 = sha256_file(path) if path is not None and path.is_file() else None


def _correct(value: MetricValue, metric: str, samples: Sequence[Sample], controls: Controls) -> None:
    """The share without the judge's error on planted cases, where they say enough."""
    scored = [sample for sample in samples if sample_value(sample, metric) is not None]
    if value.value is None:
        return
    counts = Confusion(controls.hits, controls.misses, controls.false_alarms, controls.rejections)
    n = effective_size([float(sample_value(s, metric) or 0.0) for s in scored], clusters_of(scored))
    found = rogan_gladen(value.value, n, counts)
    if found is not None:
        value.corrected = CorrectedValue(
            value=found.value,
            ci95=(found.interval.low, found.interval.high),
            ci_method=found.interval.method,
            labels=found.labels,
            labels_sha256=controls.sha256,
            basis=f"the {controls.cases} planted cases of the judge (of the counted verdict {counts.hits} of "
            f"{counts.hits + counts.misses} right, of others {counts.rejections} of "
            f"{counts.rejections + counts.false_alarms}); real answers may be harder",
        )


def _agreement(task: str, need: str, samples: Sequence[Sample]) -> JudgeAgreement | None:
    """How far a judge and the score that decides the same agree; None where nothing does, or one of them never varies.

    KFR and KRR are ranked as the judge's verdicts are (not known 0, known 2); fluency in [0, 1] as five equal steps.
    """
    score = _LIKE.get(need)
    if score is None:
        return None
    pairs = [(judged, made, s) for s in samples if None not in (judged := _rank(s, need), made := _made(s, score))]
    judged, made = [p[0] for p in pairs], [p[1] for p in pairs]
    clusters = clusters_of([p[2] for p in pairs]) if pairs else None
    alpha = krippendorff_alpha(judged, made, clusters=clusters)
    kappa = weighted_kappa(judged, made, 3 if score in _DECIDED else 5, clusters=clusters)
    if alpha is None or kappa is None:
        return None
    return JudgeAgreement(
        task=task,
        judge=JUDGES[need],
        score=score,
        alpha=_value(alpha, len(pairs)),
        kappa=_value(kappa, len(pairs)),
    )


def _rank(sample: Sample, need: str) -> int | None:
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
