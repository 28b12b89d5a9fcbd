"""*_EVAL.json of locuslab/open-unlearning: every section that holds generations, of TOFU, MUSE and others.

    {"forget_Q_A_ROUGE": {"value_by_index": {"0": {"input", "ground_truth", "generation", …}}}, "forget_Q_A_Prob": …}

A section's name begins with its role: forget, retain, holdout, ra (real authors: neighbour), wf (world facts: world).
`input` is the whole prompt with special tokens dropped; the last question is taken out of it. The numbers of the file
(probabilities, losses, its own ROUGE) are not read. Clusters are found as in TOFU's own logs.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.formats import _json
from unlearn_bench.formats._readings import Malformed, Readings, file_stem, full_text, optional_text, role_of, text_of
from unlearn_bench.formats.tofu_log import unwrap, with_authors
from unlearn_bench.schema import Response, Role

_ROLES: dict[str, Role] = {"ra_": "neighbour", "wf_": "world"}
_BY_AUTHOR = ("forget_Q_A", "retain_Q_A")
# How a chat ends once its special tokens are dropped: the user's turn, then the assistant's name.
_CHAT = re.compile(r".*user\n+(?P<question>.*?)\s*assistant\s*", re.DOTALL)
_LAST_QUESTION = re.compile(r".*(?:^|\n)\s*Question:(?P<question>.*?)\n\s*Answer:\s*", re.DOTALL)
_OWN_KEY = re.compile(r'"(?:value_by_index|agg_value)"\s*:')


def detect(path: Path, head: str) -> bool:
    """An object whose members hold `value_by_index` or `agg_value`."""
    return head.lstrip().startswith("{") and _OWN_KEY.search(head) is not None


def read(path: Path, text: str, role: Role | None) -> Readings:
    """Read the generations; see `formats.read`."""
    document = _json.load_document(text, path)
    readings = Readings(dataset=file_stem(path))
    sections = list(_sections(document))
    if not sections:
        raise UserError(
            f"{path}: no generations in it (only numbers)", hint="score the *_EVAL.json of a run with ROUGE metrics"
        )
    for name, kind, rows in sections:
        if role not in (None, kind):
            continue
        task, found = name.removesuffix("_ROUGE"), []
        for key, entry in rows.items():
            try:
                found.append(_response(str(key), entry, task, kind))
            except Malformed as error:
                line = _json.line_of(text, [name, "value_by_index", key])
                readings.errors.append(f"{path}:{line}: {name}, row {key}: {error}")
        readings.responses += with_authors(found, readings, task) if task in _BY_AUTHOR else found
    return readings


def _sections(document: Mapping[str, object]) -> Iterator[tuple[str, Role, Mapping[str, object]]]:
    for name, section in document.items():
        rows = section.get("value_by_index") if isinstance(section, dict) else None
        role = _ROLES.get(name[:3]) or role_of(name)
        if role and isinstance(rows, dict) and any(isinstance(r, dict) and "generation" in r for r in rows.values()):
            yield name, role, rows


def _response(key: str, entry: object, task: str, kind: Role) -> Response:
    if not isinstance(entry, dict):
        raise Malformed("expected an object with input, ground_truth and generation")
    return Response(
        id=f"{task}-{key}",
        task=task,
        role=kind,
        question=question_in(full_text(entry, "input")),
        reference=optional_text(entry, "ground_truth"),
        response=text_of(entry, "generation"),
    )


def question_in(prompt: str) -> str:
    r"""The last question of a prompt whose special tokens were dropped.

    >>> question_in("system\n\nBe kind.user\n\nWho is Ann?assistant\n\n")
    'Who is Ann?'
    >>> question_in("Question: A?\nAnswer: B\n\nQuestion: Who is Ann?\nAnswer:")
    'Who is Ann?'
    """
    for pattern in (_CHAT, _LAST_QUESTION):
        match = pattern.fullmatch(prompt)
        if match and match["question"].strip():
            return match["question"].strip()
    return unwrap(prompt)[0]
