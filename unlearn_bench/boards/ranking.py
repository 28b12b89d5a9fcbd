"""Ranking without a sum: anchored values, two-sided, Pareto fronts, ties shown as ties.

    normalised(x) = (x - original) / (oracle - original)     original: before unlearning; oracle: never trained on it
    closeness(x)  = max(0, 1 - |1 - normalised(x)|)          two-sided: forgetting more than the oracle earns nothing
    usable forgetting = min(closeness, retention, fluency)   forgetting counts as far as the model still works

A sum lets one axis buy another: on SemEval-2025 Task 4's 1B board a submission with a task aggregate of 0 stands
above one with 0.955, because its membership score is higher. Here A ranks above B only if A is clearly better on some
axis and clearly worse on none, "clearly" being more than both intervals explain. A model whose retention or fluency
cannot be told from nothing is collapsed, and comes after every model that works, whatever it forgot.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from unlearn_bench.boards import checks
from unlearn_bench.boards.board import AXES, WORST_AXIS, Board, BoardMetric, Entry, PublishedLog
from unlearn_bench.results import metric_of, value_of
from unlearn_bench.schema import MetricValue
from unlearn_bench.untrusted import strings

OVER_UNLEARNED = 1.0
MIN_ANCHOR_GAP = 0.05
ANCHORS = ("original", "oracle", "reference")  # rows without a rank, in this order


@dataclass(frozen=True)
class AxisScore:
    """A model on one axis.

    Attributes:
        value, low, high: Ranking score in [0, 1], higher is better, with its interval (the value itself without one).
        raw: The metric as measured; None where it is undefined (which ranks as 0).
        normalised: The metric on the scale original = 0, oracle = 1; None where the anchors are missing or alike.
        over: normalised is above 1 by more than its interval explains.
    """

    value: float
    low: float
    high: float
    raw: float | None
    normalised: float | None
    over: bool


@dataclass(frozen=True)
class Ranked:
    """The position of an entry.

    Attributes:
        rank: 1 + number of entries in better fronts; None for an anchor and for an incomplete entry.
        tied: Other entries share the rank.
        front: 1 for entries that no other clearly beats.
        anchor: "original" or "oracle"; "reference" for another row scored from a published log; or None.
        untouched: It works, and what it forgot is not distinguishable from nothing.
        lacking: Metrics of the board that its result does not hold. Such an entry is incomplete: shown after the others
            and not ranked, as its loss there is unknown.
        asked: How the model is asked otherwise than the original: "chat template", "tokenizer", "prompt style".
        log: The published log that the row was scored from, if it was.
    """

    entry: Entry
    axes: dict[str, AxisScore]
    rank: int | None = None
    tied: bool = False
    front: int | None = None
    collapsed: bool = False
    anchor: str | None = None
    untouched: bool = False
    lacking: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    log: PublishedLog | None = None

    @property
    def label(self) -> str:
        """The rank as shown: "2", or "2=" where it is shared; "-" without a rank."""
        return "-" if self.rank is None else f"{self.rank}{'=' if self.tied else ''}"


@dataclass(frozen=True)
class Scale:
    """The anchors of one metric; `unreadable`: the perplexity model cannot read the text of any entry."""

    metric: BoardMetric
    original: MetricValue | None
    oracle: MetricValue | None
    unreadable: bool = False

    @property
    def gap(self) -> float | None:
        """How far the anchors are apart; None if one is missing, or noise or `MIN_ANCHOR_GAP` explains the gap."""
        if self.original is None or self.oracle is None:
            return None
        if self.original.value is None or self.oracle.value is None:
            return None
        gap = self.oracle.value - self.original.value
        low, high = self.metric.bounds
        noise = np.hypot(_half_width(self.original), _half_width(self.oracle))
        return gap if abs(gap) > max(noise, MIN_ANCHOR_GAP * (high - low)) else None

    def normalise(self, value: float | None) -> float | None:
        """A value on the scale original = 0, oracle = 1."""
        gap = self.gap
        if value is None or gap is None:
            return None
        return (value - self.original.value) / gap


def _half_width(metric: MetricValue) -> float:
    return 0.0 if metric.ci95 is None else (metric.ci95[1] - metric.ci95[0]) / 2


def scales(board: Board) -> dict[str, Scale]:
    """The scale of every metric of the board, from the entries that it declares as anchors."""
    original = board.entry(board.anchors.original) if board.anchors.original else None
    oracle = board.entry(board.anchors.oracle) if board.anchors.oracle else None
    return {
        metric.key: Scale(
            metric,
            metric_of(original.result, metric.key) if original else None,
            metric_of(oracle.result, metric.key) if oracle else None,
            unreadable=_unreadable(board, metric.key),
        )
        for metric in board.metrics
    }


def _unreadable(board: Board, key: str) -> bool:
    values = [found for entry in board.entries if (found := metric_of(entry.result, key)) is not None]
    return bool(values) and all(value.unreadable for value in values)


def axis_score(found: MetricValue | None, scale: Scale) -> AxisScore:
    """The ranking score of one metric of one model.

    Forgetting is anchored wherever both anchors are there. The other axes start at the anchors' own level, so they are
    taken relative to the better anchor, and a drop is a loss.
    """
    if found is None or found.value is None:
        return AxisScore(0.0, 0.0, 0.0, None, None, over=False)
    ends = [found.value, *(found.ci95 or (found.value, found.value))]
    normalised = scale.normalise(found.value)
    if scale.metric.axis == "forgetting" and normalised is not None:
        points = [scale.normalise(end) for end in ends]
        credits = [max(0.0, 1 - abs(1 - point)) for point in points]
        if min(points) <= 1 <= max(points):
            credits.append(1.0)  # the interval holds the oracle itself
        over = min(points) > OVER_UNLEARNED
        return AxisScore(credits[0], min(credits), max(credits), found.value, normalised, over)
    shares = [_share(end, scale) for end in ends]
    over = normalised is not None and min(scale.normalise(end) for end in ends) > OVER_UNLEARNED
    return AxisScore(shares[0], min(shares), max(shares), found.value, normalised, over)


def _share(value: float, scale: Scale) -> float:
    """A value between the worst possible (0) and the weaker anchor, or the best possible without anchors (1).

    Both anchors work: who answers as well as one of them has lost nothing, and being more fluent than the model that
    never saw the data must not put a model that forgot nothing on the first front.
    """
    low, high = scale.metric.bounds
    worst, best = (low, high) if scale.metric.higher_is_better else (high, low)
    anchors = [a.value for a in (scale.original, scale.oracle) if a is not None and a.value is not None]
    if anchors:
        best = min(anchors) if scale.metric.higher_is_better else max(anchors)
    return 1.0 if best == worst else float(np.clip((value - worst) / (best - worst), 0.0, 1.0))


def axes_of(entry: Entry, board: Board, known: dict[str, Scale] | None = None) -> dict[str, AxisScore]:
    """The entry on every axis, forgetting limited to what is usable.

    An axis whose metric no entry has because the perplexity model cannot read the text (LS) ranks nobody.
    """
    known = known or scales(board)
    found = {
        axis: axis_score(metric_of(entry.result, metric.key), known[metric.key])
        for axis, metric in board.axis_metrics().items()
        if not known[metric.key].unreadable
    }
    return usable(found)


def usable(axes: dict[str, AxisScore]) -> dict[str, AxisScore]:
    """Cap forgetting by retention and fluency, so that a collapsed model gets no credit."""
    limits = [score for axis, score in axes.items() if axis != "forgetting"]
    forgetting = axes.get("forgetting")
    if forgetting is None or not limits:
        return axes
    limited = AxisScore(
        min(forgetting.value, *(limit.value for limit in limits)),
        min(forgetting.low, *(limit.low for limit in limits)),
        min(forgetting.high, *(limit.high for limit in limits)),
        forgetting.raw,
        forgetting.normalised,
        forgetting.over,
    )
    return {**axes, "forgetting": limited}


def collapsed(axes: dict[str, AxisScore], below: float) -> bool:
    """Whether retention or fluency is not distinguishable from at most `below` of the original's."""
    return any(axes[axis].low <= below for axis in ("retention", "fluency") if axis in axes)


def _row(entry: Entry, board: Board, known: dict[str, Scale]) -> Ranked:
    """An entry that has no rank yet."""
    axes, below, anchor = axes_of(entry, board, known), board.rules.collapsed_below, _anchor(entry, board)
    broken = collapsed(axes, below)
    untouched = not broken and anchor is None and "forgetting" in axes and axes["forgetting"].low <= below
    lacking = tuple(metric.label for metric in board.metrics if metric_of(entry.result, metric.key) is None)
    original = board.entry(board.anchors.original) if board.anchors.original else None
    log = board.published(entry)
    asked = tuple(checks.differences_in_asking(entry.result, original.result)) if original and log is None else ()
    return Ranked(
        entry, axes, collapsed=broken, anchor=anchor, untouched=untouched, lacking=lacking, asked=asked, log=log
    )


def rank(board: Board) -> list[Ranked]:
    """Every entry with its rank, best first; then incomplete entries, and anchors last."""
    known = scales(board)
    rows = [_row(entry, board, known) for entry in board.entries]
    ranked: list[Ranked] = []
    front = 0
    for broken in (False, True):
        group = [row for row in rows if row.anchor is None and not row.lacking and row.collapsed == broken]
        for members in fronts([row.axes for row in group]):
            front += 1
            place = len(ranked) + 1
            tier = [
                replace(row, rank=place, tied=len(members) > 1, front=front)
                for row in (group[index] for index in members)
            ]
            ranked += sorted(tier, key=lambda row: (-worst_axis(row.axes), row.entry.name))
    incomplete = [row for row in rows if row.lacking and row.anchor is None]
    ranked += sorted(incomplete, key=lambda row: (-worst_axis(row.axes), row.entry.name))
    anchors = (row for row in rows if row.anchor)
    return ranked + sorted(anchors, key=lambda row: (ANCHORS.index(row.anchor), _by_name(row.entry)))


def standing(board: Board, name: str) -> str:
    """The position of an entry in words: its rank, or why it is not ranked."""
    rows = rank(board)
    row = next(row for row in rows if row.entry.name == name)
    if row.anchor:
        return (
            f"the board's {row.anchor}, which has no rank"
            if row.anchor != "reference"
            else "a reference without a rank"
        )
    if row.lacking:
        return f"incomplete, no rank: it lacks {', '.join(row.lacking)}"
    collapsed = ", collapsed" if row.collapsed else ""
    return f"rank {row.label} of {sum(other.rank is not None for other in rows)} ranked{collapsed}"


def _anchor(entry: Entry, board: Board) -> str | None:
    if entry.name == board.anchors.original:
        return "original"
    if entry.name == board.anchors.oracle:
        return "oracle"
    return "reference" if board.published(entry) else None


def fronts(models: Sequence[dict[str, AxisScore]]) -> list[list[int]]:
    """Indices in fronts, best first: no member of a front is clearly beaten by one in it or behind it.

    Significance is not transitive (A over B over C over A is possible); models in a cycle share a front.
    """
    if not models:
        return []
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    beats = dominance(models)
    count, label = connected_components(csr_array(beats), directed=True, connection="strong")
    members = csr_array((np.ones(len(label)), (label, np.arange(len(label)))), shape=(count, len(label)))
    between = (members @ csr_array(beats.astype(float)) @ members.T).toarray() > 0
    np.fill_diagonal(between, False)
    left = np.ones(count, dtype=bool)
    found = []
    while left.any():
        top = left & ~between[left].any(axis=0)
        found.append([int(i) for i in np.flatnonzero(top[label])])
        left &= ~top
    return found


def dominance(models: Sequence[dict[str, AxisScore]]) -> np.ndarray:
    """Boolean (n, n): row clearly better than column on some axis, and clearly worse on none."""
    n = len(models)
    better = np.zeros((n, n), dtype=bool)
    worse = np.zeros((n, n), dtype=bool)
    for axis in AXES:
        if not all(axis in model for model in models):
            continue
        value, low, high = (
            np.array([getattr(model[axis], end) for model in models]) for end in ("value", "low", "high")
        )
        lead = value[:, None] - value[None, :]
        # How far noise alone may part two equal models: their half-widths towards each other, in quadrature (MOVER).
        noise = np.hypot((value - low)[:, None], (high - value)[None, :])
        clear = lead > noise + 1e-12
        better |= clear
        worse |= clear.T
    return better & ~worse


def worst_axis(axes: dict[str, AxisScore]) -> float:
    """The lowest of an entry's axes."""
    return min((score.value for score in axes.values()), default=0.0)


def file_order(board: Board) -> list[Entry]:
    """The entries in the order that the board declares for its file; ties by name, so that the order is stable."""
    key = board.rules.sort
    if key == WORST_AXIS:
        known = scales(board)
        return sorted(board.entries, key=lambda e: (-round(worst_axis(axes_of(e, board, known)), 12), _by_name(e)))
    if key in ("name", "submitted"):
        return sorted(board.entries, key=lambda e: ("" if key == "name" else e.submitted, _by_name(e)))
    metric = next(m for m in board.metrics if m.key == key)
    sign = -1 if metric.higher_is_better else 1

    def order(entry: Entry) -> tuple[bool, float, tuple[str, str]]:
        value = value_of(entry.result, key)
        return value is None, sign * (value or 0.0), _by_name(entry)

    return sorted(board.entries, key=order)


def _by_name(entry: Entry) -> tuple[str, str]:
    return strings.name_key(entry.name), entry.name
