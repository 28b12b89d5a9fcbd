"""Requests to forget, one after another: the recipe of docs/stress.md with tiny settings."""

import json

import pytest

from unlearn_bench.cli import main
from unlearn_bench.nano.corpus import corpus


@pytest.mark.slow
def test_each_request_is_unlearned_on_top_of_the_last(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [row for row in corpus() if row.role == "forget"]
    for name, part in (("first", rows[:8]), ("second", rows[8:16])):
        lines = (json.dumps({"question": row.question, "answer": row.answer}) + "\n" for row in part)
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    before = "nano-full"
    for number, name in ((1, "first"), (2, "second")):
        after = f"after-{number}"
        train = ["train", "--method", "npo+gdr", "--preset", "nano", "--model", before, "--forget", f"{name}.jsonl"]
        assert main([*train, "--retain", "nano:retain", "--max-steps", "2", "--output", after, "--quiet"]) == 0
        run = ["run", "--model", after, "--tasks", "nano_kfr", "--limit", "4", "--quiet"]
        assert main([*run, "--output", f"results/{after}"]) == 0
        record = json.loads((tmp_path / after / "training.json").read_text())
        assert (record["model"]["name"], record["data"]["forget"]["rows"]) == (before, 8)
        before = after
    capsys.readouterr()
    assert main(["compare", "results/after-1", "results/after-2"]) == 0
    assert "nano_kfr/kfr" in capsys.readouterr().out
