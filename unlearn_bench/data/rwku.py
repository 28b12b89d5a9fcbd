"""RWKU: real people to be forgotten, asked in three levels (Jin et al., arXiv 2406.10890; hub: jinzhuoran/RWKU).

Splits: forget_level1 (fill in the blank), forget_level2 (questions), forget_level3 (nine kinds of attack, named in
`Row.kind`), neighbor_level1 and neighbor_level2 (about what is near), mia_forget and mia_retain (texts for membership
inference: `answer` is the text, nothing is asked), utility_general (MMLU), utility_reason (BBH), utility_truthfulness
(TruthfulQA MC1), utility_factuality (TriviaQA), utility_fluency (AlpacaEval). A row's cluster is the target person.

A folder has the layout of the authors' own download, one folder a target: `rwku/1_Stephen_King/forget_level1.json`, …,
`forget_mia.json`, `retain_mmlu.json`, …; all targets in it are asked together. RWKU unlearns one target at a time, so
put that one there.

Prompts are RWKU's: through the chat template, "Answer:" (or "A:") being written into the assistant's turn. Differences:
TriviaQA's five examples are this project's own, TruthfulQA's six are those of lm-eval.

Which commit to pin is not known to this project, so a hub run needs `revision`, and records it.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from unlearn_bench.data._files import hub_records, index_field, list_field, local_file, read_records, text_field
from unlearn_bench.data.base import Dataset, Declaration, data_folder
from unlearn_bench.errors import UserError
from unlearn_bench.schema import Role, Row

_FILES = {
    "mia_forget": "forget_mia",
    "mia_retain": "retain_mia",
    "utility_general": "retain_mmlu",
    "utility_reason": "retain_bbh",
    "utility_truthfulness": "truthful",
    "utility_factuality": "triviaqa",
    "utility_fluency": "fluency",
}
_TARGET = re.compile(r"(\d+)_(.+)")
_LETTERS = "ABCD"
_BLANK = "Please complete the blank in the following question.\nQuestion: {}\n"
_BRIEF = "Please briefly answer the following question.\nQuestion: {}\n"
# Attacks that are asked in another way than the other questions.
_AS_WRITTEN = "incontext learning"
_WITHOUT_PREFILL = "affirmative suffix"
_TRIVIA = (
    "Q: Which planet is the closest to the sun?\nA: Mercury\n"
    "Q: How many strings does a violin have?\nA: four\n"
    "Q: Who painted the ceiling of the Sistine Chapel?\nA: Michelangelo\n"
    "Q: What is the chemical symbol of iron?\nA: Fe\n"
    "Q: In which city is the Eiffel Tower?\nA: Paris\n"
)

Record = dict[str, object]


def load(split: str, *, data_dir: str | None = None, revision: str | None = None) -> Dataset:
    """Load an RWKU split.

    Args:
        split: One of `DATASET.splits`.
        data_dir: A folder that holds `rwku/<number>_<target>/<file>`; the hub otherwise.
        revision: The hub's commit.

    Raises:
        UserError: for missing data, no revision, or a malformed row (file and row are named).
    """
    folder = data_folder("rwku", data_dir)
    if folder:
        found, revision = list(_from_folder(folder, _FILES.get(split, split))), None
    else:
        found = hub_records(DATASET.hub, split, "test", revision, by_folder="rwku/<number>_<target>/*.json")
    make, role = _MAKERS[split], DATASET.splits[split]
    rows = [make(record, where, f"{split}-{index}", role) for index, (where, record) in enumerate(found)]
    return Dataset("rwku", split, rows, revision, "folder" if folder else f"hub:{DATASET.hub}")


def _from_folder(folder: Path, stem: str) -> Iterator[tuple[str, Record]]:
    targets = sorted((int(m[1]), path) for path in folder.iterdir() if (m := _TARGET.fullmatch(path.name)))
    if not targets:
        raise UserError(f"{folder}: no folder of a target in it", hint="expected 1_Stephen_King/forget_level1.json, …")
    for _, target in targets:
        for where, record in read_records(local_file(target, stem)):
            yield where, {"subject": target.name.split("_", 1)[1].replace("_", " "), **record}


def _probe(record: Record, where: str, name: str, role: Role) -> Row:
    """A question of the forget or neighbour sets."""
    query, kind = text_field(record, "query", where), text_field(record, "type", where)
    asked = (_BLANK if kind == "cloze" else _BRIEF).format(query)
    if kind == _AS_WRITTEN:
        asked = f"Please briefly answer the following question.\n{query}\n"
    return Row(
        id=name,
        role=role,
        question=asked.rstrip("\n") if kind == _WITHOUT_PREFILL else asked,
        answer=text_field(record, "answer", where),
        cluster=text_field(record, "subject", where),
        kind=kind,
        prefill=None if kind == _WITHOUT_PREFILL else "Answer:",
    )


def _text(record: Record, where: str, name: str, role: Role) -> Row:
    """A text whose likelihood is taken; nothing is asked."""
    text, subject = text_field(record, "text", where), text_field(record, "subject", where)
    return Row(id=name, role=role, question="", answer=text, cluster=subject)


def _mmlu(record: Record, where: str, name: str, role: Role) -> Row:
    listed = list_field(record, "examples", where)
    examples = [example for example in listed if isinstance(example, dict)]
    if len(examples) < len(listed):
        raise UserError(f"{where}: 'examples' must be a list of objects")
    subject = text_field(record, "task", where)
    shown = "".join(f"{_lettered(e, where)}\nAnswer: {_LETTERS[_right(e, where)]}\n\n" for e in examples)
    gold = _right(record, where)
    return Row(
        id=name,
        role=role,
        question=f"The following are multiple choice questions (with answers) about {subject.replace('_', ' ')}.\n\n"
        f"{shown}Please following the previous examples and answer the given question.\n{_lettered(record, where)}",
        answer=_LETTERS[gold],
        choices=list(_LETTERS[: len(list_field(record, "choices", where))]),
        gold=gold,
        kind=subject,
        prefill="Answer:",
    )


def _lettered(record: Record, where: str) -> str:
    options = list_field(record, "choices", where)
    lines = [f"{letter}. {option}" for letter, option in zip(_LETTERS, options, strict=False)]
    return "\n".join([f"Question: {text_field(record, 'question', where)}", *lines])


def _right(record: Record, where: str) -> int:
    return index_field(record, "answer", where, among=min(len(list_field(record, "choices", where)), len(_LETTERS)))


def _bbh(record: Record, where: str, name: str, role: Role) -> Row:
    return Row(
        id=name,
        role=role,
        question=f"{text_field(record, 'cot', where).strip()}\n\nFollowing previous examples, answer the following "
        f"questions and end with 'so the answer is'\nQ: {text_field(record, 'question', where)}",
        answer=text_field(record, "answer", where),
        kind=text_field(record, "task", where),
        prefill=" A:",
    )


def _truthful(record: Record, where: str, name: str, role: Role) -> Row:
    from unlearn_bench.data._truthfulqa import examples

    targets = record.get("mc1_targets")
    if isinstance(targets, str):
        targets = {"choices": targets}
    if not isinstance(targets, dict):
        raise UserError(f"{where}: 'mc1_targets' must be an object of choices and labels, got {targets!r:.60}")
    choices = [str(choice) for choice in list_field(targets, "choices", where)]
    labels = list_field(targets, "labels", where)
    if labels.count(1) != 1 or len(labels) != len(choices):
        raise UserError(f"{where}: 'labels' must mark exactly one of the choices")
    gold = labels.index(1)
    return Row(
        id=name,
        role=role,
        question=f"{examples()}\n\nQ: {text_field(record, 'question', where)}",
        answer=choices[gold],
        choices=choices,
        gold=gold,
        prefill=" A:",
    )


def _trivia(record: Record, where: str, name: str, role: Role) -> Row:
    answers = [str(answer) for answer in list_field(record, "answers", where)]
    question = text_field(record, "question", where)
    return Row(
        id=name,
        role=role,
        question=f"{_TRIVIA}Please briefly answer the following question:\nQ: {question}\n",
        answer=answers[0],
        aliases=answers[1:],
        prefill="A:",
    )


def _instruction(record: Record, where: str, name: str, role: Role) -> Row:
    return Row(id=name, role=role, question=f"Instruction: {text_field(record, 'instruction', where)}\n", answer="")


_MAKERS: dict[str, Callable[[Record, str, str, Role], Row]] = {
    **dict.fromkeys(("forget_level1", "forget_level2", "forget_level3", "neighbor_level1", "neighbor_level2"), _probe),
    "mia_forget": _text,
    "mia_retain": _text,
    "utility_general": _mmlu,
    "utility_reason": _bbh,
    "utility_truthfulness": _truthful,
    "utility_factuality": _trivia,
    "utility_fluency": _instruction,
}

DATASET = Declaration(
    load=load,
    splits={
        "forget_level1": "forget",
        "forget_level2": "forget",
        "forget_level3": "forget",
        "neighbor_level1": "neighbour",
        "neighbor_level2": "neighbour",
        "mia_forget": "forget",
        "mia_retain": "retain",
        "utility_general": "world",
        "utility_reason": "world",
        "utility_truthfulness": "world",
        "utility_factuality": "world",
        "utility_fluency": "fluency",
    },
    defaults={
        "forget": "forget_level2",
        "retain": "mia_retain",
        "neighbour": "neighbor_level2",
        "world": "utility_factuality",
        "fluency": "utility_fluency",
    },
    hub="jinzhuoran/RWKU",
    licence="NOASSERTION",
)
