"""Fingerprint of a part that is made of code and data files of this package."""

import hashlib
from functools import cache
from importlib import resources


@cache
def source_fingerprint(*files: str, extra: str = "") -> str:
    """SHA-256 over the named files of `unlearn_bench/scorers` (line ends normalised) and `extra`, in hexadecimal.

    >>> len(source_fingerprint("_source.py"))
    64
    """
    digest = hashlib.sha256(extra.encode())
    for file in files:
        content = resources.files("unlearn_bench.scorers").joinpath(file).read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"\0{file}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
