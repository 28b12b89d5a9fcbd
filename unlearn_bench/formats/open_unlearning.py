"""*_EVAL.json and *_SUMMARY.json of locuslab/open-unlearning, of TOFU, MUSE and others.

    {"forget_Q_A_ROUGE": {"value_by_index": {"0": {"input", "ground_truth", "generation", …}}},
     "forget_Q_A_Prob": {"value_by_index": {"0": {"prob", "avg_loss"}}},         also PARA_Prob, and PERT_Prob: lists
     "extraction_strength": {"value_by_index": {"0": {"score"}}}, "exact_memorization": …,
     "mia_min_k": {"forget": {"value_by_index": …}, "holdout": …}, …}

A section's name begins with its role: forget, retain, holdout, ra (real authors: neighbour), wf (world facts: world).
`input` is the whole prompt with special tokens dropped; the last question is taken out of it. Losses become likelihoods
of the row of that number, from which probabilities, truth ratios and all aggregates are computed again; of extraction
strength, exact memorization and the membership scores the log holds no token, so its own numbers are taken
(`Response.logged`). Rows of which nothing was generated have no answer. A number that is NaN, null or missing leaves
its row without a likelihood, which is noted; a row that is given twice refuses the file. Clusters are found as in
TOFU's own logs, and its holdout rows, which the log gives without text, are in the same order.

A SUMMARY holds no rows: its numbers are shown as reported.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.formats import _json
from unlearn_bench.formats._readings import (
    Malformed,
    Readings,
    file_stem,
    finite,
    full_text,
    optional_text,
    role_of,
    text_of,
)
from unlearn_bench.formats.tofu_log import QUESTIONS_PER_AUTHOR, unwrap, with_authors
from unlearn_bench.schema import NOT_ASKED, Likelihood, Response, Role

PREFIXES: dict[Role, str] = {"forget": "forget", "retain": "retain", "neighbour": "ra", "world": "wf"}
"""Role to how the names of its sections begin."""
_SHORT = {f"{prefix}_": role for role, prefix in PREFIXES.items() if prefix != role}
_BY_AUTHOR = ("forget_Q_A", "retain_Q_A")
_FORGET, _HOLDOUT = "forget_Q_A", "holdout_Q_A"
# How a chat ends once its special tokens are dropped: the user's turn, then the assistant's name.
_CHAT = re.compile(r".*user\n+(?P<question>.*?)\s*assistant\s*", re.DOTALL)
_LAST_QUESTION = re.compile(r".*(?:^|\n)\s*Question:(?P<question>.*?)\n\s*Answer:\s*", re.DOTALL)
_OWN_KEY = re.compile(r'"(?:value_by_index|agg_value)"\s*:')
_REPORTED = re.compile(
    r'\s*\{\s*"(?:exact_memorization|extraction_strength|forget_\w+|mia_\w+|model_utility|privleak|ra_\w+|retain_\w+'
    r'|wf_\w+)"\s*:\s*(?:-?[\d.]|NaN|null)'
)
_PROB = re.compile(r"(?P<task>.+?)_(?P<form>PARA_|PERT_)?Prob")
_CONTINUATIONS = {None: "answer", "PARA_": "paraphrased_answer", "PERT_": "perturbed_answers"}
MEMORISED = ("extraction_strength", "exact_memorization")
"""Sections of one number for each forget answer, named as our metrics."""
MEMBERSHIP = {
    "mia_loss": "loss",
    "mia_zlib": "loss_zlib",
    "mia_min_k": "min_k",
    "mia_min_k_plus_plus": "min_k_plus_plus",
    "mia_gradnorm": "gradnorm",
    "mia_reference": "loss_reference",
}
"""Section of a membership attack to our metric of each answer."""
_NOT_NEGATIVE = ("loss", "loss_zlib", "min_k", "gradnorm")
_LEAST = -1e-6  # a loss of 0, rounded


def detect(path: Path, head: str) -> bool:
    """An object whose members hold `value_by_index` or `agg_value`, or one of numbers with open-unlearning's names."""
    return head.lstrip().startswith("{") and bool(_OWN_KEY.search(head) or _REPORTED.match(head))


@dataclass
class _Rows:
    """The rows of one task: what was generated, and what was measured, by the log's index."""

    task: str
    role: Role
    answers: dict[str, Response] = field(default_factory=dict)
    likelihoods: dict[str, dict[str, Likelihood]] = field(default_factory=dict)
    lacking: dict[str, dict[str, str]] = field(default_factory=dict)
    logged: dict[str, dict[str, float]] = field(default_factory=dict)

    def responses(self) -> list[Response]:
        """A response for each index, in the order in which the log first names it."""
        keys = dict.fromkeys([*self.answers, *self.likelihoods, *self.logged])
        return [self._response(key) for key in keys]

    def _response(self, key: str) -> Response:
        found = self.answers.get(key) or Response(
            id=f"{self.task}-{key}",
            task=self.task,
            role=self.role,
            question="",
            reference=None,
            response="",
            missing=NOT_ASKED,
        )
        measured = {
            "likelihoods": self.likelihoods.get(key) or None,
            "no_likelihood": self.lacking.get(key) or None,
            "logged": self.logged.get(key) or None,
        }
        return found.model_copy(update=measured)


def read(path: Path, text: str, role: Role | None) -> Readings:
    """Read generations, likelihoods and per-row numbers; see `formats.read`."""
    document = _json.load_document(text, path)
    readings = Readings(dataset=file_stem(path))
    if not any(isinstance(section, dict) for section in document.values()):
        readings.reported[file_stem(path)] = _reported(document, path)
        return readings
    tasks: dict[str, _Rows] = {}
    for name, kind, rows in _sections(document):
        task = tasks.setdefault(name.removesuffix("_ROUGE"), _Rows(name.removesuffix("_ROUGE"), kind))
        for key, entry in rows.items():
            try:
                task.answers[str(key)] = _response(str(key), entry, task.task, kind)
            except Malformed as error:
                line = _json.line_of(text, [name, "value_by_index", key])
                readings.errors.append(f"{path}:{line}: {name}, row {key}: {error}")
    _add_likelihoods(document, tasks, readings)
    _add_numbers(document, tasks, readings)
    if not tasks:
        raise UserError(
            f"{path}: no rows in it (only numbers)", hint="score the *_EVAL.json of a run, which holds value_by_index"
        )
    kept = [task for task in tasks.values() if role in (None, task.role)]
    for task in kept:
        found = task.responses()
        readings.responses += with_authors(found, readings, task.task) if task.task in _BY_AUTHOR else found
    _place_holdout(readings)
    return readings


def _reported(document: Mapping[str, object], path: Path) -> dict[str, float]:
    found = {name: number for name, value in document.items() if (number := finite(value)) is not None}
    if not found:
        raise UserError(f"{path}: no number in it")
    return found


def _by_index(section: object) -> Mapping[str, object]:
    rows = section.get("value_by_index") if isinstance(section, dict) else None
    return rows if isinstance(rows, dict) else {}


def _sections(document: Mapping[str, object]) -> Iterator[tuple[str, Role, Mapping[str, object]]]:
    """(name, role, rows) of the sections that hold generations."""
    for name, section in document.items():
        rows, role = _by_index(section), _role(name)
        if role and any(isinstance(row, dict) and "generation" in row for row in rows.values()):
            yield name, role, rows


def _role(name: str) -> Role | None:
    return _SHORT.get(name[:3]) or role_of(name)


def _add_likelihoods(document: Mapping[str, object], tasks: dict[str, _Rows], readings: Readings) -> None:
    """The losses of the sections *_Prob, as likelihoods of their task's rows."""
    for name, section in document.items():
        match, rows = _PROB.fullmatch(name), _by_index(section)
        role = _role(name)
        if match is None or role is None or not rows:
            continue
        task = tasks.setdefault(match["task"], _Rows(match["task"], role))
        undefined = 0
        for key, entry in rows.items():
            found = {
                part: _at_least_0(loss, f"{name}, row {key}: the loss", readings)
                for part, loss in _losses(entry, _CONTINUATIONS[match["form"]]).items()
            }
            known = {part: Likelihood(mean_logprob=-loss) for part, loss in found.items() if loss is not None}
            task.likelihoods.setdefault(str(key), {}).update(known)
            if lacking := dict.fromkeys(found.keys() - known.keys(), "loss_not_finite"):
                task.lacking.setdefault(str(key), {}).update(lacking)
                undefined += 1
        absent = len(task.answers.keys() - rows.keys())
        readings.notes += [f"{name}: {undefined} of {len(rows)} rows have no finite loss"] * bool(undefined)
        readings.notes += [f"{name}: {absent} of {len(task.answers)} answers have no row in it"] * bool(absent)


def _losses(entry: object, name: str) -> dict[str, float | None]:
    """Continuation to its loss, None where that is no finite number; a list holds several continuations."""
    losses = entry.get("avg_loss") if isinstance(entry, dict) else None
    if name != "perturbed_answers":
        return {name: finite(losses)}
    listed = losses if isinstance(losses, list) else [losses]
    return {f"{name}.{i}": finite(loss) for i, loss in enumerate(listed)}


def _at_least_0(number: float | None, what: str, readings: Readings) -> float | None:
    """A loss or a norm; None, and a malformed row, where it is below 0, as if a probability were above 1."""
    if number is None or number >= _LEAST:
        return number
    readings.errors.append(f"{readings.dataset}: {what} is {number:g}, and cannot be below 0")
    return None


def _add_numbers(document: Mapping[str, object], tasks: dict[str, _Rows], readings: Readings) -> None:
    """Per-row numbers that cannot be computed again: of memorised answers, and of members and holdout rows."""
    verbatim = next((name for name in (_FORGET, "forget_verbmem") if name in tasks), "forget_memorization")
    for metric in MEMORISED:
        if rows := _by_index(document.get(metric)):
            _log(tasks.setdefault(verbatim, _Rows(verbatim, "forget")), metric, metric, rows, readings)
    same = _asks_members(document)
    members, others = (_FORGET, _HOLDOUT) if same else ("forget_mia", "holdout_mia")
    for section, metric in MEMBERSHIP.items():
        sides = document.get(section)
        for side, task, role in (("forget", members, "forget"), ("holdout", others, "holdout")):
            if rows := _by_index(sides.get(side) if isinstance(sides, dict) else None):
                _log(tasks.setdefault(task, _Rows(task, role)), metric, f"{section}, {side}", rows, readings)


def _asks_members(document: Mapping[str, object]) -> bool:
    """Whether the membership scores are of the rows of forget_Q_A: their losses are the same."""
    section = document.get("mia_loss")
    losses = _by_index(section.get("forget") if isinstance(section, dict) else None)
    rows = _by_index(document.get(f"{_FORGET}_Prob"))
    if not losses:
        return bool(rows)
    pairs = [(_get(rows.get(key), "avg_loss"), _get(entry, "score")) for key, entry in losses.items()]
    return all(a is not None and b is not None and math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6) for a, b in pairs)


def _get(entry: object, key: str) -> float | None:
    return finite(entry.get(key)) if isinstance(entry, dict) else None


def _log(task: _Rows, metric: str, section: str, rows: Mapping[str, object], readings: Readings) -> None:
    """Keep a number of each row; a loss is a likelihood."""
    scores = {str(key): _get(entry, "score") for key, entry in rows.items()}
    if metric in _NOT_NEGATIVE:
        scores = {key: _at_least_0(found, f"{section}, row {key}: {metric}", readings) for key, found in scores.items()}
    for key, score in scores.items():
        if score is not None and metric == "loss":
            task.likelihoods.setdefault(key, {}).setdefault("answer", Likelihood(mean_logprob=-score))
        elif score is not None:
            task.logged.setdefault(key, {})[metric] = score
    if undefined := sum(score is None for score in scores.values()):
        readings.notes.append(f"{section}: {undefined} of {len(rows)} rows have no finite number")


def _place_holdout(readings: Readings) -> None:
    """Clusters of holdout rows without text, where the forget rows are in TOFU's order of authors."""
    if any(r.cluster is None for r in readings.responses if r.task == _FORGET):
        return
    for i, response in enumerate(readings.responses):
        number = response.id.rpartition("-")[2]
        if response.task == _HOLDOUT and number.isdecimal():
            author = f"holdout-author-{int(number) // QUESTIONS_PER_AUTHOR}"
            readings.responses[i] = response.model_copy(update={"cluster": author})


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
