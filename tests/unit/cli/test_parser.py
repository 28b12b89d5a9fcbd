"""Usage errors are short and name the nearest; values out of range are refused before anything is loaded."""

import pytest

from unlearn_bench.cli import main
from unlearn_bench.errors import UserError, printable


def _fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code = main(list(arguments))
    err = capsys.readouterr().err.strip()
    assert code == 2
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 3
    return err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--limit", v) for v in ("0", "-1", "1.5", "nan", "inf", "some")),
        *(("--limit", v) for v in ("9007199254740994", "1e300")),
        *(("--batch-size", v) for v in ("0", "aut", "1.5", "9007199254740993")),
        *((name, v) for name in ("--model", "--adapter", "--original", "--data-dir", "--output") for v in ("", " ")),
        *(("--temperature", v) for v in ("-0.1", "nan", "inf", "warm")),
        *(("--top-p", v) for v in ("0", "5", "nan")),
        *(("--top-k", v) for v in ("0", "2.5")),
        *(("--seed", v) for v in ("-1", "4294967296", "x", "1" * 5000)),
        ("--max-gen-toks", "0"),
    ],
)
def test_values_out_of_range_are_named(capsys, option, value):
    assert f"argument {option}: expected" in _fails(capsys, "run", option, value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--max_gen_toks", "4"), "did you mean --max-gen-toks?"),
        (("run", "--modell", "x"), "did you mean --model"),
        (("score", "x.jsonl", "--rloe", "forget"), "did you mean --role"),
        (("rum",), "did you mean run"),
        (("run", "--backend", "vlm"), "did you mean vllm"),
        (("run", "--output", "a\0b"), "--output: a NUL character"),
        (("run", "--model", "\udcff"), "--model \\udcff: not UTF-8"),
        (("run", "--tasks", ","), "expected names between commas"),
        (("stress", "--panel", ""), "expected names between commas"),
        (("report", "leaderboards/nano.json", "--output", ""), "expected a path"),
        (("compare", "", "a"), "expected a value, got ''"),
        (("run", "--tasks", "NANO_KFRR"), "did you mean nano_krr or nano_kfr"),
        (("nano", "meta", "--seeds", "4294967296"), "from 0 to 4294967295"),
        (("smol", "build", "--output", __file__), "a file, expected a folder"),
        (("stress", "--model", "nano-full", "--controls", __file__), "--controls"),
        (("train", "--method", "ga", "--model", "m", "--dataset", "nano", "--output", __file__), "expected a folder"),
        (("run", "--tasks", "nano_kfrr"), "did you mean nano_krr or nano_kfr"),
        (("run", "--tasks", "nano_x*"), "unknown task 'nano_x*'"),
        (("run", "--include-path", "/no/such", "--tasks", "a"), "--include-path /no/such: no such folder"),
        (("run", "--data-dir", "/no/such", "--tasks", "tofu_kfr"), "--data-dir /no/such does not exist"),
        (("run", "--backend", "api", "--device", "cpu"), "--device is not read by --backend api"),
        (("run", "--model", ".", "--revision", "main"), "--revision is for a model of the hub"),
    ],
)
def test_mistakes_are_short_and_name_the_nearest(capsys, monkeypatch, tmp_path, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert words in _fails(capsys, *arguments)
    assert not (tmp_path / "results" / "nano-full" / "result.json").exists()


def test_what_an_error_repeats_cannot_act_on_the_terminal():
    error = UserError("model a\u202eb\n::error::x\x1b[2J", hint="one\n  ::error::two\n  three")
    assert str(error) == "model a\\u202eb\\n::error::x\\x1b[2J\n  one\n  \\::error::two\n  three"
    assert str(UserError("Größe 東京 é")) == "Größe 東京 é"
    assert len(printable("x" * 10**6)) < 5000


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "the memory that this process may use is not enough"),
        (ImportError("libtorch_cpu.so: failed to map segment"), "internal error: ImportError: libtorch_cpu.so"),
        (KeyError("q1"), "internal error: KeyError: 'q1'"),
    ],
)
def test_no_error_ends_in_a_traceback_or_in_the_code_of_a_bad_answer(monkeypatch, capsys, error, said) -> None:
    from unlearn_bench.cli import validate

    def fail(args: object) -> int:
        raise error

    monkeypatch.delenv("UNLEARN_BENCH_TRACEBACK", raising=False)
    monkeypatch.setattr(validate, "run", fail)
    assert main(["validate"]) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown


def test_an_error_of_the_system_names_the_file_that_was_meant_and_the_next_step(monkeypatch, capsys):
    import errno

    from unlearn_bench.cli import validate

    def fail(error):
        def run(args):
            raise error

        monkeypatch.setattr(validate, "run", run)
        return _fails(capsys, "validate")

    assert "free some room" in fail(OSError(errno.ENOSPC, "No space left on device", "table.md"))
    assert "may read and write" in fail(PermissionError(errno.EACCES, "Permission denied", "x"))
    named = fail(OSError(errno.EISDIR, "Is a directory", "/x/.table.md.abc", None, "/x/table.md"))
    assert named.startswith("unlearn-bench validate: Is a directory: /x/table.md\n  a file is needed here")
    assert "name a folder" in fail(NotADirectoryError(errno.ENOTDIR, "Not a directory", "a.jsonl/x"))
