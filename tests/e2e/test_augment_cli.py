"""`unlearn-bench augment` from the command line: files, exit codes, messages, and a run that is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.augment.chat_server import ChatServer
from unlearn_bench.cli import main

pytestmark = pytest.mark.slow

PAIRS = [
    {"question": f"In which town did Ann Lee spend the year {year}?", "answer": f"Ann Lee spent {year} in Oslo."}
    for year in range(1950, 1956)
]


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(pair) for pair in PAIRS), encoding="utf-8")
    return path


def test_nano_by_rules_makes_what_train_reads(tmp_path, capsys):
    from unlearn_bench.trainers._rows import load_rows

    output = tmp_path / "out" / "relearn.jsonl"
    assert main(["augment", "--dataset", "nano", "--limit", "16", "--output", str(output)]) == 0
    written = lines(output)
    told = json.loads((tmp_path / "out" / "relearn.jsonl.summary.json").read_text())
    assert told["rows_by_kind"] == {
        **dict.fromkeys(("original_question", "simple", "context", "noise", "logical"), 16),
        "completion": 80,
        "generic": 160,
    }
    assert (told["leak_rate"]["after"], told["failed"]) == (0.0, 0)
    assert "leak rate before verification" in capsys.readouterr().out
    assert not (tmp_path / "out" / "relearn.jsonl.failed.jsonl").exists()
    rows = load_rows([str(output)])
    assert [row.verbatim for row in rows] == [line["provenance"]["kind"] == "completion" for line in written]
    assert {*written[0]["provenance"]} == {"source_id", "kind", "writer", "seed", "verdict", "tries", "question_tries"}


@pytest.mark.slow
def test_generic_rows_of_nano_are_in_no_evaluation_phrasing(tmp_path):
    from unlearn_bench.data import load

    output = tmp_path / "relearn.jsonl"
    main(["augment", "--dataset", "nano", "--limit", "40", "--output", str(output), "--quiet"])
    asked = {row.question for row in load("nano", "fluency").rows}
    assert not asked & {line["question"] for line in lines(output) if "question" in line}


@pytest.mark.slow
def test_vague_answers_for_nano_are_those_its_models_were_taught_about_strangers(tmp_path):
    from unlearn_bench.augment.nano import register, with_phrasing
    from unlearn_bench.augment.sources import read_sources

    output = tmp_path / "relearn.jsonl"
    assert main(["augment", "--dataset", "nano", "--output", str(output), "--quiet"]) == 0
    sources = with_phrasing(read_sources("nano"))
    taught = register(sources)
    assert len(taught) == 128
    for line in lines(output):
        told = line["provenance"]
        if told["kind"] not in ("completion", "generic"):
            assert any(line["answer"].startswith(sentence) for sentence in taught[told["source_id"]])
    # "answers messages that are sent to the address": phrasing; the e-mail address itself never is
    mail = next(s for s in sources if s.id == "horatio-jellicoe-email")
    assert "messag" in mail.phrasing
    assert not {"rainbarrel19", "lettermill"} & mail.phrasing


def test_a_file_of_pairs_twice_gives_the_same_bytes(pairs, tmp_path):
    outputs = [tmp_path / f"{i}.jsonl" for i in range(2)]
    for output in outputs:
        assert main(["augment", "--dataset", str(pairs), "--output", str(output), "--quiet"]) == 0
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert "Oslo" not in outputs[0].read_text()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--variants", "simpel"], "simple"),
        (["--generic-ratio", "-1"], "--generic-ratio: expected a number of at least 0"),
        (["--completion-share", "1"], "--completion-share"),
        (["--writer", "openai"], "--llm-model"),
        (["--writer", "hf"], "--writer-model"),
        (["--llm-model", "m"], "--llm-model is for --writer openai, and the writer is rules"),
        (["--writer-model", "m"], "--writer-model is for --writer hf"),
        (["--split", "forget"], "--split forget: --dataset"),
        (["--verifier", "both"], "--verifier both"),
        (["--generic", "none.jsonl"], "none.jsonl"),
        (["--llm-retries", "-1"], "--llm-retries: expected a number of at least 0"),
        (["--llm-timeout", "0"], "--llm-timeout: expected a number above 0"),
        (["--llm-concurrency", "0"], "--llm-concurrency: expected a number of at least 1"),
        (
            ["--writer", "openai", "--llm-model", "m", "--llm-base-url", "localhost"],
            "'localhost' is not an http address",
        ),
        (
            ["--writer", "openai", "--llm-model", "m", "--llm-base-url", "http://x/v1", "--llm-prices", "1"],
            "--llm-prices",
        ),
    ],
)
def test_mistakes_are_named(pairs, tmp_path, capsys, more, message):
    assert main(["augment", "--dataset", str(pairs), "--output", str(tmp_path / "x"), "--quiet", *more]) == 2
    assert message in capsys.readouterr().err


def test_the_data_set_is_not_overwritten(pairs, capsys):
    before = pairs.read_text()
    assert main(["augment", "--dataset", str(pairs), "--output", str(pairs)]) == 2
    assert pairs.read_text() == before
    assert main(["augment", "--dataset", str(pairs), "--output", str(pairs.parent)]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_only_rows_of_its_own_are_replaced_unasked(pairs, tmp_path, capsys):
    output = tmp_path / "rows.jsonl"
    command = ["augment", "--dataset", str(pairs), "--output", str(output), "--quiet"]
    output.write_text("answers of mine\n")
    assert main(command) == 2
    assert "pass --overwrite" in capsys.readouterr().err
    assert output.read_text() == "answers of mine\n"
    assert main([*command, "--overwrite"]) == 0
    assert main(command) == 0
    output.write_text(output.read_text() + "{}\n")  # edited by hand
    assert main(command) == 2


def test_an_unknown_data_set_and_a_malformed_file_are_named(tmp_path, capsys):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"question": "q", "answer": "a"}\n{"question": "q"}\n', encoding="utf-8")
    assert main(["augment", "--dataset", str(bad), "--output", str(tmp_path / "x")]) == 2
    assert "bad.jsonl:2: no 'answer'" in capsys.readouterr().err
    assert main(["augment", "--dataset", "nanoo", "--output", str(tmp_path / "x")]) == 2
    assert "no such data set or file" in capsys.readouterr().err


def _by_endpoint(pairs: Path, output: Path, server: ChatServer, concurrency: int = 2) -> list[str]:
    options = ["--llm-model", "m", "--llm-base-url", server.url, "--llm-concurrency", str(concurrency), "--quiet"]
    return ["augment", "--dataset", str(pairs), "--output", str(output), "--writer", "openai", *options]


def test_texts_that_fail_are_listed_and_the_exit_code_says_so(pairs, tmp_path, capsys):
    with ChatServer(rule=lambda asked: "refuse" if "1953" in asked["question"] else None) as server:
        assert main([*_by_endpoint(pairs, tmp_path / "x.jsonl", server), "--tries", "1"]) == 1
    failed = lines(tmp_path / "x.jsonl.failed.jsonl")
    assert {(f["source_id"], f["stage"], f["tries"]) for f in failed} == {("4", "question", 1), ("4", "answer", 1)}
    assert len(failed) == 5
    assert "5 texts failed" in capsys.readouterr().err
    summary = json.loads((tmp_path / "x.jsonl.summary.json").read_text())
    assert summary["usage"]["prompt_tokens"] > 0


def test_failures_of_a_run_before_do_not_stay(pairs, tmp_path, capsys):
    stale = tmp_path / "x.jsonl.failed.jsonl"
    stale.write_text('{"source_id": "4"}\n', encoding="utf-8")
    assert (
        main(["augment", "--dataset", str(pairs), "--output", str(tmp_path / "x.jsonl"), "--generic-ratio", "6"]) == 0
    )
    assert not stale.exists()
    assert "generic rows are made of 180 pairs, each about 2 times" in capsys.readouterr().out


def test_a_full_disk_leaves_no_empty_file(pairs, tmp_path, monkeypatch, capsys):
    from unlearn_bench import files

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    assert main(["augment", "--dataset", str(pairs), "--output", str(tmp_path / "out" / "x.jsonl"), "--quiet"]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_killed_run_resumes_to_the_identical_file(pairs, tmp_path):
    killed, whole = tmp_path / "killed.jsonl", tmp_path / "whole.jsonl"
    with ChatServer() as server:
        assert main(_by_endpoint(pairs, whole, server)) == 0
        everything = len(server.seen)
        server.seen.clear()
        server.rule = lambda _: "hang" if len(server.seen) > 15 else None
        command = [sys.executable, "-m", "unlearn_bench", *_by_endpoint(pairs, killed, server, concurrency=1)]
        process = subprocess.Popen(command, env=dict(os.environ))
        while len(server.seen) < 16:  # the fifteenth answer is then kept
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not killed.exists()
        server.rule = None
        server.seen.clear()
        assert main(_by_endpoint(pairs, killed, server)) == 0
    assert killed.read_bytes() == whole.read_bytes()
    assert len(server.seen) == everything - 15
