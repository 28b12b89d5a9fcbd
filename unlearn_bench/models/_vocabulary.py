"""Log-softmax of logits that come in parts of the vocabulary, and what likelihood metrics need of it.

With t_k the largest logit of part k, s_k the sum of e^(x - t_k), m_k and v_k mean and variance of x - t_k under the
softmax of the part, t the largest t_k, and the weights w_k = s_k e^(t_k - t) / sum of s_j e^(t_j - t):

    ln p(c) = x_c - t - ln(sum of s_k e^(t_k - t))
    mean    = sum of w_k (m_k + t_k - t), less the same logarithm
    variance = sum of w_k (v_k + (m_k + t_k - t - sum of w_j (m_j + t_j - t))^2)
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LEAST_LOGPROB = -1e4  # of a token whose probability is 0 (a logit of -inf)
_LEAST_LOGIT = -1e30  # in the place of -inf: a part of the vocabulary may be excluded as a whole


def statistics(
    parts: "Iterable[tuple[int, torch.Tensor]]", chosen: "torch.Tensor", *, detailed: bool
) -> "torch.Tensor":
    """(4, N) or (1, N) of N tokens; log-probability, hit, mean and variance (see `likelihood`).

    Args:
        parts: The first token of a part of the vocabulary, and logits (P, part), overwritten; together all of it.
        chosen: (2, N): row of the logits, and token.
        detailed: Whether more than the first is wanted.
    """
    import torch

    at, targets = chosen
    found = []
    of_targets = torch.full(at.shape, torch.nan, device=at.device)
    for first, logits in parts:
        x = logits.float()
        inside = ((targets >= first) & (targets < first + x.shape[1])).nonzero()[:, 0]
        of_targets[inside] = x[at[inside], targets[inside] - first]
        found.append(_sums(x, first, detailed=detailed))
    tops, totals, *more = (torch.stack(column) for column in zip(*found, strict=True))
    top, in_part = tops.max(0)
    shifts = tops.sub(top).clamp(min=LEAST_LOGPROB)
    totals *= shifts.exp()
    total = totals.sum(0)
    log_total = total.log()
    logprobs = (of_targets - top[at] - log_total[at]).clamp(min=LEAST_LOGPROB)
    if not detailed:
        return logprobs[None]
    best, means, variances = more
    means += shifts
    mean = (totals * means).sum(0) / total
    variance = (totals * (variances + (means - mean) ** 2)).sum(0) / total
    hits = best.gather(0, in_part[None])[0][at] == targets
    return torch.stack([logprobs, hits.float(), (mean - log_total)[at], variance[at]])


def _sums(x: "torch.Tensor", first: int, *, detailed: bool) -> tuple["torch.Tensor", ...]:
    """Sums over a part of the vocabulary, each (P,): the largest logit, and the sum of e^(x - largest).

    Detailed also the token of the largest, and mean and variance of x - largest under the softmax of the part.

    Args:
        x: Logits (P, part); overwritten.
        first: The first token of the part.
        detailed: Whether more than the first two are wanted.
    """
    import torch

    x.clamp_(min=_LEAST_LOGIT)
    top, best = x.max(-1) if detailed else (x.amax(-1), None)
    x.sub_(top[:, None])
    if best is None:
        return top, x.exp_().sum(-1)
    weights = x.exp()
    total = weights.sum(-1)
    x.clamp_(min=LEAST_LOGPROB)
    mean = torch.linalg.vecdot(weights, x) / total
    x.sub_(mean[:, None])
    return top, total, best + first, mean, torch.linalg.vecdot(weights.mul_(x), x) / total
