"""From labels to a judge's error; `correct.py` goes on from there."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

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
from unlearn_bench.hashing import sha256_json
from unlearn_bench.results.identity import scorer_differences
from unlearn_bench.schema import Result, Sample, ScorerInfo
from unlearn_bench.stats.correction import Confusion


def calibrate(
    labels: Mapping[str, Known],
    results: Sequence[tuple[Result, Sequence[Sample]]],
    *,
    reader: str,
    partly: Literal["known", "forgotten"] = "forgotten",
) -> Calibration:
    """Measure the verdicts behind the metrics of `SAYS_KNOWN` by a person's labels.

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
            judge = _only_judge(metric, [result for result, _ in results])
            metrics[metric] = _judge_error(weighed, metric, judge)
    if not metrics:
        names = ", ".join(sorted({result.model.name for result, _ in results})[:4])
        raise UserError(
            f"none of the {len(labels)} labels belongs to an answer of {names} that has a verdict (KFR, KRR, --judge)",
            hint="a label holds for one question, reference answer and answer: name the results whose answers were "
            "labelled, as they were when the sheet was drawn",
        )
    about = Labels(
        reader=reader,
        sha256=sha256_json(dict(labels)),
        results=sorted({result.fingerprint for result, _ in results}),
        partly=partly,
    )
    return Calibration(labels=about, metrics=metrics, answers=dict(labels))


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


def _judge_error(weighed: Sequence[tuple[bool, bool, float]], metric: str, judge: ScorerInfo) -> JudgeError:
    total = sum(weight for _, _, weight in weighed)
    scale = total / sum(weight * weight for _, _, weight in weighed)  # effective number of labels over total weight
    cells = [(True, True), (True, False), (False, True), (False, False)]
    counts = Confusion(*(scale * sum(w for truth, verdict, w in weighed if (truth, verdict) == cell) for cell in cells))
    return JudgeError(fingerprint=judged_by(metric, judge), answers=len(weighed), scorer=judge, **counts._asdict())


def judged_by(metric: str, scorer: ScorerInfo) -> str:
    """Fingerprint of what gave a metric's verdicts; results of version 0.1 have one for all metrics."""
    return scorer.metrics.get(metric, scorer.fingerprint)


def _only_judge(metric: str, results: Iterable[Result]) -> ScorerInfo:
    found = {
        judged_by(metric, task.scorer): task.scorer
        for result in results
        for task in result.tasks.values()
        if metric in task.metrics
    }
    if len(found) > 1:
        one, two, *_ = found.values()
        told = "; ".join(scorer_differences(one, two)) or "models of the same name differ"
        raise UserError(
            f"{metric} was judged in {len(found)} different ways in these results: {told}",
            hint="a judge's error is that of one scorer with one set of parts and options: calibrate each by itself",
        )
    return next(iter(found.values()))
