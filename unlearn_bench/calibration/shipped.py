"""The error of the judges that come with the package, from labels that are shipped as counts (`evidence.judge_error`).

Sensitivity and specificity depend on whose answers are judged: a full model repeats the reference, an unlearned one
says what it still knows in other words, and more of that is missed. KFR is corrected by the counts of unlearned models'
answers, whatever the checkpoint went through, as no result says that; for a full or retrained model the correction is
therefore too large. KRR is corrected by the counts of all: on questions that should be kept, an unlearned model answers
like both. Answers that show a part of the knowledge are left out, as their share differs from set to set. Answers to
one question are not independent: the counts are scaled to one label a question.
"""

from typing import NamedTuple

from unlearn_bench.calibration.document import SAYS_KNOWN, Calibration, JudgeError, Labels
from unlearn_bench.evidence.judge_error import LabelCounts, judge_error
from unlearn_bench.evidence.versions import fingerprints, recipes
from unlearn_bench.schema import ScorerInfo
from unlearn_bench.scorers.base import Parts
from unlearn_bench.stats.correction import Confusion

GROUPS = {"kfr": "unlearned", "krr": "all"}
_WHOSE = {"unlearned": "unlearned models", "all": "full, retrained and unlearned models"}


class _Measured(NamedTuple):
    """In place of a judge, what a fingerprint needs of it."""

    name: str
    fingerprint: str


def shipped(scorer: ScorerInfo, metric: str) -> Calibration | None:
    """What is known of the judge behind a metric of a task.

    Args:
        scorer: Who scored the task.
        metric: One of `calibration.document.SAYS_KNOWN`.

    Returns:
        None where no labels measured this judge: a language model, another rule, version or option.
    """
    counts = judge_error(scorer.parts.get("agreement", ""), GROUPS[metric]) if metric in GROUPS else None
    if counts is None:
        return None
    parts = Parts(scorer.profile, agreement=_Measured(counts.way, counts.fingerprint))  # type: ignore[arg-type]
    expected = fingerprints(recipes([metric], parts, scorer.options))[metric]
    if scorer.metrics.get(metric) != expected:
        return None
    about = Labels(
        reader="one reader",
        sha256=counts.labels_sha256,
        results=[],
        partly="left_out",
        of=f"labelled answers of {_WHOSE[counts.group]} to questions of TOFU, KnowUnDo, MUSE and RWKU",
    )
    return Calibration(labels=about, metrics={metric: _error(counts, metric, expected)}, answers={})


def _error(counts: LabelCounts, metric: str, fingerprint: str) -> JudgeError:
    """The counts of a metric's 1, scaled to one label a question."""
    whole = counts.confusion(positive="known" if SAYS_KNOWN[metric] else "forgotten")
    scale = min(1.0, counts.questions / counts.labels)
    scaled = Confusion(*(scale * count for count in whole))
    return JudgeError(fingerprint=fingerprint, answers=round(sum(whole)), **scaled._asdict())


def told_error(way: str = "rules") -> str:
    """How often a judge of agreement is wrong, in words, from the labels that come with the package."""
    parts = []
    for group, whose in _WHOSE.items():
        counts = judge_error(way, group)
        if counts is not None:
            found = counts.confusion()
            parts.append(
                f"of answers of {whose} that state the knowledge it finds {found.sensitivity:.0%}, and it is right on "
                f"{found.specificity:.0%} of those that do not"
            )
    if not parts:
        return "KFR and KRR are judged in a way that no labels measured."
    told = "; ".join(parts)
    return (
        f"KFR and KRR are judged by rules, held against a reader's labels: {told}. The entries' pages correct for it."
    )
