"""Reading the JSON files of a model's folder."""

import json
from pathlib import Path

from unlearn_bench.errors import UserError


def read_json(path: Path) -> dict:
    """A JSON object in a file.

    Raises:
        UserError: if the file cannot be read, is no JSON, is nested too deeply, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise UserError(f"{path}: not valid JSON: nested too deeply") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object, but it holds a {type(value).__name__}")
    return value
