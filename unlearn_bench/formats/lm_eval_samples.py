"""samples_<task>_<time>.jsonl as lm-eval writes it with --log_samples: answers, options, likelihoods of single texts.

Taken: the generated text before any filter (`resps`), the question from `doc` (else the whole prompt), the reference
from `target`, and from our own tasks' documents also id, role and cluster. lm-eval writes one row for each filter: a
document's first row counts. Of several answers to a document (`repeats`) the first is scored, which is noted.

Of a multiple-choice task each option's log-likelihood is taken: the sum over its tokens, whose number the log leaves
out, so it stands as one token. The right option is `target`, an index or the option's text.

Of a `loglikelihood` task the continuation is the reference answer, of `loglikelihood_rolling` the whole text, after no
question. Their log-likelihood says nothing without the number of tokens, which `count` gives; without it such rows are
malformed.
"""

import ast
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.formats import _json
from unlearn_bench.formats._readings import (
    Malformed,
    Readings,
    file_task,
    finite,
    known_role,
    need_role,
    optional_text,
)
from unlearn_bench.schema import NOT_ASKED, Likelihood, Response, Role

QUESTION_KEYS = ("question", "query", "problem", "prompt", "input")
_FILE_NAME = re.compile(r"samples_(?P<task>.+?)_\d{4}-\d{2}-\d{2}T[\d.:-]+\.jsonl?")


def detect(path: Path, head: str) -> bool:
    """Rows with lm-eval's own keys."""
    return all(f'"{key}":' in head for key in ("doc_id", "doc", "resps"))


Count = Callable[[str, str], int]
"""Prompt and continuation to the number of the continuation's tokens."""


def read(path: Path, text: str, role: Role | None, *, count: Count | None = None) -> Readings:
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
            answers, requests = _answers(record["resps"]), _requests(record.get("arguments"))
            if requests and len(requests[0]) == 1:  # a rolling log-likelihood has no settings, and looks like a text
                answers = None
            scores_only += answers is None
            repeated += len(answers or ()) > 1
            if answers is not None:
                response = _response(record, answers[0], path, role)
            elif isinstance(record["resps"], list) and len(record["resps"]) == 1 and requests:
                response = _single(record, requests[0], path, role, count)
            else:
                response = _choice(record, path, role)
        except Malformed as error:
            readings.errors.append(f"{row.where}: {error}")
            continue
        if role in (None, response.role):
            found.append((record["doc_id"], response))
    if scores_only and not found:
        raise UserError(
            f"{path}: log-likelihoods, none of which can be scored\n  {readings.errors[0]}",
            hint="log-likelihoods of single texts need --tokenizer FOLDER, the model's, which counts their tokens"
            if count is None
            else "score the samples of a generate_until, multiple_choice or loglikelihood task",
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


def _choice(record: Mapping[str, object], path: Path, role: Role | None) -> Response:
    """A question with the log-likelihoods of its options."""
    sums = [_sum(one) for one in record["resps"]] if isinstance(record["resps"], list) else []
    if len(sums) < 2 or None in sums:
        raise Malformed("no generated text, and no finite log-likelihoods of several options")
    texts = _continuations(record.get("arguments"), len(sums))
    kind = need_role(path, role)
    match = _FILE_NAME.fullmatch(path.name)
    return Response(
        id=str(record["doc_id"]),
        task=match["task"] if match else file_task(path, kind),
        role=kind,
        question=_question(record),
        reference=texts[gold].strip() or None if (gold := _gold(record, texts)) is not None else None,
        response="",
        missing=NOT_ASKED,
        choices=texts,
        gold=gold,
        likelihoods={
            f"choices.{i}": Likelihood(mean_logprob=total, tokens=1, logprobs=[total], hits=None)
            for i, total in enumerate(sums)
            if total is not None
        },
    )


def _single(
    record: Mapping[str, object], request: list[object], path: Path, role: Role | None, count: Count | None
) -> Response:
    """A text with its log-likelihood, which stands as the reference answer."""
    total = _sum(record["resps"][0])
    prompt, text = ("", *request) if len(request) == 1 else request[:2]
    if total is None or not isinstance(prompt, str) or not isinstance(text, str):
        raise Malformed("no generated text, and no finite log-likelihood of a text")
    if count is None:
        raise Malformed("the log-likelihood of a single text, and not the number of its tokens")
    if (tokens := count(prompt, text)) < 1:
        raise Malformed(f"{text[:40]!r} has no tokens after its prompt")
    read = _response(record, "", path, role, question="" if len(request) == 1 else None)
    found = Likelihood(mean_logprob=total / tokens, tokens=tokens)
    told = {"reference": _json.clean(text).strip() or None, "missing": NOT_ASKED, "likelihoods": {"answer": found}}
    return read.model_copy(update=told)


def _sum(response: object) -> float | None:
    """The log-likelihood in [[-1.5, False]], or in [-1.5] of a rolling one; the log turns its numbers into texts."""
    while isinstance(response, list) and response and isinstance(response[0], list):
        response = response[0]
    value = response[0] if isinstance(response, list) and len(response) in (1, 2) else None
    with suppress(ValueError):
        return finite(float(value) if isinstance(value, str) else value)
    return None


def _continuations(arguments: object, count: int) -> list[str]:
    """The second argument of each request: the option as it stands after the prompt."""
    texts = [one[1] for one in _requests(arguments) if len(one) > 1 and isinstance(one[1], str)]
    if len(texts) != count:
        raise Malformed(f"{count} log-likelihoods and {len(texts)} options in 'arguments'")
    return [_json.clean(text) for text in texts]


def _requests(arguments: object) -> list[list[object]]:
    """The arguments of each request: lists of lists in memory, {"gen_args_0": {"arg_0": prompt}} in a file."""
    requests = list(arguments.values()) if isinstance(arguments, dict) else arguments
    requests = requests if isinstance(requests, list) else []
    return [
        found for one in requests if isinstance(found := list(one.values()) if isinstance(one, dict) else one, list)
    ]


def _gold(record: Mapping[str, object], texts: list[str]) -> int | None:
    """Index of the right option: the target as a number, or the option that reads like it."""
    target = str(record.get("target")).strip()
    if target.isdecimal() and int(target) < len(texts):
        return int(target)
    return next((i for i, text in enumerate(texts) if text.strip() == target), None)


def _response(
    record: Mapping[str, object], answer: str, path: Path, role: Role | None, *, question: str | None = None
) -> Response:
    doc = record["doc"]
    own = doc.get("role", doc.get("split"))  # "split" up to version 0.1
    ours = own is not None and {"id", "question", "answer"} <= doc.keys()
    kind = known_role(own) if ours else need_role(path, role)
    match = _FILE_NAME.fullmatch(path.name)
    return Response(
        id=str(doc["id"]) if ours else str(record["doc_id"]),
        task=match["task"] if match else file_task(path, kind),
        role=kind,
        question=_question(record) if question is None else question,
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
