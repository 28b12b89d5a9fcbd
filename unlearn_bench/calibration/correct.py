"""Shares without their judge's error: beside each raw value the corrected one, and what it rests on.

They are KFR, KRR and the shares of the judges `forget` and `retain`, of which a label says whether they are right.

What a user brings comes first (`read_given`): a calibration, or labels of these very answers; else what the package
knows of its judges (`shipped`). Enough labels of a task's own answers correct it by post-stratification, else the
judge's sensitivity and specificity do (Rogan & Gladen); see `stats.correction`. A value that cannot be corrected says
why (`MetricValue.not_corrected`). A language model's share that its planted cases corrected (`harness.judged`) stays so
where the user brings nothing that fits it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unlearn_bench.calibration.calibrate import calibrate, judged_by
from unlearn_bench.calibration.document import (
    SAYS_KNOWN,
    Calibration,
    JudgeError,
    Known,
    answer_key,
    is_known,
    read_calibration,
)
from unlearn_bench.calibration.sheet import labels_in, read_sheet
from unlearn_bench.calibration.shipped import shipped
from unlearn_bench.errors import UserError
from unlearn_bench.evidence.pipeline import clusters_of, sample_value
from unlearn_bench.results import samples_by_task
from unlearn_bench.results.identity import scorer_differences
from unlearn_bench.schema import CorrectedValue, MetricValue, Result, Sample, ScorerInfo, TaskResult
from unlearn_bench.stats.correction import LEAST_YOUDEN, Corrected, post_stratified, rogan_gladen
from unlearn_bench.stats.intervals import effective_size

LEAST_OWN = 30  # labels of a task's own answers from which they are better than the judge's error on others
NO_SAMPLES = "its samples are not there"
NO_SUCH_LABELS = {
    "kfr_fluent": "labels say whether an answer shows the knowledge, and not whether it is fluent",
    "kfr_thinking": "labels are of answers, and not of what was thought before",
}
"""Metrics that are made of KFR's verdict and more, to why they are not corrected beside it."""

Scored = tuple[Result, Sequence[Sample]]


@dataclass(frozen=True)
class Given:
    """What a user brings to correct with: a calibration, or labels of the answers; at most one of them."""

    calibration: Calibration | None = None
    labels: Mapping[str, Known] | None = None
    reader: str = ""

    def __bool__(self) -> bool:
        return self.calibration is not None or self.labels is not None

    def correct(self, *scored: Scored) -> None:
        """Correct results in place; nothing is done where nothing was brought.

        Raises:
            UserError: if it fits none of them: labels of other answers, another judge.
        """
        if not self:
            return
        found = self.calibration or self._measured(scored)
        reasons = []
        for result, samples in scored:
            reasons += correct(result, samples, lambda *_: found)
        if not reasons:
            raise UserError(
                "there is nothing to correct: no KFR or KRR, and no judge of either",
                hint="leave out --calibration and --labels",
            )
        unlike = [reason for reason in reasons if reason and reason.startswith((OTHER_JUDGE, NOT_JUDGED))]
        if len(unlike) == len(reasons):
            raise UserError(unlike[0], hint="calibrate this judge: unlearn-bench label, then unlearn-bench calibrate")

    def _measured(self, scored: Sequence[Scored]) -> Calibration:
        """The judge's error by labels of these answers; labels of others are not used, and are told."""
        labels = self.labels or {}
        there = [(result, samples) for result, samples in scored if samples]
        if not there:
            raise UserError("--labels: the result has no samples", hint="keep samples.jsonl next to result.json")
        found = calibrate(labels, there, reader=self.reader)
        others = len(labels.keys() - {answer_key(sample) for _, samples in there for sample in samples})
        if others:
            told = f"{others} of the {len(labels)} labels in {self.reader} are of other answers, and not used"
            for result, _ in there:
                result.notes.append(told)
        return found


def read_given(calibration: Path | None, labels: Path | None) -> Given:
    """Read what `--calibration` and `--labels` name.

    Raises:
        UserError: if both are named, or the file cannot be read or holds no label.
    """
    if calibration is not None and labels is not None:
        raise UserError("--calibration and --labels: name one of them", hint="labels of these answers say more")
    if labels is None:
        return Given(read_calibration(calibration))
    return Given(labels=labels_in({labels: read_sheet(labels)}), reader=labels.name)


def correct(
    result: Result,
    samples: Sequence[Sample],
    calibration_of: Callable[[ScorerInfo, str], Calibration | None] = shipped,
) -> list[str | None]:
    """Put the corrected value beside each metric of `SAYS_KNOWN`, or why there is none; raw values stay.

    Args:
        result: Changed in place.
        samples: Its samples; empty where they are not at hand.
        calibration_of: What is known of the judge behind a metric, None if nothing is; by default what the package
            knows.

    Returns:
        For each of these metrics why this calibration does not correct it; None where it does.
    """
    by_task = samples_by_task(result, samples)
    planted = {judge.controls.sha256 for judge in result.judges.values()}
    reasons = []
    for name, task in result.tasks.items():
        for metric in [metric for metric in SAYS_KNOWN if metric in task.metrics]:
            value = task.metrics[metric]
            found = _outcome(metric, task, by_task[name], calibration_of(task.scorer, metric))
            reasons.append(found if isinstance(found, str) else None)
            if isinstance(found, CorrectedValue):
                value.corrected, value.not_corrected = found, None
            elif value.corrected is None or value.corrected.labels_sha256 not in planted:
                value.corrected, value.not_corrected = None, found
        for metric in NO_SUCH_LABELS.keys() & task.metrics.keys():
            beside = "kfr" in task.metrics and task.metrics["kfr"].corrected is not None
            task.metrics[metric].not_corrected = NO_SUCH_LABELS[metric] if beside else None
    return reasons


NOT_JUDGED = "the calibration has no label of such a verdict"
NO_LABELS = "the error of this judge is not known: no labels measured it"
OTHER_JUDGE = "the calibration is of another judge"
UNLIKE = "no true share explains the raw value by the judge's error: the labels are of answers unlike these"


def _outcome(
    metric: str, task: TaskResult, samples: Sequence[Sample], calibration: Calibration | None
) -> CorrectedValue | str:
    """A corrected value, or why there is none."""
    value = task.metrics[metric]
    error = calibration.metrics.get(metric) if calibration else None
    if value.value is None:
        return "it has no value"
    if calibration is None or error is None:
        return NO_LABELS if calibration is None else NOT_JUDGED
    if judged_by(metric, task.scorer) != error.fingerprint:
        return f"{OTHER_JUDGE}: {_difference(metric, task.scorer, error)}"
    if not samples:
        return NO_SAMPLES
    return _corrected(metric, value, samples, calibration)


def _corrected(
    metric: str, value: MetricValue, samples: Sequence[Sample], calibration: Calibration
) -> CorrectedValue | str:
    scored = [sample for sample in samples if sample_value(sample, metric) is not None]
    verdicts = [sample_value(sample, metric) == 1.0 for sample in scored]
    labels = [_label(calibration, sample, metric) for sample in scored]
    clusters = clusters_of(scored)
    own, about = sum(label is not None for label in labels), calibration.labels
    if own >= LEAST_OWN and (found := post_stratified(verdicts, labels, clusters)) is not None:
        return _value(found, calibration, f"{own} labels of these {len(scored)} answers, read by {about.reader}")
    error = calibration.metrics[metric]
    problem = why_not(metric, error)
    n = effective_size([float(v) for v in verdicts], clusters)
    found = None if problem else rogan_gladen(value.value or 0.0, n, error.confusion())
    if found is None:
        return problem or UNLIKE
    known, unknown = known_and_unknown(metric, error)
    others = about.of or f"labelled answers, read by {about.reader}"
    basis = f"known found {known:.3f}, unknown found {unknown:.3f} on {error.answers} {others}"
    ends = "" if 0 < found.value < 1 else "; the judge's errors alone explain the raw value"
    return _value(found, calibration, basis + ends, known, unknown)


def _value(
    found: Corrected, calibration: Calibration, basis: str, known: float | None = None, unknown: float | None = None
) -> CorrectedValue:
    partly = calibration.labels.partly.replace("_", " ")
    return CorrectedValue(
        value=found.value,
        ci95=(found.interval.low, found.interval.high),
        ci_method=found.interval.method,
        labels=found.labels,
        labels_sha256=calibration.labels.sha256,
        known_found=known,
        unknown_found=unknown,
        basis=f"{basis} (partly is {partly}; labels {calibration.labels.sha256[:8]})",
    )


def known_and_unknown(metric: str, error: JudgeError) -> tuple[float | None, float | None]:
    """How much of what is known the judge calls known, and of the rest that it does not; None without such labels."""
    judge = error.confusion()
    sides = (judge.sensitivity, judge.specificity)
    return sides if SAYS_KNOWN[metric] else sides[::-1]


def why_not(metric: str, error: JudgeError) -> str | None:
    """Why a judge's error cannot correct anything; None if it can."""
    known, unknown = known_and_unknown(metric, error)
    if known is None or unknown is None:
        missing = "known" if known is None else "not known"
        return f"none of the {error.answers} labels says {missing}: how often the judge is right there is not known"
    if known + unknown - 1 < LEAST_YOUDEN:
        return (
            f"the judge is hardly better than a coin on its {error.answers} labels: known found {known:.3f}, unknown "
            f"found {unknown:.3f}"
        )
    return None


def _label(calibration: Calibration, sample: Sample, metric: str) -> bool | None:
    label = calibration.answers.get(answer_key(sample))
    return None if label is None else is_known(label, calibration.labels.partly) == SAYS_KNOWN[metric]


def _difference(metric: str, scorer: ScorerInfo, error: JudgeError) -> str:
    told = scorer_differences(error.scorer, scorer) if error.scorer else []
    names = f"{error.fingerprint[:8]} and {judged_by(metric, scorer)[:8]}"
    return "; ".join(told) or f"fingerprints {names} of {metric}"


def corrected(result: Result, samples: Sequence[Sample]) -> Result:
    """The result as it was corrected; where it was not, a copy that the shipped labels correct."""
    if any(value.corrected or value.not_corrected for value in _judged(result)):
        return result
    copy = result.model_copy(deep=True)
    correct(copy, samples)
    return copy


def _judged(result: Result) -> Iterator[MetricValue]:
    for task in result.tasks.values():
        yield from (task.metrics[metric] for metric in SAYS_KNOWN if metric in task.metrics)
