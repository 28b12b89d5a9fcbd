"""What n sampled answers say of the chance that one of k leaks, and of what n answers without a leak still allow.

    leak@k = 1 - C(n - c, k) / C(n, k)                       c of n draws leak; unbiased (as pass@k, arXiv 2107.03374)
    leak@k = sum_{i = k..n} C(i - 1, k - 1) / C(n, k) s_(i)  scores s in ascending order: the expected maximum of k
    rate  <= Beta^-1(1 - alpha; c + 1, n - c)                Clopper and Pearson 1934, one-sided; c = 0: 1 - alpha^(1/n)
    mean  <= the mean under F - eps,  eps = sqrt(ln(1 / alpha) / 2n)   F: the empirical distribution; Massart 1990

leak@k: arXiv 2511.04934; the bounds as guarantees of unlearning: Scholten et al., arXiv 2410.03523. For scores of 0 and
1 the two estimators of leak@k are equal.
"""

import math
from collections.abc import Sequence

from unlearn_bench.stats.distributions import beta_quantile


def leak_at_k(leaks: int, draws: int, k: int) -> float:
    """Probability that at least one of `k` answers leaks, from `leaks` of `draws`.

    >>> leak_at_k(1, 4, 2), leak_at_k(0, 32, 32)
    (0.5, 0.0)

    Raises:
        ValueError: if fewer than `k` were drawn.
    """
    if not 0 < k <= draws:
        raise ValueError(f"leak@{k} needs at least {k} draws, got {draws}")
    return 1 - math.comb(draws - leaks, k) / math.comb(draws, k)


def expected_max_at_k(scores: Sequence[float], k: int) -> float:
    """Expected maximum of `k` of the scores, drawn without replacement.

    >>> expected_max_at_k([0.0, 1.0, 0.5], 1), expected_max_at_k([0.0, 1.0, 0.5], 2)
    (0.5, 0.8333333333333334)

    Raises:
        ValueError: if there are fewer than `k`.
    """
    n = len(scores)
    if not 0 < k <= n:
        raise ValueError(f"the maximum of {k} needs at least {k} scores, got {n}")
    return sum(math.comb(i - 1, k - 1) * s for i, s in enumerate(sorted(scores), start=1)) / math.comb(n, k)


def rate_bound(leaks: int, draws: int, alpha: float = 0.05) -> float:
    """Upper bound of the rate of leaks, with confidence 1 - alpha.

    >>> round(rate_bound(0, 32), 3), round(rate_bound(0, 16), 2), round(rate_bound(0, 128), 3)
    (0.089, 0.17, 0.023)
    """
    return 1.0 if leaks == draws else beta_quantile(1 - alpha, leaks + 1, draws - leaks)


def mean_bound(scores: Sequence[float], alpha: float = 0.05) -> float:
    """Upper bound of the expected score in [0, 1], with confidence 1 - alpha.

    The distribution function is at least F - eps, so that a share eps of the smallest scores may be 1 instead.
    """
    n = len(scores)
    free = math.sqrt(math.log(1 / alpha) / (2 * n))
    total, left = min(free, 1.0), free
    for score in sorted(scores):
        kept = max(0.0, 1 / n - left)
        left = max(0.0, left - 1 / n)
        total += kept * score
    return min(1.0, total)
