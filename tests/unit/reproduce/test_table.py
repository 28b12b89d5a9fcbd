"""The arithmetic and the text of the table."""

import pytest

from unlearn_bench.reproduce import table
from unlearn_bench.reproduce.nano import STUDY as NANO
from unlearn_bench.reproduce.study import Row


def record(row: str, seed: int, kfr: float | None, krr: float = 0.5) -> dict[str, object]:
    metrics = {"nano_forget/kfr": kfr, "nano_retain/krr": krr}
    return {"row": row, "seed": seed, "metrics": metrics, "minutes": {"training": 2.0}}


ROWS = [Row("ga", "method", 1.0, method="ga"), Row("npo", "method", 1.0, method="npo")]


def test_interval_is_students():
    # s = 0.1, n = 3, t(0.975, 2) = 4.302653 (printed tables: 4.303): 4.302653 * 0.1 / sqrt(3) = 0.248414
    values = table.over_seeds([0.4, 0.5, 0.6])
    assert values["mean"] == pytest.approx(0.5)
    assert values["ci95"] == pytest.approx([0.5 - 0.248414, 0.5 + 0.248414], abs=1e-5)


def test_interval_ends_where_the_range_ends_unless_it_has_no_end():
    assert table.over_seeds([0.9, 1.0, 1.0])["ci95"][1] == 1.0
    assert table.over_seeds([9.0, 10.0, 11.0], top=None)["ci95"][1] == pytest.approx(10 + 2.48414, abs=1e-4)
    assert table.over_seeds([0.0, 0.1])["ci95"][0] == 0.0


def test_rows_in_order_and_undefined_is_not_zero():
    records = [record("npo", 0, 0.2), record("ga", 1, None), record("ga", 0, 1.0)]
    built = table.build(NANO, ROWS, records)
    assert [entry["row"] for entry in built] == ["ga", "npo"]
    assert built[0]["seeds"] == [0, 1]
    assert built[0]["kfr"]["mean"] == 1.0
    assert built[0]["kfr"]["undefined"] == 1
    assert built[0]["ls_forget"] == {"mean": None, "ci95": None, "values": [], "undefined": 0}  # it was not measured


def test_markdown_shows_each_row_once_with_its_interval():
    records = [record("ga", 0, 0.4), record("ga", 1, 0.5), record("ga", 2, 0.6), record("npo", 0, 0.25)]
    text = table.markdown(NANO, table.build(NANO, ROWS, records), ["something is missing"])
    lines = [line for line in text.splitlines() if line.startswith("| ga ")]
    assert len(lines) == 1
    assert "| 0.50 ± 0.25 |" in lines[0]
    assert "| npo | 1 | 0.25 |" in text
    assert text.endswith("- something is missing\n")
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert widths == {len([column for column in NANO.columns if not column.inside]) + 3}


def test_places_and_stress_are_tables_of_their_own_and_what_is_missing_is_no_zero():
    measured = record("ga", 0, 0.4) | {
        "places": {"nano_forget/kfr": 0.5, "nano_retain/krr": None},
        "inside": {"uds": 0.125, "answer_gold_best_rank": None, "control": 0.5},
        "excess": {"quantization/nf4/nano_forget/kfr": -0.25, "quantization/nf4/nano_forget/rougeL_recall": 0.75},
    }
    other = record("ga", 1, 0.4) | {"places": {"nano_forget/kfr": 1.5}, "excess": {}}
    measured["metrics"]["nano_forget/probability"] = 0.25
    built = table.build(NANO, ROWS, [measured, other, record("npo", 0, 0.25)])
    assert built[0]["places"]["kfr"]["mean"] == 1.0
    assert built[0]["places"]["kfr"]["ci95"][0] < 0
    assert built[0]["places"]["krr"] == {"mean": None, "ci95": None, "values": [], "undefined": 1}
    assert built[0]["excess"] == {"quantization/nf4": {"mean": -0.25, "ci95": None, "values": [-0.25], "undefined": 0}}
    assert built[1]["excess"] == {}
    assert built[0]["inside"]["uds"]["values"] == [0.125]
    assert built[0]["inside"]["answer_gold_best_rank"]["undefined"] == 1
    scores, likelihoods, places, stress, inside = table.markdown(NANO, built).split("\n## ")[1:]
    assert "| method | seeds | KFR | KFR para |" in scores
    assert "| ga | 2 | 0.25 | - |" in likelihoods
    assert "| ga | 2 | 0.12 | - | - | - |" in inside
    assert "| npo | 1 | - | - | - | - |" in inside
    assert "| npo | 1 | - |" in places
    assert "KRR" not in places  # no row has a place there
    assert "| method | seeds | quantization/nf4 |" in stress
    assert "| ga | 2 | -0.25 |" in stress
    assert "| npo | 1 | - |" in stress
