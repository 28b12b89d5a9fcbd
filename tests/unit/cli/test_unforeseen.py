"""Errors that nobody foresaw: one line, exit 2, no secret; the traceback only where it is asked for."""

import io
import sys

import pytest

from unlearn_bench.cli import main, tasks

KEY = "sk-MADEUPKEY-0123456789abcdef"


class _Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize("error", [
    ValueError(f"bad header 'Authorization': 'Bearer {KEY}'"), IndexError("list index out of range"),
    RecursionError("too deep"), KeyError("x"), AssertionError(), _Unprintable(),
    ValueError("two\n::error::lines\x1b[31m"), ValueError("x" * 100_000), TypeError(KEY),
])  # fmt: skip
@pytest.mark.parametrize("asked", [False, True])
def test_what_nobody_foresaw_is_one_line_and_exit_2(
    error: Exception, asked: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def fail(args: object) -> int:
        raise error

    monkeypatch.setattr(tasks, "run", fail)
    monkeypatch.setenv("MADE_UP_API_KEY", KEY)
    monkeypatch.setenv("UNLEARN_BENCH_TRACEBACK", "1" if asked else "")
    assert main(["tasks"]) == 2
    said = capsys.readouterr().err
    assert KEY not in said
    assert "\x1b" not in said
    assert ("Traceback" in said) == asked
    assert ("test_unforeseen.py" in said) == asked
    last = said.splitlines()[-1]
    assert last.startswith(f"unlearn-bench: internal error: {type(error).__name__}: ")
    assert last.endswith("; set UNLEARN_BENCH_TRACEBACK=1 to see where, and report it")
    assert len(last) < 500
    assert asked or said.count("\n") == 1


class _Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_nobody_reads_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", _Broken())
    assert main(["check", "missing", "--baseline", "missing"]) == 2
