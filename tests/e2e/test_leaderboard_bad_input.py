"""Bad files, in every place where a verb of the leaderboard takes a file: one clear message, exit 2, no trace left."""

import bz2
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.leaderboard_documents import write_board, write_run
from unlearn_bench.cli import main

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert(1)</script>|`x`\n::error::x\x1b[31m"
# What each file holds, made from the text of a good result.
CONTENT: dict[str, Callable[[str], str | bytes]] = {
    "blank": lambda text: " \n",
    "truncated": lambda text: text[: len(text) // 2],
    "nan": lambda text: text.replace("0.8", "NaN", 1),
    "deep list": lambda text: "[" * 100_000,
    "deep object": lambda text: '{"a":' * 30 + "1" + "}" * 30,
    "6,000 digits": lambda text: text.replace('"n": 100', '"n": ' + "9" * 6_000, 1),
    "1e400": lambda text: text.replace('"n": 100', '"n": 1e400', 1),
    "beyond 2^53": lambda text: text.replace('"n": 100', '"n": 9007199254740993', 1),
    "UTF-16": lambda text: text.encode("utf-16"),
    "Latin-1": lambda text: text.replace("good", "gööd").encode("latin-1"),
    "byte order mark": lambda text: "\ufeff" + text,
    "null": lambda text: "null",
    "list": lambda text: "[]",
    "string": lambda text: '"x"',
    "other version": lambda text: text.replace('"1.0"', '"9.0"', 1),
    "half a pair": lambda text: text.replace('"good"', '"\\ud800"'),
    "key twice": lambda text: text.replace('"n": 100', '"n": 100, "n": 100', 1),
    "binary": lambda text: bytes(range(256)) * 10,
    "nearly a board": lambda text: '{"benchmark": "x"}',
    "hostile name": lambda text: text.replace('"good"', '"<script>|\\n::error::\\u001b[31m"'),
    "no YAML date": lambda text: "alpha: !!timestamp x",
    "YAML of 5,000 digits": lambda text: "alpha: " + "9" * 5_000,
    "no bzip2.bz2": lambda text: b"BZh9junk",
    "a bzip2 line of 10 MB.bz2": lambda text: bz2.compress(b"x" * 10_000_000),
}
PLACES = ("missing", "folder", "folder.json", "loop", "dangling", "pipe", "/dev/zero", "b.json#nobody",
          f"b.json#{HOSTILE}", "missing.json#x", "result.json#x", "x" * 5_000, "a\0b")  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A board with an entry, two runs without their samples, and things that are no files."""
    monkeypatch.chdir(tmp_path)
    write_board(tmp_path / "b.json")
    for name, kfr in (("good", 80), ("base", 70)):
        path = write_run(tmp_path / name, name, kfr=kfr)
        path.with_name("samples.jsonl").unlink()
    (tmp_path / "result.json").write_bytes((tmp_path / "good" / "result.json").read_bytes())
    for name in ("folder", "folder.json"):
        (tmp_path / name).mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "missing")
    os.mkfifo(tmp_path / "pipe")
    assert main(["submit", "good", "--leaderboard", "b.json", "--name", "good"]) == 0
    return tmp_path


def _commands(bad: str) -> list[list[str]]:
    """Every place where a file is named, with the bad one in it."""
    return [
        ["check", bad, "--baseline", "base", "--allow-no-samples"],
        ["check", "good", "--baseline", bad, "--allow-no-samples"],
        ["check", "good", "--baseline", "base", "--allow-no-samples", "--gate", bad],
        ["check", "good", "--baseline", "base", "--allow-no-samples", "--samples", bad],
        ["compare", "good", bad],
        ["submit", bad, "--leaderboard", "b.json", "--name", "new"],
        ["submit", "base", "--leaderboard", bad, "--name", "new"],
        ["submit", "base", "--leaderboard", "b.json", "--name", "new", "--samples", bad],
        ["submit", "base", "--leaderboard", "b.json", "--name", "new", "--training", bad],
        ["verify", bad],
        ["verify", "good", "--samples", bad],
        ["verify", "b.json", "--against", bad],
        ["report", bad, "--output", "site"],
        ["report", bad, "--format", "csv"],
        ["export", bad, "--to", "every-eval-ever"],
    ]


@pytest.mark.parametrize("bad", [*CONTENT, *PLACES], ids=lambda name: name[:20].strip().replace("\0", "NUL"))
def test_a_bad_file_is_refused_wherever_it_is_named(bench: Path, capsys: pytest.CaptureFixture[str], bad: str) -> None:
    if bad in CONTENT:
        content = CONTENT[bad]((bench / "good" / "result.json").read_text(encoding="utf-8"))
        data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        (bench / bad).write_bytes(data)
    before = (bench / "b.json").read_bytes()
    for command in _commands(bad):
        capsys.readouterr()
        assert main(command) == 2, command
        out, err = capsys.readouterr()
        assert out == "", command
        assert err.startswith(f"unlearn-bench {command[0]}: "), command
        assert not any(ord(character) < 32 and character != "\n" for character in err), command
        assert len(err) < 8_000
    assert (bench / "b.json").read_bytes() == before
    assert not (bench / "site").exists()


@pytest.mark.parametrize("verb", ["check", "compare", "report", "export"])
def test_an_output_that_cannot_be_written_is_said(bench: Path, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    command = {
        "check": ["check", "good", "--baseline", "base", "--allow-no-samples"],
        "compare": ["compare", "good", "base"],
        "report": ["report", "b.json", "--format", "md"],
        "export": ["export", "good", "--to", "every-eval-ever"],
    }[verb]
    for output in ("folder", "result.json/x"):
        assert main([*command, "--output", output]) == 2
        assert capsys.readouterr().err.startswith(f"unlearn-bench {verb}: ")


def test_a_folder_that_may_not_be_written_leaves_the_board(
    bench: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "b.json")

    before = (bench / "b.json").read_bytes()
    monkeypatch.setattr("unlearn_bench.files.tempfile.mkstemp", refused)  # root may write anywhere: no mode stops it
    assert main(["submit", "base", "--leaderboard", "b.json", "--name", "new"]) == 2
    told = "unlearn-bench submit: Permission denied: b.json\n  name a file or folder that you may read and write\n"
    assert capsys.readouterr().err == told
    assert (bench / "b.json").read_bytes() == before
