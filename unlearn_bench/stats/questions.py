"""With too few clusters: an exact test over questions that allows for what the questions of a cluster share.

Two clusters can show no p below 0.25, though every one of 100 answers was lost. Each question counts then, but as less
than one: of n questions in clusters of size m_c, with the correlation `ASSUMED_CORRELATION` inside a cluster, only
n / deff are independent, deff = 1 + (sum m_c^2 / n - 1) * ASSUMED_CORRELATION (Kish 1965, section 5.4).

    lost' = floor(lost / deff), won' = ceil(won / deff)      p = P(Binomial(lost' + won', 1/2) >= lost')

The roundings are both against the finding. Simulated with 2 to 8 clusters of 4 to 40 questions and equal models, the
one-sided test at 0.025 rejects in at most 0.3 % of pairs at a correlation of 0.5, in at most 1.5 % at 0.8 and 3 % at
0.95 (the models then answer whole clusters alike). A loss of everything is found from four clusters of 8 on.
"""

import math
from typing import NamedTuple

import numpy as np

from unlearn_bench.stats import intervals

ASSUMED_CORRELATION = 0.5
METHOD = "sign_test_design_effect"


class QuestionTest(NamedTuple):
    """The test's outcome.

    Attributes:
        least_p: Smallest one-sided p that any answers could give.
        low, high: 95 % interval of the difference; NaN where the values are no labels.
        effective: Independent questions.
        changed: Share of the questions that chance changes.
    """

    p_worse: float
    p_two_sided: float
    least_p: float
    low: float
    high: float
    effective: int
    changed: float


def question_test(d: np.ndarray, sizes: np.ndarray, *, labels: bool) -> QuestionTest | None:
    """Test differences of questions in few clusters; None where clusters of one need no correction.

    Args:
        d: New - old in worth, one value a question.
        sizes: Questions of each cluster.
        labels: The values are 0 or 1, so that an interval of the mean follows from the counts.
    """
    n = len(d)
    deff = 1 + (float((sizes**2).sum()) / n - 1) * ASSUMED_CORRELATION
    if deff <= 1:
        return None
    lost, won = int((d < 0).sum()), int((d > 0).sum())
    worse, better = _exact(lost, won, deff), _exact(won, lost, deff)
    low, high = _interval(lost, won, n, n / deff) if labels else (math.nan, math.nan)
    effective = math.floor(n / deff)
    return QuestionTest(
        worse, min(1.0, 2 * min(worse, better)), 0.5**effective, low, high, effective, changed_by_chance(d)
    )


def changed_by_chance(d: np.ndarray) -> float:
    """Share of the questions that change either way though the models are equal: twice the rarer of lost and won."""
    return 2 * min(int((d < 0).sum()), int((d > 0).sum())) / len(d)


def _exact(lost: int, won: int, deff: float) -> float:
    from scipy.stats import binom

    fewer, more = math.floor(lost / deff), math.ceil(won / deff)
    return float(binom.sf(fewer - 1, fewer + more, 0.5)) if fewer else 1.0


def _interval(lost: int, won: int, n: int, effective: float) -> tuple[float, float]:
    """Interval of (won - lost) / n: Wilson's of both shares at the effective size, joined as Newcombe (1998) does."""
    gain, loss = won / n, lost / n
    gain_low, gain_high = intervals.wilson(gain * effective, effective)[:2]
    loss_low, loss_high = intervals.wilson(loss * effective, effective)[:2]
    down = math.hypot(gain - gain_low, loss_high - loss)
    up = math.hypot(gain_high - gain, loss - loss_low)
    return max(-1.0, gain - loss - down), min(1.0, gain - loss + up)
