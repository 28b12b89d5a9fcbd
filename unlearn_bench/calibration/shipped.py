"""The error of the judges that come with the package, from labels that are shipped as counts (`evidence.judge_error`).

Sensitivity and specificity depend on whose answers are judged: a full model repeats the reference, an unlearned one
says what it still knows in other words, and more of that is missed. The counts of unlearned models' answers are taken
for every checkpoint: it is them that KFR and KRR are about, and no result says what its checkpoint went through. For
a full or retrained model the correction is therefore too large. Most of these answers are to forget questions.
"Partly" counts as half known, as it does in the weights of agreement; and as answers to one question are not
independent, all of them together count as one label.
"""

from typing import NamedTuple

from unlearn_bench.calibration.document import SAYS_KNOWN, Calibration, JudgeError, Labels
from unlearn_bench.evidence.judge_error import LabelCounts, judge_error
from unlearn_bench.evidence.versions import fingerprints, recipes
from unlearn_bench.schema import ScorerInfo
from unlearn_bench.scorers.base import Parts
from unlearn_bench.stats.correction import Confusion

GROUP = "unlearned"


class _Measured(NamedTuple):
    """In place of a judge, what a fingerprint needs of it."""

    name: str
    fingerprint: str


def shipped(scorer: ScorerInfo) -> Calibration | None:
    """What is known of the judge of a task; None where no labels measured it (another rule, version or option)."""
    counts = judge_error(scorer.parts.get("agreement", ""), GROUP)
    if counts is None:
        return None
    parts = Parts(scorer.profile, agreement=_Measured(counts.way, counts.fingerprint))  # type: ignore[arg-type]
    expected = fingerprints(recipes(SAYS_KNOWN, parts, scorer.options))
    errors = {
        metric: _error(counts, metric, expected[metric])
        for metric in SAYS_KNOWN
        if scorer.metrics.get(metric) == expected[metric]
    }
    about = Labels(
        reader="one reader",
        sha256=counts.labels_sha256,
        results=[],
        partly="half",
        of=f"labelled answers of unlearned models to {counts.questions} questions of TOFU, KnowUnDo, MUSE and RWKU",
    )
    return Calibration(labels=about, metrics=errors, answers={}) if errors else None


def _error(counts: LabelCounts, metric: str, fingerprint: str) -> JudgeError:
    """The counts of a metric's 1, scaled to one label a question."""
    says = "known" if SAYS_KNOWN[metric] else "forgotten"
    ends = (counts.confusion(positive=says, partly=partly) for partly in ("known", "forgotten"))
    scale = min(1.0, counts.questions / counts.labels)
    half = Confusion(*(scale * (one + other) / 2 for one, other in zip(*ends, strict=True)))
    return JudgeError(fingerprint=fingerprint, answers=counts.labels, **half._asdict())
