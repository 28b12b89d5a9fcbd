"""Rows of {question, reference, response}: a JSON array, or JSON lines.

Other names that are understood: query; ground_truth, gt; generated_response, prediction, pred. Optional: id, split,
and cluster, what several rows have in common (the person asked about): intervals are then computed over clusters. Other
keys are ignored. An empty response is an answer; a missing one, or null, is not. Only fluency rows may leave out
`reference`.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from unlearn_bench.formats import _json
from unlearn_bench.formats._readings import (
    Malformed,
    Readings,
    file_task,
    full_text,
    need_split,
    optional_text,
    split_of,
    text_of,
)
from unlearn_bench.schema import Response, Split

ALIASES = {
    "question": ("query",),
    "reference": ("ground_truth", "gt"),
    "response": ("generated_response", "prediction", "pred"),
}


def detect(path: Path, head: str) -> bool:
    """Rows with a key for a question and one for a response."""
    opening = head.lstrip()[:1]
    named = [any(f'"{name}"' in head for name in (key, *ALIASES[key])) for key in ("question", "response")]
    return opening in ("[", "{") and all(named)


def read(path: Path, text: str, split: Split | None) -> Readings:
    """Read rows; see `formats.read`."""
    readings = Readings(dataset=path.name)
    taken: Counter[tuple[str, str]] = Counter()
    for number, row in enumerate(_json.rows(text, path)):
        try:
            if row.error:
                raise Malformed(row.error)
            response = _response(row.value, number, path, split)
            if response is None:
                continue
            if taken[response.task, response.id]:
                raise Malformed(f"id {response.id!r:.60} is taken by a row before")
        except Malformed as error:
            readings.errors.append(f"{row.where}: {error}")
            continue
        taken[response.task, response.id] += 1
        readings.responses.append(response)
    return readings


def _response(row: Mapping[str, object], number: int, path: Path, split: Split | None) -> Response | None:
    """One row as an answer; None if it is of another split than the one that was asked for."""
    own = row.get("split")
    if own is not None and split not in (None, split_of(own)):
        return None
    kind = split_of(own) if own is not None else need_split(path, split)
    optional = {"reference"} if kind == "fluency" else set()
    fields = {key: _find(row, key, optional=key in optional) for key in ALIASES}
    return Response(
        id=_id(row, number),
        task=file_task(path, kind),
        split=kind,
        question=full_text(row, fields["question"]),
        reference=optional_text(row, fields["reference"]),
        response=text_of(row, fields["response"]),
        cluster=optional_text(row, "cluster"),
    )


def _find(row: Mapping[str, object], key: str, *, optional: bool) -> str:
    """Name under which a row has a field: its own, or the one alias that is there."""
    if key in row:
        return key
    found = [name for name in ALIASES[key] if name in row]
    if len(found) > 1 and len({str(row[name]) for name in found}) > 1:
        raise Malformed(f"{' and '.join(found)} differ: which is the {key}?")
    if not found and not optional:
        raise Malformed(f"no {key!r} (nor {', '.join(map(repr, ALIASES[key]))})")
    return found[0] if found else key


def _id(row: Mapping[str, object], number: int) -> str:
    value = row.get("id")
    if value is None:
        return str(number)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise Malformed(f"'id' must be text or a whole number, got {value!r:.60}")
    return _json.clean(str(value))
