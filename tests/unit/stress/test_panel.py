from itertools import pairwise

import pytest

from unlearn_bench.errors import UserError
from unlearn_bench.stress import STRESSES
from unlearn_bench.stress.panel import exams


def _names(*asked):
    return [exam.name for exam in exams(asked)]


def test_names_of_panels_stresses_and_variants():
    assert _names("nf4") == _names("quantization/nf4") == ["quantization/nf4"]
    assert set(_names("quantization")) > {"quantization/nf4", "quantization/int8"}
    assert _names("nf4", "quantization/nf4") == ["quantization/nf4"]  # once
    assert {exam.stress_name for exam in exams(["quick"])} == {exam.stress_name for exam in exams(["full"])}
    assert "sampling/t07" in set(_names("sampling")) - set(_names("full"))
    assert len(_names("quick")) < len(_names("full"))


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(UserError, match="unknown stress 'nf5'") as caught:
        _names("nf5")
    assert "nf4" in caught.value.hint


@pytest.mark.parametrize("name", STRESSES.names())
def test_every_stress_declares_what_it_does(name):
    stress = STRESSES.get(name)
    assert set(stress.quick) | set(stress.full) | set(stress.asked) <= set(stress.variants)
    assert stress.cost
    assert (stress.apply is not None) <= (stress.changes == "checkpoint")
    assert stress.apply or stress.rows or stress.asked
    assert len(STRESSES.summary(name)) > 20
    prepared = [stress.prepared(variant) for variant in stress.variants]
    assert len(set(prepared)) == sum(before != after for before, after in pairwise(["", *prepared]))
    assert {variant for points in stress.curves.values() for variant in points} <= set(stress.variants)
