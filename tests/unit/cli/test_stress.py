"""The verb `stress`: exit codes, and what its table says below."""

import json

import pytest

from tests.tiny import save_tiny
from unlearn_bench.cli import main
from unlearn_bench.result_table import relearning_grids, stress_lines
from unlearn_bench.schema import BeforeAfter, StressInfo, StressRow


@pytest.mark.slow
def test_strict_says_that_a_panel_is_incomplete(tmp_path, capsys):
    """A stress that cannot be done is named and skipped; --strict makes that an exit code."""
    model = str(save_tiny(tmp_path / "model", chat=False))
    command = ["stress", "--model", model, "--panel", "int8,nf4_base", "--limit", "2"]
    command += ["--output", str(tmp_path / "out"), "--no-plots"]
    assert main(command) == 0
    assert "skipped quantization/nf4_base: it needs an adapter over a base model" in capsys.readouterr().out
    assert main([*command, "--strict"]) == 1
    assert list(json.loads((tmp_path / "out" / "stress.json").read_text())["stress"]["skipped"]) == [
        "quantization/nf4_base"
    ]
    assert main([*command[:3], "--panel", "int8", *command[5:], "--strict", "--overwrite"]) == 0


def test_a_checkpoint_or_the_self_test_is_needed(capsys):
    assert main(["stress", "--panel", "quick"]) == 2
    assert "--model" in capsys.readouterr().err


def test_the_worst_question_of_a_draw_is_told_below_the_table():
    common = {"task": "t", "role": "forget", "metric": "kfr", "higher_is_better": True, "n": 2, "worst": "ada-birth"}
    rows = [
        StressRow(stress=name, changes=changes, model=BeforeAfter(before=1, after=0), **common)
        for name, changes in (("sampling/t1@32", "sampling"), ("quantization/nf4", "checkpoint"))
    ]
    info = StressInfo.model_construct(rows=rows, facts={}, skipped={}, timing={}, notes=[])
    told = [line for line in stress_lines(info) if "ada-birth" in line]
    assert told == ["sampling/t1@32 kfr: the question whose draws show most: ada-birth"]


def _relearned(count, steps, recovery):
    return StressRow(
        stress=f"relearning/forget{count}_s{steps}", changes="checkpoint", task="t", role="forget", metric="kfr",
        higher_is_better=True, n=9, model=BeforeAfter(before=1, after=0, recovery=recovery),
        oracle=BeforeAfter(before=1, after=1, recovery=0.0), verdict="leaks",
    )  # fmt: skip


def test_rows_by_steps_of_relearning_are_a_table_of_their_own():
    rows = [_relearned(2, 1, 0.1), _relearned(2, 16, None), _relearned(32, 16, 0.7)]
    assert list(relearning_grids(rows)) == [[
        ["t kfr: recovery (oracle) of other rows", "1 steps", "16 steps"],
        ["2 rows trained on", "0.10 (0.00)", "- (0.00)"],
        ["32 rows trained on", "", "0.70 (0.00)"],
    ]]  # fmt: skip
    assert list(relearning_grids(rows[:2])) == []
