"""From rows to numbers: means over rows with 95 % intervals, resampled by cluster where the rows have one."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from unlearn_bench.diagnostics import circuits, depth, logit_lens, token_distribution
from unlearn_bench.diagnostics._records import Record
from unlearn_bench.diagnostics._summary import mean_with_interval
from unlearn_bench.diagnostics.token_distribution import Distribution
from unlearn_bench.diagnostics.weights import ModuleChange
from unlearn_bench.schema import MetricValue

WHERE = ("first", "answer", "entity")
Table = dict[str, MetricValue]
# A row's value, or the reason why it has none.
Value = float | str
NOT_FINITE = "logits_not_finite"
PROPORTIONS = frozenset({"says_gold", "flattened", "repeaked", "silent", "residual", "residual_retain"})


def summarise(
    records: Sequence[Record],
    value: Callable[[Record], Value],
    *,
    proportion: bool = False,
    higher_is_better: bool | None = None,
) -> MetricValue:
    """Mean of a value over rows; rows that have a reason in place of a value are counted."""
    found = [value(record) for record in records]
    scored = [(v, r.prompt.cluster) for v, r in zip(found, records, strict=True) if not isinstance(v, str)]
    reasons = Counter(v for v in found if isinstance(v, str))
    mean = mean_with_interval([v for v, _ in scored], [cluster for _, cluster in scored], proportion=proportion)
    return mean.model_copy(
        update={
            "unscored": sum(reasons.values()),
            "unscored_reasons": dict(sorted(reasons.items())),
            "higher_is_better": higher_is_better,
        }
    )


def _over(values: np.ndarray, finite: np.ndarray, at: Sequence[int]) -> Value:
    """Mean over positions; a position whose logits are not finite has no value."""
    usable = [i for i in at if finite[i]]
    return float(np.mean(values[usable])) if usable else NOT_FINITE


def distribution_values(found: Distribution) -> dict[str, np.ndarray]:
    """The numbers of each position by their names in the tables."""
    values = {
        "entropy": found.entropy,
        "top_mass": found.top_mass,
        "gold_rank": found.gold_rank,
        "gold_probability": found.gold_probability,
        "says_gold": found.says_gold,
    }
    if found.divergence is not None:
        flat = token_distribution.flattened(found.entropy, found.original_entropy)
        top_id, top_probability = found.top_ids[:, 0], found.top_probabilities[:, 0]
        values |= {
            "reference_top_rank": found.anchor_rank,
            "reference_top_probability": found.anchor_probability,
            "divergence": found.divergence,
            "flattened": flat,
            "repeaked": token_distribution.repeaked(flat, top_id, top_probability, found.anchor),
        }
    return values


def token_table(records: Sequence[Record]) -> Table:
    """`forced_<where>_<name>`, and `free_answer_<name>` for the model's own answer."""
    table: Table = {}
    cases = [("forced", where) for where in WHERE]
    cases += [("free", "answer")] if records[0].free is not None else []
    measured = {mode: [distribution_values(getattr(r, mode)) for r in records] for mode in {m for m, _ in cases}}
    for mode, where in cases:
        by_id = {id(r): values for r, values in zip(records, measured[mode], strict=True)}
        for name in measured[mode][0]:

            def value(r: Record, name: str = name, mode: str = mode, where: str = where, by_id: dict = by_id) -> Value:
                found = getattr(r, mode)
                at = r.at(where) if mode == "forced" else range(len(found.entropy))
                return _over(by_id[id(r)][name], found.finite, at)

            table[f"{mode}_{where}_{name}"] = summarise(records, value, proportion=name in PROPORTIONS)
    return table


def lens_table(records: Sequence[Record]) -> Table:
    """`<where>_<name>` for where the answer forms, and what is left of gold where the output does not say it."""
    table: Table = {}
    for where in WHERE:
        for name in ("formation_layer", "jump", "jump_layer", "gold_best_rank"):
            table[f"{where}_{name}"] = summarise(records, lambda r, n=name, w=where: _lens_value(r, n, w))
        for name in ("silent", "residual", "residual_best_rank"):
            table[f"{where}_{name}"] = summarise(
                records, lambda r, n=name, w=where: _residual_value(r, n, w), proportion=name in PROPORTIONS
            )
        if records[0].oracle_lens is not None:
            for name in ("residual_retain", "residual_excess"):
                table[f"{where}_{name}"] = summarise(
                    records, lambda r, n=name, w=where: _residual_value(r, n, w), proportion=name in PROPORTIONS
                )
    return table


def _lens_value(record: Record, name: str, where: str) -> Value:
    lens = record.lens
    size, level = logit_lens.largest_jump(lens.kl)
    values = {
        "formation_layer": logit_lens.formation_layer(lens.top_ids[..., 0]),
        "jump": size,
        "jump_layer": level,
        "gold_best_rank": logit_lens.best_rank(lens.rank),
    }
    return _over(values[name], lens.finite, record.at(where))


def _residual_value(record: Record, name: str, where: str) -> Value:
    """Residual knowledge is a property of positions at which the output does not say gold."""
    lens = record.lens
    at = [i for i in record.at(where) if lens.finite[i]]
    if not at:
        return NOT_FINITE
    says_gold = lens.top_ids[at, -1, 0] == lens.gold[at]
    if name == "silent":
        return float(np.mean(~says_gold))
    silent = [i for i, says in zip(at, says_gold, strict=True) if not says]
    if not silent:
        return "output_says_gold"
    best = logit_lens.best_rank(lens.rank[silent])
    if name == "residual_best_rank":
        return float(np.mean(best))
    left = np.mean(logit_lens.residual(lens.rank[silent], np.zeros(len(silent), bool)))
    if name == "residual":
        return float(left)
    if not record.oracle_lens.finite[silent].all():
        return "retain_" + NOT_FINITE
    never = np.mean(logit_lens.best_rank(record.oracle_lens.rank[silent]) <= logit_lens.RESIDUAL_RANK)
    return float(never if name == "residual_retain" else left - never)


def lens_layers(records: Sequence[Record]) -> dict[str, list[float | None]]:
    """`<where>_<name>` by level: mean KL, median rank and mean probability of the gold token."""
    layers: dict[str, list[float | None]] = {}
    sources = [("", "lens")] + ([("retain_", "oracle_lens")] if records[0].oracle_lens is not None else [])
    for prefix, attribute in sources:
        for where in WHERE:
            for name, centre in (("kl", np.mean), ("rank", np.median), ("probability", np.mean)):
                rows = [_finite_rows(getattr(r, attribute), name, r.at(where)) for r in records]
                kept = np.concatenate(rows)
                layers[f"{prefix}{where}_{name}"] = (
                    [float(v) for v in centre(kept, axis=0)] if len(kept) else [None] * kept.shape[1]
                )
    return layers


def _finite_rows(lens: logit_lens.Lens, name: str, at: Sequence[int]) -> np.ndarray:
    return getattr(lens, name)[[i for i in at if lens.finite[i]]]


def circuit_table(records: Sequence[Record]) -> Table:
    """Shares of attention's contribution by source, edges by threshold; differences are judged - original."""
    table: Table = {}
    for group in circuits.GROUPS:
        table[f"{group}_share"] = summarise(records, lambda r, g=group: _share(r, r.circuit, g))
    table["stream_share"] = summarise(records, lambda r: _circuit(r.circuit, lambda c: float(c.residual.mean())))
    for threshold in circuits.THRESHOLDS:
        table[f"edges_{threshold}"] = summarise(records, lambda r, t=threshold: _edges(r, r.circuit, t))
    if all(r.original_circuit is None for r in records):
        return table
    for group in circuits.GROUPS:
        table[f"{group}_share_reference"] = summarise(records, lambda r, g=group: _share(r, r.original_circuit, g))
        table[f"{group}_share_difference"] = summarise(
            records, lambda r, g=group: _difference(_share(r, r.circuit, g), _share(r, r.original_circuit, g))
        )
    for threshold in circuits.THRESHOLDS:
        table[f"edges_{threshold}_difference"] = summarise(
            records, lambda r, t=threshold: _difference(_edges(r, r.circuit, t), _edges(r, r.original_circuit, t))
        )
        table[f"graph_difference_{threshold}"] = summarise(records, lambda r, t=threshold: _graphs(r, t))
    return table


def _circuit(circuit: circuits.Circuit | None, value: Callable[[circuits.Circuit], float]) -> Value:
    return NOT_FINITE if circuit is None else value(circuit)


def _share(record: Record, circuit: circuits.Circuit | None, group: str) -> Value:
    if not record.prompt.subject:
        return "subject_not_found"
    return _circuit(circuit, lambda c: circuits.shares(c.sources, record.prompt)[group])


def _followed(record: Record, circuit: circuits.Circuit, threshold: float) -> np.ndarray:
    return circuits.follow(circuit.edges, record.prompt.entity[0] - 1, len(circuit.heads), threshold)


def _edges(record: Record, circuit: circuits.Circuit | None, threshold: float) -> Value:
    return _circuit(circuit, lambda c: float(len(_followed(record, c, threshold))))


def _graphs(record: Record, threshold: float) -> Value:
    if record.circuit is None or record.original_circuit is None:
        return NOT_FINITE
    ours, theirs = (_followed(record, c, threshold) for c in (record.circuit, record.original_circuit))
    return circuits.graph_difference(ours, theirs)


def _difference(ours: Value, theirs: Value) -> Value:
    return next((v for v in (ours, theirs) if isinstance(v, str)), None) or ours - theirs


def depth_table(records: Sequence[Record]) -> Table:
    """`uds`, and `control`: what the oracle's patch costs where both models know the token, nats.

    Rows whose D1 is at or below the threshold at every layer have no score.
    """
    return {
        "uds": summarise(records, _uds, higher_is_better=True),
        "control": summarise(records, _control, higher_is_better=False),
    }


def _uds(record: Record) -> Value:
    if not (np.isfinite(record.d1).all() and np.isfinite(record.d2).all()):
        return NOT_FINITE
    value = float(depth.unlearning_depth(record.d1, record.d2))
    return "no_layer_above_threshold" if np.isnan(value) else value


def _control(record: Record) -> Value:
    if not np.isfinite(record.d1).all():
        return NOT_FINITE
    tried = record.control[np.isfinite(record.control)]
    return float(tried.mean()) if len(tried) else "no_token_that_both_know"


def depth_layers(records: Sequence[Record]) -> dict[str, list[float | None]]:
    """Mean D1, D2 and control by block, nats; None where undefined."""
    layers = {}
    for name in ("d1", "d2", "control"):
        values = np.ma.masked_invalid([getattr(r, name) for r in records]).mean(0)
        layers[name] = [None if v is np.ma.masked else float(v) for v in values]
    return layers


def weight_table(changes: Sequence[ModuleChange]) -> Table:
    """The update's norm over all parameters, the mean effective rank of matrices, flips by number of weights."""
    broken = sum(not c.finite for c in changes)
    changes = [c for c in changes if c.finite]
    before = sum(c.norm_before**2 for c in changes)
    moved = sum(c.norm_change**2 for c in changes)
    ranks = [c.effective_rank for c in changes if c.effective_rank is not None]
    coded = [c for c in changes if c.flips]
    total = sum(c.parameters for c in coded)
    table = {
        "update_norm": MetricValue(
            value=(moved / before) ** 0.5 if before else None,
            n=len(changes),
            unscored=broken,
            unscored_reasons={"not_finite": broken} if broken else {},
        ),
        "effective_rank": MetricValue(
            value=float(np.mean(ranks)) if ranks else None,
            n=len(ranks),
            unscored=len(changes) - len(ranks),
            unscored_reasons={"vector_or_unchanged": len(changes) - len(ranks)} if len(ranks) < len(changes) else {},
        ),
    }
    for scheme in coded[0].flips if coded else ():
        share = sum(c.flips[scheme] * c.parameters for c in coded) / total
        table[f"flips_{scheme}"] = MetricValue(value=min(share, 1.0), n=len(coded))
    return table
