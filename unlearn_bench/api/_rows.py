"""Rows as the files that `score` reads: rows in memory are written as one, and so are read and hashed as any other."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from unlearn_bench.errors import UserError

if TYPE_CHECKING:
    import pandas

Rows: TypeAlias = (
    "str | PathLike[str] | Sequence[str | PathLike[str]] | Iterable[Mapping[str, object]] | pandas.DataFrame"
)
_NAME = "rows.jsonl"  # the result calls rows in memory by it


def files_of(rows: Rows, scratch: Path) -> tuple[Path, ...]:
    """The files of `rows`; rows in memory become a file in `scratch`.

    Raises:
        UserError: for no rows, or a row that is not a dictionary of texts and numbers.
    """
    if isinstance(rows, str | PathLike):
        return (Path(rows),)
    if hasattr(rows, "to_json") and hasattr(rows, "columns"):  # a DataFrame, without importing pandas
        text = rows.to_json(orient="records", lines=True, force_ascii=False)
        found = text.splitlines()
    else:
        listed = list(rows)
        if listed and all(isinstance(row, str | PathLike) for row in listed):
            return tuple(Path(row) for row in listed)
        found = [_line(row, number) for number, row in enumerate(listed, start=1)]
    if not found:
        raise UserError("there are no rows", hint="expected rows with question, reference and response")
    path = scratch / _NAME
    path.write_text("\n".join(found) + "\n", encoding="utf-8", errors="surrogateescape")
    return (path,)


def _line(row: object, number: int) -> str:
    if not isinstance(row, Mapping):
        raise UserError(f"row {number}: expected a dictionary, got {type(row).__name__}")
    try:
        return json.dumps(dict(row), ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise UserError(f"row {number}: {error}", hint="values should be text, numbers or lists") from None


def about_rows(text: str, file: Path) -> str:
    """A message about a line of the file that holds the rows in memory, as one about a row."""
    return re.sub(rf"{re.escape(str(file))}:(?=\d)", "row ", text).replace(str(file), "the rows")


def error_about_rows(error: UserError, file: Path) -> UserError:
    return UserError(about_rows(error.message, file), hint=error.hint and about_rows(error.hint, file))
