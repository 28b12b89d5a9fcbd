"""Rows with a heading, separated by commas, semicolons or tabs; the columns are the keys of `table`."""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from unlearn_bench.formats import _json, table
from unlearn_bench.formats._fields import ALIASES, MAPPABLE, normal_key
from unlearn_bench.formats._readings import Readings
from unlearn_bench.schema import Split

_SUFFIXES = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_OPTIONAL = set(MAPPABLE) - {"question", "response"}  # an empty cell of these says nothing
_DELIMITERS = ",;\t|"


def detect(path: Path, head: str) -> bool:
    """A name that says so, or a first line whose columns name a question and an answer."""
    if head.lstrip()[:1] in ("[", "{"):
        return False
    columns = {normal_key(name) for name in _heading(head)}
    named = [columns & {field, "answer", *ALIASES[field]} for field in ("question", "response")]
    return bool(set(path.suffixes) & set(_SUFFIXES)) or all(named)


def read(path: Path, text: str, split: Split | None, mapping: Mapping[str, str] | None = None) -> Readings:
    """Read rows; see `formats.read`."""
    return table.read_rows(_rows(path, text), path, split, mapping or {})


def _rows(path: Path, text: str) -> Iterator[_json.Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    heading = [name.strip() for name in next(reader, [])]
    line = reader.line_num + 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _json.Row(f"{path}:{line}", None, str(error))
            continue
        where, line = f"{path}:{line}", reader.line_num + 1
        if any(cell.strip() for cell in cells):
            yield _row(where, heading, cells)


def _row(where: str, heading: list[str], cells: list[str]) -> _json.Row:
    if len(cells) != len(heading):
        told = f"{len(cells)} cells under {len(heading)} headings"
        return _json.Row(where, None, f"{told}; cells that hold the separator are put in quotes")
    if any(map(_json.has_surrogates, cells)):
        return _json.Row(where, None, "not UTF-8")
    pairs = zip(heading, cells, strict=True)
    return _json.Row(where, {key: cell for key, cell in pairs if cell.strip() or normal_key(key) not in _OPTIONAL})


def _delimiter(text: str) -> str:
    """The separator that the heading has most of."""
    first = text.lstrip("\n").split("\n", 1)[0]
    return max(_DELIMITERS, key=first.count)


def _heading(head: str) -> list[str]:
    first = head.lstrip("\n").split("\n", 1)[0][:10_000]
    return next(csv.reader([first], delimiter=_delimiter(head)), [])
