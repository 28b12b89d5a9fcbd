import pytest

from unlearn_bench.stats.recovery import curve, excess_recovery, judge


def test_an_excess_by_hand():
    never, known = [0.0] * 40, [1.0] * 40
    half = [1.0] * 20 + [0.0] * 20
    excess, (low, high) = excess_recovery((never, half), (never, never), known, None)
    assert excess == pytest.approx(0.5)
    assert 0.3 < low < 0.5 < high < 0.7
    gain, _ = excess_recovery((never, half), (never, never), None, None)
    assert gain == pytest.approx(0.5)


def test_one_question_has_no_interval():
    assert excess_recovery(([0.0], [1.0]), ([0.0], [0.0]), [1.0], None) == (1.0, None)


def test_no_change_is_not_certainty():
    excess, (low, high) = excess_recovery(([0.0] * 20, [0.0] * 20), ([0.0] * 20, [0.0] * 20), [1.0] * 20, None)
    assert excess == 0
    assert low == -high
    assert 0.1 < high < 0.2  # Wilson's interval of 0 of 20


def test_a_curve_by_hand():
    assert curve([(1, 0.5), (3, 1.0)]) == {"auc": pytest.approx((0.25 + 0.75) / 2), "half_steps": pytest.approx(1)}
    assert "half_steps" not in curve([(1, 0.1), (3, 0.4)])


@pytest.mark.parametrize("n", [16, 64, 256])
def test_as_many_questions_as_are_said_to_be_needed_decide(n):
    """An interval of no change that shrinks as said."""
    verdict, needed = judge(0.0, (-2 / n**0.5, 2 / n**0.5), 0.1, n, n)
    assert verdict == "cannot tell" or 2 / n**0.5 <= 0.1
    if needed:
        assert 300 < needed < 500  # 2 / sqrt(400) = 0.1
