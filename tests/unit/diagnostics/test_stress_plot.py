"""Pictures of a stress report: what is drawn is there, and nothing is drawn of what is not."""

import pytest

from unlearn_bench.diagnostics.stress_plot import write_plots
from unlearn_bench.schema import BeforeAfter, ModelInfo, StressInfo, StressRow

pytest.importorskip("matplotlib")


def _row(stress, changes="checkpoint", **more):
    return StressRow(
        stress=stress, changes=changes, task="nano_forget", role="forget", metric="kfr", higher_is_better=True, n=128,
        model=BeforeAfter(before=0.9, after=0.5, recovery=0.45),
        oracle=BeforeAfter(before=1.0, after=0.98, recovery=0.02),
        excess=0.43, ci95=(0.3, 0.5), verdict="leaks", scale="recovery", **more,
    )  # fmt: skip


def _info(rows):
    return StressInfo(
        versions={},
        models={"model": ModelInfo(name="m", source="folder")},
        margin=0.1,
        rows=rows,
        facts={"sampling/t1": {"kfr/zero_leaks_allow": 0.089}},
    )


def test_every_picture_that_there_is_data_for(tmp_path):
    rows = [_row("quantization/nf4"), _row("relearning/forget8_s4"), _row("relearning/forget8_s16")]
    rows += [_row(f"sampling/t1@{k}", "sampling") for k in (1, 8)]
    written = write_plots(_info(rows), tmp_path)
    assert {path.name for path in written if path.suffix == ".svg"} == {"stress.svg", "relearning.svg", "leaks.svg"}
    text = (tmp_path / "stress.svg").read_text()
    assert all(word in text for word in ("quantization/nf4", "leaks", "oracle", "kfr of nano_forget"))
    assert "still allows" in (tmp_path / "leaks.svg").read_text()


def test_a_curve_for_each_number_of_rows_that_has_two_points(tmp_path):
    steps = [_row(f"relearning/forget{count}_s{n}") for count in (2, 8) for n in (4, 16)]
    write_plots(_info([*steps, _row("relearning/forget32_s4"), _row("relearning/retain8_s16")]), tmp_path)
    text = (tmp_path / "relearning.svg").read_text()
    assert all(f"{who}, {count} rows" in text for who in ("model", "oracle") for count in (2, 8))
    assert "32 rows" not in text


def test_one_point_is_no_curve_and_no_forget_row_no_picture(tmp_path):
    written = write_plots(_info([_row("relearning/forget8_s4")]), tmp_path)
    assert {path.stem for path in written} == {"stress"}
    retained = _row("quantization/nf4").model_copy(update={"verdict": None})
    assert write_plots(_info([retained]), tmp_path / "none") == []
