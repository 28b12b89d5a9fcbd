"""Which way a metric points: whether a higher value says that the model knows more.

The metric's own declaration decides, never the values. A metric whose better direction turns between forget rows and
the others measures knowledge: it rises with it where lower is better on forget rows. Metrics with one direction on all
roles do not say by it what they measure; those that measure knowledge are named here. What is left measures language
(fluency, LS, perplexity) or cost: it says nothing of knowing, and the best AUC is 0.5.
"""

import math
from collections.abc import Mapping
from typing import Literal

from unlearn_bench.comparison.metric_info import known
from unlearn_bench.schema import Role

Knowing = Literal["higher", "lower"]

# Metrics of one direction on all roles, and descriptive ones, as the heads of their files describe them.
_RISES = ("krr", "judge_retained", "judge_retain")
_FALLS = ("kfr", "kfr_fluent", "kfr_thinking", "judge_forgotten", "judge_forget")
_LOSSES = ("loss", "loss_zlib", "min_k", "min_k_plus_plus")
# Numbers of a whole run: they are about the forget rows, whatever rows they hold them against.
_OF_RUN: Mapping[str, Knowing] = {
    **dict.fromkeys(("mia_loss", "mia_zlib", "mia_min_k", "mia_min_k_plus_plus", "mia_reference"), "higher"),
    **dict.fromkeys(("mia_gradnorm", "forget_ks"), "higher"),
    **dict.fromkeys(("privleak", "forget_quality", "forget_shift", "forget_shift_p"), "lower"),
    **dict.fromkeys(("uds", "first_gold_best_rank", "answer_gold_best_rank", "entity_gold_best_rank"), "lower"),
}
_RANK = "_best_rank"  # diagnostics from 1 upwards


def base_name(metric: str) -> str:
    """A metric without its rule.

    >>> base_name("kfr[table]")
    'kfr'
    """
    return metric.partition("[")[0]


def knowing(metric: str, role: Role | None, asked: Role = "forget") -> Knowing | None:
    """Whether higher or lower values say that more is known; None for a metric that does not measure this knowledge.

    Args:
        metric: Its name; a rule in brackets makes no difference.
        role: Of the rows that it is computed on.
        asked: Of the rows that the models of the pool know or do not know.

    >>> [knowing(name, "forget") for name in ("rougeL_recall", "truth_ratio", "kfr[table]", "fluency")]
    ['higher', 'lower', 'lower', None]
    >>> knowing("rougeL_recall", "retain"), knowing("rougeL_recall", "retain", asked="retain")
    (None, 'higher')
    """
    name = base_name(metric)
    if name in _OF_RUN:
        return _OF_RUN[name] if asked == "forget" else None
    if role != asked:
        return None
    if name in _LOSSES or name in _FALLS:
        return "lower"
    if name in _RISES:
        return "higher"
    if name == "truth_ratio":  # near 1 on forget rows where right and wrong answers are alike, elsewhere where not
        return "lower" if role == "forget" else "higher"
    info = known().get(name)
    here = None if info is None or info.direction(None) is not None else info.direction(role)
    if here is None:
        return None
    return "higher" if here == (role != "forget") else "lower"


def of_run(metric: str) -> bool:
    """Whether a number is of a whole run and about its forget rows.

    >>> of_run("mia_loss"), of_run("model_utility")
    (True, False)
    """
    return base_name(metric) in _OF_RUN


def measures(metric: str) -> bool:
    """Whether a metric measures knowledge on some role; the others measure language.

    >>> measures("krr"), measures("ls")
    (True, False)
    """
    roles: tuple[Role, ...] = ("forget", "retain", "world")
    return any(knowing(metric, role, asked=role) is not None for role in roles)


def amount(value: float, metric: str, direction: Knowing | None) -> float | None:
    """The value as an amount of knowledge, at least 0, for ratios.

    A bounded metric that falls with knowledge is turned round; one without an upper bound (a loss) stands as its
    reciprocal. None where the metric can be below 0: a ratio of such values says nothing.

    >>> round(amount(0.9, "kfr", "lower"), 3), amount(4.0, "loss", "lower"), amount(0.9, "rougeL_recall", "higher")
    (0.1, 0.25, 0.9)
    """
    info = known().get(base_name(metric))
    low, high = (0.0, math.inf if metric.endswith(_RANK) else 1.0) if info is None else info.bounds
    if low < 0:
        return None
    if direction != "lower":
        return value
    if math.isinf(high):
        return 1 / value if value > 0 else None
    return high - value
