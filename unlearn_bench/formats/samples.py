"""samples.jsonl as this program writes it: scored again, with other parts or rules.

Scores and evidence in it are not used; the whole answer is, where the first-answer cut had shortened it.
"""

from pathlib import Path

from pydantic import ValidationError

from unlearn_bench.formats import _json
from unlearn_bench.formats._readings import Malformed, Readings
from unlearn_bench.schema import Response, Role, Sample


def detect(path: Path, head: str) -> bool:
    """JSON lines with the keys of a scored sample."""
    return head.lstrip().startswith("{") and all(f'"{key}":' in head for key in ("task", "scores", "unscored"))


def read(path: Path, text: str, role: Role | None) -> Readings:
    """Read samples; see `formats.read`."""
    readings = Readings(dataset=path.name)
    taken: set[tuple[str, str]] = set()
    for row in _json.rows(text, path):
        try:
            sample = _sample(row)
            if (sample.task, sample.id) in taken:
                raise Malformed(f"id {sample.id!r:.60} is taken by a row of task {sample.task} before")
        except Malformed as error:
            readings.errors.append(f"{row.where}: {error}")
            continue
        taken.add((sample.task, sample.id))
        if role in (None, sample.role):
            readings.responses.append(_response(sample))
    return readings


def _sample(row: _json.Row) -> Sample:
    if row.error:
        raise Malformed(row.error)
    try:
        return Sample.model_validate(row.value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Malformed(f"not a sample: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _response(sample: Sample) -> Response:
    whole = sample.response if sample.raw_response is None else sample.raw_response
    return Response(
        id=sample.id,
        task=sample.task,
        role=sample.role,
        question=sample.question,
        reference=sample.reference,
        response=whole,
        missing=None if sample.raw_response else sample.missing,
        cluster=sample.cluster,
    )
