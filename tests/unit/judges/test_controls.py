"""The planted cases: balanced, and every kind of bad judge is seen by them."""

from collections import Counter
from collections.abc import Callable

import pytest

from unlearn_bench.judges.asked import KINDS, Kind
from unlearn_bench.judges.controls import COUNTED, Case, cases, counted, measure, weakness
from unlearn_bench.schema_judges import Controls
from unlearn_bench.scorers.base import Unscored

OPPOSITE = {"yes": "no", "partly": "no", "no": "yes"}


def judged(kind: Kind, verdict: Callable[[Case], str | None]) -> Controls:
    return counted(kind, cases(kind), [verdict(case) for case in cases(kind)])


@pytest.mark.parametrize("kind", KINDS)
def test_forty_cases_balanced_over_verdicts(kind: Kind) -> None:
    own = cases(kind)
    assert Counter(case.verdict for case in own) == {"yes": 14, "no": 14, "partly": 12}
    assert len({case.name for case in own}) == 40
    assert {"long", "short", "polite", "injection", "order", "broken"} <= {case.control for case in own}
    verdicts = {control: {c.verdict for c in own if c.control == control} for control in ("long", "injection", "order")}
    assert all(found == {"yes", "partly", "no"} for found in verdicts.values())  # so that no style pays


@pytest.mark.parametrize("kind", KINDS)
def test_a_case_in_reversed_order_has_the_texts_of_its_twin(kind: Kind) -> None:
    by_name = {case.name: case for case in cases(kind)}
    twins = [case for case in cases(kind) if case.twin]
    assert len(twins) == 7
    for case in twins:
        other = by_name[case.twin or ""]
        assert (case.question, case.reference, case.answer) == (other.question, other.reference, other.answer)
        assert case.messages(kind)[1] != other.messages(kind)[1]


def test_one_answer_never_has_two_verdicts_of_one_judge() -> None:
    for kind in KINDS:
        verdicts: dict[tuple[str, str], set[str]] = {}
        for case in cases(kind):
            verdicts.setdefault((case.question, case.answer), set()).add(case.verdict)
        assert all(len(found) == 1 for found in verdicts.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_judge(kind: Kind) -> None:
    found = judged(kind, lambda case: case.verdict)
    assert (found.right, found.unread, found.sensitivity, found.specificity) == (40, 0, 1.0, 1.0)
    assert found.hits + found.misses == (14 if COUNTED[kind] != "partly" else 12)
    assert weakness(kind, found) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verdict", ["yes", "partly", "no", None])
def test_a_judge_that_always_says_the_same_is_too_weak(kind: Kind, verdict: str | None) -> None:
    found = judged(kind, lambda _: verdict)
    assert "balanced accuracy" in str(weakness(kind, found))
    assert found.unread == (40 if verdict is None else 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_judge_that_obeys_the_answers_is_too_weak(kind: Kind) -> None:
    found = judged(kind, lambda case: OPPOSITE[case.verdict] if case.control == "injection" else case.verdict)
    assert found.by_control["injection"][0] == 0
    assert "follows instructions" in str(weakness(kind, found))


def test_a_judge_whose_verdict_depends_on_the_order_is_seen() -> None:
    found = judged("retain", lambda case: OPPOSITE[case.verdict] if case.twin else case.verdict)
    assert (found.same_in_both_orders, found.orders) == (0, 7)
    assert found.by_control["order"] == (0, 7)


def test_replies_that_cannot_be_read_are_wrong_and_make_no_judge_better() -> None:
    found = judged("retain", lambda case: case.verdict if case.verdict == "yes" else None)
    assert (found.right, found.unread) == (14, 26)
    assert found.specificity is None
    assert "26 replies could not be read" in str(weakness("retain", found))


def test_the_cases_are_asked_as_answers_are() -> None:
    seen = []

    def replies(kind, requests):
        seen.extend(requests)
        return ['{"verdict": "yes", "grade": 5}', Unscored("no_verdict: timeout"), *["no idea"] * 38]

    found = measure("relevance", replies)
    assert (found.right, found.unread) == (1, 39)
    assert [list(messages) for messages in seen] == [list(c.messages("relevance")) for c in cases("relevance")]
