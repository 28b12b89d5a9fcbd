"""Rows of {question, reference, response}: a JSON array, JSON lines, an object that holds rows, or a Parquet table.

Other names are understood too (see `_fields`), and `--map` names any. Optional: id, role, and cluster, what several
rows have in common (the person asked about): intervals are then computed over clusters; agreement, the probability
that the response states the reference, for `--agreement given`. Other keys are ignored. An
empty response is an answer; null is not: the row is unscored, with a reason. Only fluency rows may leave out
`reference`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from unlearn_bench.errors import UserError
from unlearn_bench.formats import _fields, _json
from unlearn_bench.formats._readings import Malformed, Readings, file_task, need_role, role_of
from unlearn_bench.schema import Given, Response, Role

NO_ANSWER = "no_answer_in_file"


def detect(path: Path, head: str) -> bool:
    """JSON of any kind: what no other format takes."""
    return head.lstrip()[:1] in ("[", "{")


def read(path: Path, text: str, role: Role | None, mapping: Mapping[str, str] | None = None) -> Readings:
    """Read rows; see `formats.read`."""
    return read_rows(_json.rows(text, path, _fields.asks), path, role, mapping or {})


def read_rows(rows: Iterable[_json.Row], path: Path, role: Role | None, mapping: Mapping[str, str]) -> Readings:
    """Rows of any container as answers; a bad row is named and costs only itself."""
    readings = Readings(dataset=path.name)
    taken: Counter[tuple[str, str]] = Counter()
    several: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for number, row in enumerate(rows):
        try:
            if row.error:
                raise Malformed(row.error)
            kind = _role(row.value, path, role, mapping)
            if role not in (None, kind):
                others[kind] += 1
                continue
            found = _fields.find(row.value, mapping, reference_optional=kind == "fluency")
            response = _response(row.value, found, number, path, kind, mapping)
            if taken[response.task, response.id]:
                raise Malformed(f"id {response.id!r:.60} is taken by a row before")
        except Malformed as error:
            readings.errors.append(f"{row.where}: {error}")
            continue
        several[found.several or ""] += 1
        taken[response.task, response.id] += 1
        readings.responses.append(response)
    for field, count in several.items():
        if field:
            readings.notes.append(
                f"{path.name}: rows with several values of {field}, of which the first counts: {count}"
            )
    for kind, count in sorted(others.items()):
        readings.notes.append(f"{path.name}: rows of role {kind} left out, as --role {role} asks: {count}")
    _refuse_if_nothing_fits(readings, path)
    return readings


def _refuse_if_nothing_fits(readings: Readings, path: Path) -> None:
    """One message in place of the same one for every row."""
    reasons = {error.partition(": ")[2] for error in readings.errors}
    if not readings.responses and len(readings.errors) > 1 and len(reasons) == 1:
        raise UserError(f"{path}: none of its {len(readings.errors)} rows is an answer: {reasons.pop()}")


def _role(row: Mapping[str, object], path: Path, role: Role | None, mapping: Mapping[str, str]) -> Role:
    own = _fields.get(row, "role", mapping) or _fields.get(row, "split", mapping)
    if own is None:
        return need_role(path, role)
    found = role_of(own)
    if found is None and role is None:
        raise Malformed(f"split {own!r:.60} says no role; add --role forget, retain, …")
    return found or role


def _response(
    row: Mapping[str, object],
    found: _fields.Found,
    number: int,
    path: Path,
    kind: Role,
    mapping: Mapping[str, str],
) -> Response:
    cluster = _fields.get(row, "cluster", mapping)
    return Response(
        id=_id(_fields.get(row, "id", mapping), number),
        task=file_task(path, kind),
        role=kind,
        question=_checked("question", found.question, empty=False),
        reference=None if found.reference is None else _checked("reference", found.reference).strip() or None,
        response="" if found.response is None else _checked("response", found.response),
        missing=NO_ANSWER if found.response is None else None,
        cluster=None if cluster is None else _checked("cluster", cluster).strip() or None,
        given=_given(row, mapping),
    )


def _given(row: Mapping[str, object], mapping: Mapping[str, str]) -> Given | None:
    """The probability that the response states the reference; an unmapped key of that name may mean something else."""
    value = _fields.get(row, "agreement", mapping)
    if value is None or value == "":
        return None
    try:
        return Given.model_validate({"agreement": value})
    except ValidationError:
        if "agreement" in mapping:
            raise Malformed(f"'agreement' must be a number from 0 to 1, got {value!r:.60}") from None
        return None


def _checked(field: str, value: object, *, empty: bool = True) -> str:
    if not isinstance(value, str):
        raise Malformed(f"{field!r} must be text, got {value!r:.60}")
    if not empty and not value.strip():
        raise Malformed(f"{field!r} is empty")
    return _json.clean(value)


def _id(value: object, number: int) -> str:
    if value is None:
        return str(number)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise Malformed(f"'id' must be text or a whole number, got {value!r:.60}")
    return _json.clean(str(value))
