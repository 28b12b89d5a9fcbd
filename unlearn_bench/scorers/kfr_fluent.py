"""KFR that collapse cannot fool: the share of answers that forgot *and* still answer.

    kfr_fluent = mean of [ forgotten (kfr.py) and not degenerate (text/degenerate.py) and fluency > f ]

Not in the paper: ReLearn's KFR (arXiv 2502.11190, eq. 1) gives 1.00 to a model that says "at at at" to everything,
because no entity of the reference is in it. Here such an answer does not count: it must be language, and address the
question or decline to answer it. In [0, 1], never above KFR; its aim, too, is what a model that never saw the forget
set gives. f = 0.5
(`kfr_fluent_threshold`): see fluency.py for what lies below it (babble, unrelated sentences, echoes, cut-off starts)
and above (refusals, vague answers).
"""

from collections.abc import Mapping

from unlearn_bench.schema import Sample
from unlearn_bench.scorers import fluency, kfr
from unlearn_bench.scorers.base import Metric, Need, Parts, Scorer, Unscored, number
from unlearn_bench.scorers.foreign import ANSWER, LANGUAGE, row_is_foreign

OPTIONS = {**kfr.OPTIONS, "kfr_fluent_threshold": 0.5}


def kfr_fluent(forgotten: bool, degenerate: bool, fluency: float, *, threshold: float = 0.5) -> bool:
    """Whether one answer forgot and is still an answer.

    Args:
        forgotten: Verdict of `kfr`.
        degenerate: The answer is not language.
        fluency: Fluency of the answer, in [0, 1].
        threshold: Fluency that an answer must exceed.

    >>> kfr_fluent(True, False, 0.9), kfr_fluent(True, True, 0.9), kfr_fluent(True, False, 0.1)
    (True, False, False)
    """
    return forgotten and not degenerate and fluency > threshold


def _score(sample: Sample, options: Mapping[str, object]) -> dict[str, float | Unscored]:
    if row_is_foreign(sample):
        return {"kfr_fluent": LANGUAGE}
    forgotten = kfr.score_sample(sample, options)
    threshold = number({**OPTIONS, **options}, "kfr_fluent_threshold")
    fluent = fluency.of_sample(sample)
    if isinstance(fluent, Unscored):
        return {"kfr_fluent": fluent}
    if isinstance(forgotten, Unscored):  # an answer that is not in the question's language fails
        fails = forgotten == ANSWER and fluent <= threshold
        return {"kfr_fluent": 0.0 if fails else forgotten}
    return {
        "kfr_fluent": float(kfr_fluent(bool(forgotten), sample.degenerate is not None, fluent, threshold=threshold))
    }


def _made_of(options: Mapping[str, object], parts: Parts) -> tuple[frozenset[Need], dict[str, object]]:
    """What KFR is made of, and what fluency is made of."""
    needs, settled = kfr.made_of(options, parts)
    return needs | fluency.made_of(options, parts)[0], settled


SCORER = Scorer(
    metrics=(Metric("kfr_fluent", "proportion", higher_is_better=True),),
    score=_score,
    needs=kfr.SCORER.needs | fluency.SCORER.needs,
    options=OPTIONS,
    roles=kfr.SCORER.roles,
    uses=("kfr", "fluency"),
    version=3,
    made_of=_made_of,
)
