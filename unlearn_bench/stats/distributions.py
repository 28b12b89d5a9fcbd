"""Quantiles and tails of the normal, Student's t and the beta distribution.

They are the functions of scipy.special that scipy.stats calls for them, with the same bits: importing scipy.stats takes
three times as long as scipy.special, and longer than all else that scoring a file does.
"""

from functools import lru_cache


@lru_cache
def normal_quantile(p: float) -> float:
    """Quantile of the standard normal distribution at p in (0, 1)."""
    from scipy.special import ndtri

    return float(ndtri(p))


def normal_cdf(x: float) -> float:
    """Chance that a standard normal variable is at most x."""
    from scipy.special import ndtr

    return float(ndtr(x))


@lru_cache
def t_quantile(p: float, freedom: float) -> float:
    """Quantile of Student's t at p in (0, 1), with `freedom` > 0 degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, p))


def t_tail(x: float, freedom: float) -> float:
    """Chance that Student's t with `freedom` degrees of freedom is above x."""
    from scipy.special import stdtr

    return float(stdtr(freedom, -x))


def beta_quantile(p: float, a: float, b: float) -> float:
    """Quantile of the beta distribution at p in [0, 1], with a, b > 0."""
    from scipy.special import betaincinv

    return float(betaincinv(a, b, p))
