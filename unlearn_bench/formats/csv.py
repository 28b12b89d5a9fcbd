"""Rows with a heading, separated by commas, semicolons or tabs; the columns are the keys of `table`.

Quotes are those of RFC 4180, to the letter: a quote that is never closed would take the rows after it into its cell.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.formats import _json, table
from unlearn_bench.formats._fields import ALIASES, MAPPABLE, NAMES, normal_key
from unlearn_bench.formats._readings import Readings
from unlearn_bench.schema import Role

_SUFFIXES = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_OPTIONAL = set(MAPPABLE) - {"question", "response"}  # an empty cell of these says nothing
_DELIMITERS = ",;\t|"
_NO_HEADING = re.compile(r"(?:[ \t]*\n)*(?:sep=.[ \t]*\n)?")  # empty lines, and the separator as Excel declares it


def detect(path: Path, head: str) -> bool:
    """A file name with .csv or .tsv, or a first line whose columns name a question and an answer."""
    if head.lstrip()[:1] in ("[", "{"):
        return False
    columns = {normal_key(name) for name in _heading(head)}
    named = [columns & {field, "answer", *ALIASES[field]} for field in ("question", "response")]
    return bool(set(path.suffixes) & set(_SUFFIXES)) or all(named)


def read(path: Path, text: str, role: Role | None, mapping: Mapping[str, str] | None = None) -> Readings:
    """Read rows; see `formats.read`."""
    return table.read_rows(_rows(path, text), path, role, mapping or {})


def _rows(path: Path, text: str) -> Iterator[_json.Row]:
    text = _lines(text)
    start = _NO_HEADING.match(text).end()
    csv.field_size_limit(_json.MAX_ROW)
    reader = csv.reader(io.StringIO(text[start:], newline=""), delimiter=_delimiter(text), strict=True)
    heading = _columns(path, next(reader, []))
    above = text.count("\n", 0, start)
    line = above + reader.line_num + 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _json.Row(f"{path}:{line}", None, _told(error))
            line = above + reader.line_num + 1
            continue
        where, line = f"{path}:{line}", above + reader.line_num + 1
        if any(cell.strip() for cell in cells):
            yield _row(where, heading, cells)


def _lines(text: str) -> str:
    """The text with line feeds, where it has carriage returns alone."""
    return text if "\n" in text else text.replace("\r", "\n")


def _columns(path: Path, cells: list[str]) -> list[str]:
    names = [name.strip() for name in cells]
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice:
        raise UserError(f"{path}: two columns are named {twice!r}", hint="which of the two is meant is not said")
    return names


def _told(error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return "a quote is opened here and never closed; what follows could not be read"
    if "expected after" in str(error):
        return f"text after a closing quote ({error}); a quote inside a cell in quotes is doubled"
    return str(error)


def _row(where: str, heading: list[str], cells: list[str]) -> _json.Row:
    if len(cells) != len(heading):
        told = f"{len(cells)} cells under {len(heading)} headings"
        return _json.Row(where, None, f"{told}; quote cells that contain the separator")
    if any(map(_json.has_surrogates, cells)):
        return _json.Row(where, None, "not UTF-8")
    pairs = zip(heading, cells, strict=True)
    return _json.Row(where, {key: cell for key, cell in pairs if cell.strip() or normal_key(key) not in _OPTIONAL})


def _delimiter(text: str) -> str:
    """The separator under which the heading names most fields, or the one that it has most of."""
    first = _first_line(text)

    def named(delimiter: str) -> tuple[int, int]:
        return sum(normal_key(name) in NAMES for name in _cells(first, delimiter)), first.count(delimiter)

    return max(_DELIMITERS, key=named)


def _heading(head: str) -> list[str]:
    return _cells(_first_line(head), _delimiter(head))


def _first_line(text: str) -> str:
    text = _lines(text)
    return text[_NO_HEADING.match(text).end() :].split("\n", 1)[0][:10_000].rstrip("\r")


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []
