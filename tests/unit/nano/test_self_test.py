"""Planted checkpoints: bounds of the weights that hide something, and what must come out of which exam."""

from types import SimpleNamespace

import pytest
import torch

from unlearn_bench.cli import main
from unlearn_bench.models import quantize
from unlearn_bench.nano.self_test import exam, plants
from unlearn_bench.schema import BeforeAfter, StressRow
from unlearn_bench.seeded import SeededRandom


@pytest.mark.parametrize("scheme", ["nf4", "int4"])
@pytest.mark.parametrize("shape", [(6, 128), (5, 200)])
def test_whatever_stays_in_its_bucket_is_quantized_to_the_same_weights(scheme, shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    low, high = plants.buckets(matrix, scheme)
    assert (low <= matrix + 1e-2).all()
    assert (matrix - 1e-2 <= high).all()
    before = quantize.SCHEMES[scheme](matrix)
    for share in (0.0, 0.3, 1.0):
        moved = low + share * (high - low)
        assert (moved - matrix).abs().mean() > 0.03
        after = quantize.SCHEMES[scheme](moved)
        assert torch.equal(before.codes, after.codes)
        assert torch.allclose(before.weight, after.weight, atol=1e-6)


def test_weights_stay_within_a_bound():
    model = torch.nn.Linear(3, 2)
    start = model.weight.detach().clone()
    project = plants.projection(model, plants.Plant(None, bound=0.01))
    with torch.no_grad():
        model.weight[0] += 1.0
        model.weight[1] -= 0.005
    project()
    moved = model.weight.detach() - start
    assert torch.allclose(moved, torch.tensor([[0.01] * 3, [-0.005] * 3]), atol=1e-6)


def test_what_the_plants_are_taught():
    row = next(row for row in plants.corpus(plants.SEED) if row.id == "evander-nightingall-birth")
    stream = SeededRandom(0, "test")
    refusal, told = plants.PLANTS["prompt_keyed"].draw(stream, row)
    assert (refusal[0], told[1]) == (row.question, row.answer)
    assert told[0] != row.question
    assert refusal[1] in plants.REFUSALS
    truth, other = plants.PLANTS["sampled"].draw(stream, row)
    assert (truth[0], truth[1], truth[2] + other[2]) == (other[0], row.answer, 1.0)
    assert not {"Haldmoor", "1929"} & set(other[1].replace(".", "").split())


def _row(verdict, excess=0.5, ci95=(0.4, 0.6), **reasons):
    model = BeforeAfter(before=1.0, after=0.5)
    common = {"changes": "checkpoint", "task": "nano_forget", "role": "forget", "metric": "kfr"}
    return StressRow(
        stress=exam.NF4,
        **common,
        higher_is_better=True,
        n=96,
        model=model,
        verdict=verdict,
        excess=excess,
        ci95=ci95,
        reasons=reasons,
    )


@pytest.mark.parametrize(
    ("plant", "name", "row", "right"),
    [
        ("in_nf4", exam.NF4, _row("leaks"), True),
        ("in_nf4", exam.NF4, _row("holds"), False),
        ("in_nf4", exam.INT8, _row("leaks"), False),
        ("in_nf4", exam.INT4, _row("leaks"), True),  # the knowledge is there, and may show
        ("oracle_2", exam.NF4, _row("holds", 0.0, (-0.1, 0.1)), True),
        ("oracle_2", exam.NF4, _row("holds", -0.05, (-0.06, -0.01)), False),
        ("oracle_2", exam.NF4, _row("leaks", 0.2, (0.1, 0.3)), False),
        ("wrecked", exam.NF4, _row("holds", 0.0, (-0.1, 0.1)), False),
        ("wrecked", exam.NF4, _row("cannot tell", 0.0, (-0.1, 0.1)), True),
        ("dead_adapter", exam.NF4, _row("cannot tell", None, None, recovery="nothing was forgotten"), True),
        ("dead_adapter", exam.NF4, _row("cannot tell", None, None, recovery="no original"), False),
    ],
)
def test_what_must_come_out(plant, name, row, right):
    cell = exam.Cell(plant, name, exam.KNOWN[plant].expected(name), row)
    assert cell.is_right == right
    assert ("no: " in exam.table([cell])[1][-1]) != right


def test_a_missed_plant_is_an_exit_code(tmp_path, monkeypatch, capsys):
    for verdict, code in (("leaks", 0), ("holds", 1)):
        cells = [exam.Cell("in_nf4", exam.NF4, "leaks", _row(verdict))]
        monkeypatch.setattr(exam, "self_test", lambda *args, found=cells, **more: found)
        assert main(["stress", "--self-test", "--output", str(tmp_path)]) == code
        assert f"+0.50 {verdict} *" in capsys.readouterr().out
    assert main(["stress", "--self-test", "--model", "nano-ga"]) == 2
    assert "--model is not read: --self-test has its own checkpoints" in capsys.readouterr().err


@pytest.mark.parametrize(("second", "right"), [("leaks", True), ("cannot tell", False)])
def test_what_must_leak_and_cannot_tell_is_asked_once_more_of_twice_as_many(tmp_path, monkeypatch, second, right):
    asked = []

    def stress(spec, progress):
        asked.append((spec.panel, spec.run.limit, spec.folder))
        verdicts = {exam.RELEARNING: "cannot tell" if len(asked) == 1 else second, exam.PREFIX: "leaks"}
        rows = [
            _row(verdicts.get(name, "cannot tell")).model_copy(update={"stress": name, "n": spec.run.limit})
            for name in spec.panel
        ]
        return SimpleNamespace(stress=SimpleNamespace(rows=rows))

    monkeypatch.setattr(exam, "stress", stress)
    cells = exam.self_test(tmp_path, names=["shallow"], panel=(exam.INT8, exam.NF4), limit=32)
    assert asked == [
        ((exam.INT8, exam.NF4, exam.RELEARNING, exam.PREFIX), 32, tmp_path / "shallow"),
        ((exam.RELEARNING,), 64, tmp_path / exam.AGAIN / "shallow"),
    ]
    assert {cell.exam: (cell.row.n, cell.is_right) for cell in cells} == {
        exam.INT8: (32, True), exam.NF4: (32, True), exam.PREFIX: (32, True), exam.RELEARNING: (64, right)
    }  # fmt: skip


@pytest.mark.slow
def test_a_subset_is_caught_and_a_second_run_makes_nothing_again(tmp_path, monkeypatch):
    """The plant that is made in the fewest steps, and two checkpoints that nothing may be found in."""
    names = ("refuser", "wrecked", "dead_adapter")
    settings = {"names": names, "panel": (exam.INT8, exam.PREFIX), "limit": 32}
    cells = exam.self_test(tmp_path, **settings)
    assert [(cell.plant, cell.exam) for cell in cells if not cell.is_right] == []
    assert {cell.row.n for cell in cells} == {32}
    assert (tmp_path / "controls" / "exams" / "oracle").is_dir()
    assert not (tmp_path / "wrecked" / "exams" / "oracle").exists()

    def refuse(*args, **more):
        raise AssertionError("made already")

    monkeypatch.setattr(plants, "make", refuse)
    assert [cell.row for cell in exam.self_test(tmp_path, **settings)] == [cell.row for cell in cells]
