"""samples_<task>_<time>.jsonl as lm-eval writes it with --log_samples: of our own tasks, and of any generation task.

Taken: the generated text before any filter (`resps`), the question from `doc` (else the whole prompt), the reference
from `target`, and from our own tasks' documents also id, role and cluster. lm-eval writes one row for each filter: a
document's first row counts. Of several answers to a document (`repeats`) the first is scored, which is noted.
"""

import ast
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.formats import _json
from unlearn_bench.formats._readings import Malformed, Readings, file_task, known_role, need_role, optional_text
from unlearn_bench.schema import Response, Role

QUESTION_KEYS = ("question", "query", "problem", "prompt", "input")
_FILE_NAME = re.compile(r"samples_(?P<task>.+?)_\d{4}-\d{2}-\d{2}T[\d.:-]+\.jsonl?")


def detect(path: Path, head: str) -> bool:
    """Rows with lm-eval's own keys."""
    return all(f'"{key}":' in head for key in ("doc_id", "doc", "resps"))


def read(path: Path, text: str, role: Role | None) -> Readings:
    """Read a sample log; see `formats.read`."""
    readings = Readings(dataset=path.name)
    seen: set[object] = set()
    found: list[tuple[object, Response]] = []
    scores_only = repeated = 0
    for row in _json.rows(text, path, lambda record: "doc_id" in record):
        try:
            record = _record(row)
            if record["doc_id"] in seen:
                continue
            seen.add(record["doc_id"])
            answers = _answers(record["resps"])
            scores_only += answers is None
            if answers is None:
                raise Malformed("no generated text (a row of log-likelihoods)")
            repeated += len(answers) > 1
            response = _response(record, answers[0], path, role)
        except Malformed as error:
            readings.errors.append(f"{row.where}: {error}")
            continue
        if role in (None, response.role):
            found.append((record["doc_id"], response))
    if scores_only and not found:
        raise UserError(
            f"{path}: a task of log-likelihoods, no generated text", hint="score a generate_until task's samples"
        )
    if repeated:
        readings.notes.append(
            f"{path.name}: {repeated} questions were answered several times; the first answer was scored"
        )
    found.sort(key=lambda pair: (isinstance(pair[0], str), pair[0]))  # several processes log one after the other
    readings.responses = [response for _, response in found]
    return readings


def _record(row: _json.Row) -> Mapping[str, object]:
    if row.error:
        raise Malformed(row.error)
    for key in ("doc_id", "doc", "resps"):
        if key not in row.value:
            raise Malformed(f"no {key!r}")
    if not isinstance(row.value["doc_id"], (int, str)) or not isinstance(row.value["doc"], dict):
        raise Malformed("'doc_id' must be a number or text, 'doc' an object")
    return row.value


def _answers(resps: object) -> list[str] | None:
    """Every answer to a document; None if the responses are not texts (log-likelihoods are pairs)."""
    if isinstance(resps, list) and len(resps) == 1 and isinstance(resps[0], list):
        resps = resps[0]
    good = isinstance(resps, list) and resps and all(isinstance(answer, str) for answer in resps)
    return [_json.clean(answer) for answer in resps] if good and not _is_loglikelihood(resps) else None


def _is_loglikelihood(resps: list[str]) -> bool:
    """['-86.145', 'False']: lm-eval's log turns the numbers of a log-likelihood into texts."""
    return (
        len(resps) == 2 and resps[1] in ("True", "False") and re.fullmatch(r"-?\d[\d.e+-]*|-?inf", resps[0]) is not None
    )


def _response(record: Mapping[str, object], answer: str, path: Path, role: Role | None) -> Response:
    doc = record["doc"]
    own = doc.get("role", doc.get("split"))  # "split" up to version 0.1
    ours = own is not None and {"id", "question", "answer"} <= doc.keys()
    kind = known_role(own) if ours else need_role(path, role)
    match = _FILE_NAME.fullmatch(path.name)
    return Response(
        id=str(doc["id"]) if ours else str(record["doc_id"]),
        task=match["task"] if match else file_task(path, kind),
        role=kind,
        question=_question(record),
        reference=optional_text(doc, "answer") if ours else _target(record.get("target")),
        response=answer,
        cluster=optional_text(doc, "cluster") if ours else None,
    )


def _question(record: Mapping[str, object]) -> str:
    doc = record["doc"]
    for key in QUESTION_KEYS:
        if isinstance(doc.get(key), str) and doc[key].strip():
            return _json.clean(doc[key])
    prompt = _prompt(record.get("arguments"))
    if not isinstance(prompt, str) or not prompt.strip():
        raise Malformed(f"no question: neither {', '.join(QUESTION_KEYS)} in 'doc' nor a prompt in 'arguments'")
    return _json.clean(prompt)


def _prompt(arguments: object) -> object:
    """The prompt of the first request: a list of lists in memory, {"gen_args_0": {"arg_0": prompt}} in a file."""
    while isinstance(arguments, (dict, list)) and arguments:
        arguments = next(iter(arguments.values())) if isinstance(arguments, dict) else arguments[0]
    return arguments


def _target(target: object) -> str | None:
    """The reference; the first where a task has several (the log writes a list as text)."""
    if isinstance(target, str) and target.startswith("["):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            target = ast.literal_eval(target)
    if isinstance(target, list):
        target = target[0] if target else None
    if isinstance(target, (int, float)) and not isinstance(target, bool):
        target = str(target)
    return (_json.clean(target).strip() or None) if isinstance(target, str) else None
