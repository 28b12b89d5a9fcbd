"""The values behind the tables, as arrays for diagnostics.npz.

Rows of unequal length lie one behind the other: `<group>_counts` says how many entries each row has. Dtypes are the
smallest that keep the numbers.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from unlearn_bench.diagnostics._records import Record
from unlearn_bench.diagnostics.weights import ModuleChange


def arrays_of(records: Sequence[Record], changes: Sequence[ModuleChange]) -> dict[str, np.ndarray]:
    """Arrays by name: `forced_*`, `free_*`, `lens_*`, `oracle_lens_*`, `circuit_*`, `depth_*`, `weights_*`."""
    prompts = [r.prompt for r in records]
    arrays = {
        "row_id": np.array([p.id for p in prompts]),
        "row_cluster": np.array([p.cluster or "" for p in prompts]),
        "entity_token": np.array([p.entity[0] - p.start for p in prompts], np.int32),
    }
    for group in ("forced", "free", "lens", "oracle_lens"):
        found = [value for r in records if (value := getattr(r, group)) is not None]
        if found:
            arrays |= _stacked(group, found)
    for group in ("circuit", "original_circuit"):
        found = [value for r in records if (value := getattr(r, group)) is not None]
        if found:
            arrays |= _circuits(group, records)
    for name in ("d1", "d2", "control"):
        if records[0].d1 is not None:
            arrays[f"depth_{name}"] = np.stack([getattr(r, name) for r in records])
    if changes:
        arrays["weights_name"] = np.array([c.name for c in changes])
        for name in ("update_norm", "effective_rank"):
            values = [getattr(c, name) for c in changes]
            arrays[f"weights_{name}"] = np.array([np.nan if v is None else v for v in values])
    return arrays


def _stacked(group: str, found: Sequence[object]) -> dict[str, np.ndarray]:
    arrays = {f"{group}_counts": np.array([len(f.finite) for f in found], np.int32)}
    for field in dataclasses.fields(found[0]):
        values = [getattr(f, field.name) for f in found]
        if values[0] is not None:
            arrays[f"{group}_{field.name}"] = _small(np.concatenate(values))
    return arrays


def _circuits(group: str, records: Sequence[Record]) -> dict[str, np.ndarray]:
    kept = [(i, getattr(r, group)) for i, r in enumerate(records) if getattr(r, group) is not None]
    return {
        f"{group}_row": np.array([i for i, _ in kept], np.int32),
        f"{group}_heads": np.stack([c.heads for _, c in kept]).astype(np.float32),
        f"{group}_source_counts": np.array([c.sources.shape[1] for _, c in kept], np.int32),
        f"{group}_sources": np.concatenate([c.sources.T for _, c in kept]).astype(np.float32),
        f"{group}_edge_counts": np.array([len(c.edges) for _, c in kept], np.int32),
        f"{group}_edges": np.concatenate([c.edges for _, c in kept]),
        f"{group}_error": np.array([c.error for _, c in kept]),
    }


def _small(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "i":
        return values.astype(np.int32)
    return values.astype(np.float32) if values.dtype.kind == "f" else values
