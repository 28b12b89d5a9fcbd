"""Sheets for a person to label: answers drawn from results, without what any judge said of them.

A sheet is CSV, or JSON lines where its name ends in .jsonl. Its columns: key (hash of question, reference answer and
answer), task, id, question, reference, response, known (yes, partly or no; empty until labelled), note. What a person
is asked: does the answer show the knowledge of the reference answer, in whatever words?
"""

import csv
import io
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

from unlearn_bench.calibration.document import SAYS_KNOWN, Known, answer_key
from unlearn_bench.errors import UserError
from unlearn_bench.evidence.pipeline import sample_value
from unlearn_bench.files import write_atomically
from unlearn_bench.schema import Sample
from unlearn_bench.untrusted import strict_json
from unlearn_bench.untrusted.escape import csv_text
from unlearn_bench.untrusted.strings import shown

COLUMNS = ("key", "task", "id", "question", "reference", "response", "known", "note")
LABELS: tuple[Known, ...] = get_args(Known)
MAX_BYTES = 64 << 20

Row = dict[str, str]
Stratum = tuple[str, str, bool]  # task, metric, whether the verdict is "known"


def strata(samples: Iterable[Sample]) -> dict[Stratum, list[Sample]]:
    """Scored answers with a reference answer, by task, metric and verdict; an answer that occurs twice counts once."""
    found: dict[Stratum, dict[str, Sample]] = defaultdict(dict)
    for sample in samples:
        for metric, known in SAYS_KNOWN.items():
            value = sample_value(sample, metric)
            if value is not None and sample.reference:
                found[sample.task, metric, (value == 1.0) == known].setdefault(answer_key(sample), sample)
    return {stratum: list(answers.values()) for stratum, answers in sorted(found.items())}


def draw(samples: Iterable[Sample], n: int, *, seed: int = 0) -> list[Sample]:
    """Draw answers to be labelled: as many of each task and verdict, as far as there are, in mixed order.

    Args:
        samples: Of one result.
        n: Answers to draw.
        seed: Of the draw.

    Raises:
        UserError: if no answer has a verdict.
    """
    waiting = [list(answers) for answers in strata(samples).values()]
    if not waiting:
        raise UserError(
            "no answer to label: none has a verdict (KFR, KRR, --judge) and a reference answer",
            hint="score answers that have reference answers, with --metrics kfr (forget) or krr (retain)",
        )
    chance = random.Random(seed)
    for answers in waiting:
        chance.shuffle(answers)
    chosen: dict[str, Sample] = {}
    while len(chosen) < n and any(waiting):
        for answers in waiting:
            if answers and len(chosen) < n:
                sample = answers.pop()
                chosen[answer_key(sample)] = sample
    order = list(chosen.values())
    chance.shuffle(order)
    return order


def rows_of(samples: Iterable[Sample]) -> list[Row]:
    """The rows of a sheet, still without labels."""
    return [
        {
            "key": answer_key(sample),
            "task": sample.task,
            "id": sample.id,
            "question": sample.question,
            "reference": sample.reference or "",
            "response": sample.response,
            "known": "",
            "note": "",
        }
        for sample in samples
    ]


def write_sheet(path: Path, rows: Sequence[Row]) -> None:
    """Write a sheet whole or not at all; in CSV no cell is a formula."""
    if path.suffix == ".jsonl":
        write_atomically(path, (json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: csv_text(cell) for name, cell in row.items()} for row in rows)
    write_atomically(path, [text.getvalue()])


def read_sheet(path: Path) -> list[Row]:
    """Read a sheet, labelled or not.

    Raises:
        UserError: if it cannot be read, is empty, lacks a column, names an answer twice, or holds another label than
            yes, partly, no.
    """
    text = strict_json.read_text(path, limit=MAX_BYTES, what="sheet", hint="`unlearn-bench label` writes it")
    records = _json_lines(path, text) if path.suffix == ".jsonl" else _csv_rows(path, text)
    rows: list[Row] = []
    places: dict[str, str] = {}
    for where, record in records:
        if not isinstance(record.get("key"), str) or not isinstance(record.get("known", ""), str):
            raise UserError(f"{where}: not a row of a sheet: key and known are texts")
        if (first := places.setdefault(record["key"], where)) != where:
            raise UserError(
                f"{where}: the answer {shown(str(record.get('id') or record['key'])[:40])!r} is also in {first}",
                hint="keep one of the two rows",
            )
        known = record.get("known", "").strip().lower()
        if known and known not in LABELS:
            raise UserError(f"{where}: known is {shown(known[:40])!r}, expected yes, partly, no, or nothing yet")
        rows.append({**{name: str(record.get(name) or "") for name in COLUMNS}, "known": known})
    if not rows:
        raise UserError(f"{path}: no answer in it", hint="`unlearn-bench label` writes it")
    return rows


def labels_in(sheets: Mapping[Path, Sequence[Row]]) -> dict[str, Known]:
    """Answer key to label, over several sheets.

    Raises:
        UserError: if there is no label yet, or two sheets label an answer differently: which is right is not said.
    """
    found: dict[str, Known] = {}
    for path, rows in sheets.items():
        for row in rows:
            if row["known"] and found.setdefault(row["key"], row["known"]) != row["known"]:
                raise UserError(
                    f"{path}: the answer {row['id']!r} of {row['task']} is labelled {row['known']} here and "
                    f"{found[row['key']]} elsewhere",
                    hint="settle it, and leave the other label empty",
                )
    if not found:
        raise UserError(
            f"none of the answers in {', '.join(map(str, sheets))} is labelled yet",
            hint="fill the column known with yes, partly or no; unlearn-bench label --interactive asks for them",
        )
    return found


def _csv_rows(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    csv.field_size_limit(MAX_BYTES)
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        if not reader.fieldnames:
            raise UserError(f"{path} is empty", hint="`unlearn-bench label` writes it")
        missing = {"key", "known"} - set(reader.fieldnames or ())
        if missing:
            raise UserError(
                f"{path}: no column {' and '.join(sorted(missing))}", hint="`unlearn-bench label` writes it"
            )
        for row in reader:
            yield f"{path}:{reader.line_num}", row
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: not CSV: {error}") from None


def _json_lines(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            record = strict_json.parse(line)
        except strict_json.Refused as error:
            raise UserError(f"{where}: {error}") from None
        if not isinstance(record, dict):
            raise UserError(f"{where}: not an object")
        yield where, record
