"""Reading JSON arrays and JSON lines, from a folder or from the hub, with errors that name the file and line."""

import ast
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from unlearn_bench.data.base import DATA_DIR_VARIABLE
from unlearn_bench.errors import UserError, fault
from unlearn_bench.files import IrregularFileError, open_regular


def read_records(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """(where, object) of each record of a JSON array or of JSON lines.

    Raises:
        UserError: naming the file, and the line or item, for text that is not UTF-8, not JSON or not an object.
    """
    yield from objects(json_records(read_text(path), path))


def objects(records: Iterable[tuple[str, object]]) -> Iterator[tuple[str, dict[str, object]]]:
    """The records, each of which must be an object.

    Raises:
        UserError: naming the first that is not.
    """
    for where, record in records:
        if not isinstance(record, dict):
            raise UserError(f"{where}: expected an object, got {type(record).__name__}")
        yield where, record


def read_text(path: Path) -> str:
    """A UTF-8 file, with or without a byte order mark; `.gz` is unpacked.

    Raises:
        UserError: if it is missing, not a regular file, not whole, or not UTF-8.
    """
    try:
        with open_regular(path) as file:
            data = gzip.decompress(file.read()) if path.suffix == ".gz" else file.read()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IrregularFileError as error:
        raise UserError(str(error)) from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path}: UTF-16, expected UTF-8", hint=f"iconv -f UTF-16 -t UTF-8 {path} > utf8.jsonl")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte {error.start})") from None


def json_records(text: str, path: Path) -> Iterator[tuple[str, object]]:
    """(where, value) of each item of a JSON array, or of each line.

    Raises:
        UserError: naming line or file for what is not JSON.
    """
    if text.lstrip().startswith("["):
        yield from ((f"{path}: item {number}", value) for number, value in enumerate(_parse(text, str(path)), start=1))
        return
    for number, line in enumerate(text.split("\n"), start=1):  # U+2028 is an ordinary character in JSON
        if line.strip():
            yield f"{path}:{number}", _parse(line, f"{path}:{number}")


def _parse(text: str, where: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        hint = "expected a JSON array, or JSON lines (one object a line)"
        raise UserError(f"{where}: not JSON: {fault(error)} at column {error.colno}", hint=hint) from None
    except RecursionError:
        raise UserError(f"{where}: JSON that is nested too deeply") from None


def local_file(folder: Path, stem: str) -> Path:
    """The file of that name in a folder: `.json`, `.jsonl`, or either of them with `.gz` behind it.

    Raises:
        UserError: if there is none.
    """
    names = [f"{stem}{ending}" for ending in (".json", ".jsonl", ".json.gz", ".jsonl.gz")]
    found = next((folder / name for name in names if (folder / name).exists()), None)
    if found is None:
        raise UserError(f"{folder}: no {names[0]} in it", hint=f"or {', '.join(names[1:])}")
    return found


def hub_records(
    repository: str | None, config: str, split: str, revision: str | None, *, by_folder: str
) -> list[tuple[str, dict[str, object]]]:
    """(where, fields) of each row of one split of a hub dataset of which no commit is pinned.

    Args:
        repository: The dataset's id at the hub.
        config: Its configuration.
        split: Of the configuration.
        revision: The commit to read.
        by_folder: What `--data-dir` would have to hold ("rwku/1_NAME/*.json").

    Raises:
        UserError: without a revision, or if the rows cannot be downloaded; says the two ways to have the data.
    """
    instead = f"pass --data-dir DIR (or set {DATA_DIR_VARIABLE}) with DIR/{by_folder}"
    if revision is None:
        raise UserError(
            f"{repository}: no revision is pinned for it", hint=f"pass --data-revision COMMIT, or {instead}"
        )
    from datasets import load_dataset

    try:
        rows = load_dataset(repository, name=config, split=split, revision=revision)
        return [(f"{repository} {config} {split}:{n}", dict(row)) for n, row in enumerate(rows, start=1)]
    except Exception as error:  # the hub client raises many unrelated classes; each means that it cannot be downloaded
        raise UserError(f"{repository} cannot be downloaded: {type(error).__name__}", hint=instead) from None


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
        return None  # its client reports that immediately
    try:
        httpx.head(constants.ENDPOINT, timeout=10)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return error
    return None


def list_field(record: Mapping[str, object], key: str, where: str) -> list[object]:
    """A required list of a record; some hub datasets write lists as Python text.

    Raises:
        UserError: if it is missing, empty or no list.
    """
    value = record.get(key)
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            value = None
    if not isinstance(value, list) or not value:
        raise UserError(f"{where}: {key!r} must be a list that is not empty, got {record.get(key)!r:.60}")
    return value


def index_field(record: Mapping[str, object], key: str, where: str, *, among: int) -> int:
    """A required index into a list of a given length.

    Raises:
        UserError: if it is missing, no whole number, or beyond the list.
    """
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < among:
        raise UserError(f"{where}: {key!r} must be a whole number from 0 to {among - 1}, got {value!r:.60}")
    return value


def text_field(record: Mapping[str, object], key: str, where: str) -> str:
    """A required, non-empty text of a record.

    Raises:
        UserError: if it is missing, empty or not text.
    """
    value = record.get(key)
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{where}: {key!r} must be a non-empty text, got {value!r:.60}")
    return value
