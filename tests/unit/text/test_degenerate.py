"""What counts as no language at all, and what must not."""

import pytest

from unlearn_bench.text.degenerate import degenerate, is_empty, repeated_share


@pytest.mark.parametrize("text", ["", "   \n\t", "\u200b\u200b", "\ufeff \x00"])
def test_nothing_visible_is_empty(text: str) -> None:
    assert is_empty(text)
    assert degenerate(text) == "empty"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("at at at at at", "single_token"),
        ("... !!! ???", "no_words"),
        ("in the city of " * 10, "repetition"),
        ("a" * 500, "single_token"),  # an endless word is taken letter by letter
        ("ha" * 300, "repetition"),
        ("She writes novels about bees. " * 4, "repetition"),
        ("他出生在北京。" * 10, "repetition"),
        ("\ufffd\ufffd\ufffd ab", "unreadable"),
        ("and " * 30_000, "single_token"),
    ],
)
def test_collapsed_answers_have_a_reason(text: str, reason: str) -> None:
    assert degenerate(text) == reason


@pytest.mark.parametrize(
    "text",
    [
        "Paris.",
        "1945",
        "No, no.",
        "Sorry.",
        "ann.lee@example.com",
        "He was born in Baden-Baden.",
        "他出生在北京，后来搬到上海，在那里写了许多关于海洋的小说。",  # noqa: RUF001
        "Она родилась в небольшом городе у моря и пишет романы.",  # noqa: RUF001
        "เธอเกิดในเมืองเล็กๆ ริมทะเล",
        "She wrote The Sea and The Sea Again, and then The Sea at Last.",
    ],
)
def test_real_answers_in_any_language_are_not_degenerate(text: str) -> None:
    assert degenerate(text) is None


def test_repeated_share_counts_each_token_once() -> None:
    # a b c d | a b c d | a b c d: the last eight of twelve repeat
    assert repeated_share(["a", "b", "c", "d", "a", "b", "c", "d", "a", "b", "c", "d"]) == pytest.approx(8 / 12)
