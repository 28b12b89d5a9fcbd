"""A fingerprint changes with what it stands for, and with nothing else."""

import hashlib

import pytest

from unlearn_bench import hashing as fingerprint


def test_canonical_json_does_not_depend_on_order():
    assert fingerprint.sha256_json({"a": 1, "b": [2]}) == fingerprint.sha256_json({"b": [2], "a": 1})
    assert fingerprint.canonical_json({"b": {2, 1}, "a": "é"}) == '{"a":"é","b":[1,2]}'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_canonical_json_refuses_what_json_cannot_say(value):
    with pytest.raises(ValueError, match="Out of range"):
        fingerprint.canonical_json({"a": value})


def test_bytes_moved_from_one_file_to_the_next_change_the_hash(tmp_path):
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    first.write_bytes(b"ab")
    second.write_bytes(b"c")
    before = fingerprint.folder_sha256(tmp_path, ("*.safetensors",))
    first.write_bytes(b"a")
    second.write_bytes(b"bc")
    assert fingerprint.folder_sha256(tmp_path, ("*.safetensors",)) != before


def test_no_files_have_no_hash(tmp_path):
    assert fingerprint.folder_sha256(tmp_path, ("*.safetensors",)) is None


def test_source_hash_ignores_line_endings_only(tmp_path):
    path = tmp_path / "a.py"
    path.write_bytes(b"x = 1\n")
    unix = fingerprint.source_sha256(path)
    path.write_bytes(b"x = 1\r\n")
    assert fingerprint.source_sha256(path) == unix
    path.write_bytes(b"x = 2\n")
    assert fingerprint.source_sha256(path) != unix


def test_file_hash_is_sha256(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert fingerprint.sha256_file(tmp_path / "f") == hashlib.sha256(b"abc").hexdigest()
