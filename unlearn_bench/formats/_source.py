"""A file of generations as text: packed files are unpacked within a limit, a Parquet table becomes JSON lines."""

import bz2
import gzip
import io
import json
import lzma
import zlib
from pathlib import Path
from typing import BinaryIO

from unlearn_bench.errors import UserError
from unlearn_bench.files import IrregularFileError, open_regular
from unlearn_bench.formats._json import MAX_FILE, MIB

_PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_PARQUET = b"PAR1"


def read_text(path: Path) -> str:
    """Read a regular file as UTF-8; bytes that are not UTF-8 become lone surrogates.

    gzip, bzip2 and xz are unpacked, Parquet is read as one JSON object a row; a byte-order mark is dropped.

    Raises:
        UserError: if it is missing, a folder, a device or pipe, empty, damaged, or larger than `MAX_FILE` (unpacked).
    """
    data = _bytes(path)
    for magic, unpack in _PACKED.items():
        if data.startswith(magic):
            data = _unpacked(path, unpack(io.BytesIO(data)))
    if len(data) > MAX_FILE:
        raise UserError(f"{path} is larger than the limit of {MAX_FILE // MIB} MiB")
    if data.startswith(_PARQUET):
        return _parquet_lines(path, data)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path} is UTF-16, expected UTF-8", hint=f"iconv -f UTF-16 -t UTF-8 {path} > utf8.json")
    text = data.decode("utf-8-sig", "surrogateescape")
    if not text.strip():
        raise UserError(f"{path} is empty", hint="expected rows of question, reference and response")
    return text


def _bytes(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(MAX_FILE + 1)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except IrregularFileError:
        hint = "name the file of generations itself, or - for standard input"
        raise UserError(f"{path} is not a file", hint=hint) from None
    except ValueError as error:  # a NUL in the name
        raise UserError(f"not a file name: {str(path)!r} ({error})") from None


def _unpacked(path: Path, file: BinaryIO) -> bytes:
    try:
        return file.read(MAX_FILE + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{path} cannot be unpacked: {error}") from None


def _parquet_lines(path: Path, data: bytes) -> str:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(io.BytesIO(data))
        size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
        if size > MAX_FILE:
            raise UserError(f"{path} is larger than the limit of {MAX_FILE // MIB} MiB")
        rows = file.read().to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path} is not a readable Parquet file: {error}") from None
    return "\n".join(json.dumps(row, default=_plain) for row in rows) or "[]"


def _plain(value: object) -> str:
    """A value that JSON does not have, as text: bytes as UTF-8, dates and decimals as they print."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
