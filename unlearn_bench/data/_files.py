"""Reading JSON arrays and JSON lines, from a folder or from the hub, with errors that name the file and line."""

import json
from functools import cache
from pathlib import Path

from unlearn_bench.errors import UserError


def read_records(path: Path) -> list[dict[str, object]]:
    """Read a JSON array of objects, or JSON lines of objects.

    Raises:
        UserError: naming the file, and the line where there is one, if the text is not UTF-8 or not such JSON.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte {error.start})") from None
    if text.lstrip().startswith("["):
        records = _parse(text, str(path))
    else:
        lines = enumerate(text.split("\n"), start=1)  # U+2028 is an ordinary character in JSON
        records = [_parse(line, f"{path}:{number}") for number, line in lines if line.strip()]
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise UserError(f"{path}: record {number} is {type(record).__name__}, expected an object")
    return records


def _parse(text: str, where: str) -> list | dict:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: not JSON: {error.msg} at column {error.colno}") from None


def download(repository: str, filename: str, revision: str, *, folder_name: str) -> Path:
    """Fetch one file of a hub dataset at a revision (cached by huggingface_hub).

    Raises:
        UserError: if the hub cannot be reached and the file is not cached; says the two ways to have the data.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    try:
        kept = try_to_load_from_cache(repository, filename, revision=revision, repo_type="dataset")
        if not isinstance(kept, str) and (error := _no_connection()) is not None:
            raise error
        return Path(hf_hub_download(repository, filename, repo_type="dataset", revision=revision))
    except Exception as error:  # the hub client raises many unrelated classes; each means that it cannot be downloaded
        raise UserError(
            f"{repository} ({filename}) cannot be downloaded from the hub: {type(error).__name__}",
            hint=f"connect, or pass --data-dir DIR (or set UNLEARN_BENCH_DATA) with DIR/{folder_name}/{filename}",
        ) from None


@cache
def _no_connection() -> Exception | None:
    """Why the hub cannot be reached, asked once: its client tries for half a minute for each file."""
    import httpx
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return None  # its client says so at once
    try:
        httpx.head(constants.ENDPOINT, timeout=10)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return error
    return None


def text_field(record: dict[str, object], key: str, where: str) -> str:
    """A required, non-empty text of a record.

    Raises:
        UserError: if it is missing, empty or not text.
    """
    value = record.get(key)
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{where}: {key!r} must be a non-empty text, got {value!r:.60}")
    return value
