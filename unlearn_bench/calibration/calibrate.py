"""From labels to a judge's error, and from a judge's error to corrected numbers."""

from collections.abc import Iterable, Mapping, Sequence

from unlearn_bench.calibration.document import (
    SAYS_KNOWN,
    Calibration,
    JudgeError,
    Known,
    Labels,
    answer_key,
    is_known,
)
from unlearn_bench.calibration.sheet import Stratum, strata
from unlearn_bench.errors import UserError
from unlearn_bench.evidence.pipeline import clusters_of, sample_value
from unlearn_bench.hashing import sha256_json
from unlearn_bench.results import samples_of
from unlearn_bench.schema import CorrectedValue, MetricValue, Result, Sample
from unlearn_bench.stats.correction import Confusion, Corrected, post_stratified, rogan_gladen
from unlearn_bench.stats.intervals import effective_size


def calibrate(
    labels: Mapping[str, Known],
    results: Sequence[tuple[Result, Sequence[Sample]]],
    *,
    reader: str,
    partly: str = "forgotten",
) -> Calibration:
    """Measure KFR's and KRR's verdicts by a person's labels.

    Labels are drawn by verdict (`sheet.draw`), so each counts for the share of its verdict among the answers of its
    task; the counts are scaled to the effective number of labels, (sum w)^2 / sum w^2 (Kish 1965).

    Args:
        labels: Answer key to label.
        results: The results whose answers were labelled, with their samples.
        reader: Who labelled.
        partly: What "partly" counts as: "known" or "forgotten".

    Raises:
        UserError: if no label belongs to an answer of the results, or two results have different judges.
    """
    metrics = {}
    for metric in SAYS_KNOWN:
        weighed = list(_weighed(labels, results, metric, partly))
        if weighed:
            fingerprint = _only_judge(metric, [result for result, _ in results])
            metrics[metric] = _judge_error(weighed, fingerprint)
    if not metrics:
        raise UserError(
            "none of the labels belongs to an answer of the results",
            hint="name the results whose answers were labelled, as they were when the sheet was drawn",
        )
    about = Labels(
        reader=reader,
        sha256=sha256_json(dict(labels)),
        results=sorted({result.fingerprint for result, _ in results}),
        partly=partly,
    )
    return Calibration(labels=about, metrics=metrics, answers=dict(labels))


def correct(result: Result, samples: Sequence[Sample], calibration: Calibration) -> list[str]:
    """Put the corrected value beside each KFR and KRR of a result; the raw one stays as it is.

    Where enough of the result's own answers are labelled, by those labels; else by the judge's error on other answers.

    Returns:
        What could not be corrected, and why, in a line each.
    """
    notes = []
    for name, task in result.tasks.items():
        own = samples_of(name, result, samples)
        for metric in SAYS_KNOWN.keys() & task.metrics.keys():
            error = calibration.metrics.get(metric)
            value = task.metrics[metric]
            if not own:
                notes.append(f"{name}/{metric} is not corrected: its samples are not there")
            elif error is None or value.value is None:
                notes.append(f"{name}/{metric} is not corrected: {'no value' if error else 'no labels of it'}")
            elif task.scorer.metrics.get(metric) != error.fingerprint:
                notes.append(f"{name}/{metric} is not corrected: the calibration is of another judge or other settings")
            elif (found := _corrected(metric, value, own, calibration)) is None:
                notes.append(f"{name}/{metric} is not corrected: the labels say too little of this judge")
            else:
                value.corrected = CorrectedValue(
                    value=found.value,
                    ci95=(found.interval.low, found.interval.high),
                    ci_method=found.interval.method,
                    labels=found.labels,
                    labels_sha256=calibration.labels.sha256,
                )
    return notes


def correct_by(calibration: Calibration | None, result: Result, samples: Sequence[Sample]) -> None:
    """`correct` by a calibration, if there is one; what could not be corrected becomes notes of the result."""
    if calibration is not None:
        result.notes += correct(result, samples, calibration)


LEAST_OWN = 30  # labels of a result's own answers from which they are better than the judge's error on others


def _corrected(
    metric: str, value: MetricValue, samples: Sequence[Sample], calibration: Calibration
) -> Corrected | None:
    scored = [sample for sample in samples if sample_value(sample, metric) is not None]
    verdicts = [sample_value(sample, metric) == 1.0 for sample in scored]
    labels = [_label(calibration, sample, metric) for sample in scored]
    clusters = clusters_of(scored)
    if sum(label is not None for label in labels) >= LEAST_OWN:
        found = post_stratified(verdicts, labels, clusters)
        if found is not None:
            return found
    n = effective_size([float(v) for v in verdicts], clusters)
    return rogan_gladen(value.value, n, calibration.metrics[metric].confusion())


def _label(calibration: Calibration, sample: Sample, metric: str) -> bool | None:
    label = calibration.answers.get(answer_key(sample))
    return None if label is None else is_known(label, calibration.labels.partly) == SAYS_KNOWN[metric]


def _weighed(
    labels: Mapping[str, Known], results: Sequence[tuple[Result, Sequence[Sample]]], metric: str, partly: str
) -> Iterable[tuple[bool, bool, float]]:
    """(truth, verdict, weight) of each labelled answer; positive is what the metric's 1 says."""
    for _, samples in results:
        mine: dict[Stratum, list[Sample]] = {s: rows for s, rows in strata(samples).items() if s[1] == metric}
        for (_, _, known), answers in mine.items():
            chosen = [labels[key] for key in map(answer_key, answers) if key in labels]
            for label in chosen:
                positive = SAYS_KNOWN[metric]
                yield is_known(label, partly) == positive, known == positive, len(answers) / len(chosen)


def _judge_error(weighed: Sequence[tuple[bool, bool, float]], fingerprint: str) -> JudgeError:
    total = sum(weight for _, _, weight in weighed)
    scale = total / sum(weight * weight for _, _, weight in weighed)  # effective number of labels over total weight
    cells = [(True, True), (True, False), (False, True), (False, False)]
    counts = Confusion(*(scale * sum(w for truth, verdict, w in weighed if (truth, verdict) == cell) for cell in cells))
    return JudgeError(fingerprint=fingerprint, answers=len(weighed), **counts._asdict())


def _only_judge(metric: str, results: Iterable[Result]) -> str:
    found = {
        task.scorer.metrics.get(metric, task.scorer.fingerprint)
        for result in results
        for task in result.tasks.values()
        if metric in task.metrics
    }
    if len(found) > 1:
        raise UserError(
            f"{metric} was judged in {len(found)} different ways in these results",
            hint="a judge's error is that of one scorer with one set of parts and options: calibrate each by itself",
        )
    return found.pop()
