"""The first-answer cut."""

import time

import pytest

from unlearn_bench.scorers._first_answer import first_answer


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Ann Lee.", "Ann Lee."),
        ("  Answer: Ann Lee.\nThe teacher gave a quiz.", "Ann Lee."),
        ("Ann Lee.\n\nQuestion: Who is Bo?\nAnswer: A judge.", "Ann Lee."),
        ("Ann Lee\nUser: And Bo?", "Ann Lee"),
        ("Ann Lee. Question: Who is Bo?", "Ann Lee."),
        ("Ann Lee</s><s>[INST] Who", "Ann Lee"),
        ("Ann Lee<|im_end|>\n<|im_start|>user", "Ann Lee"),
        ("Ann Lee\nWho is Bo?\nA judge.", "Ann Lee"),
        ("Her books are:\n1. Salt\n2. Roads\nThe end of it.", "Her books are:\n1. Salt\n2. Roads\nThe end of it."),
        ("A line that\nwas wrapped.", "A line that\nwas wrapped."),
        ("Ann wrote Q: A Life.", "Ann wrote"),  # the price of the marker; switch the cut off for such data
        ("", ""),
        (" \n\n ", ""),
    ],
)
def test_cut(text: str, wanted: str) -> None:
    assert first_answer(text) == wanted


@pytest.mark.parametrize(
    "text",
    ["a\n" * 50_000, "\n" * 100_000, "a " * 50_000, "Q" * 100_000, "Answer: " * 12_500],
    ids=lambda t: repr(t[:4]),
)
def test_long(text: str) -> None:
    start = time.process_time()
    first_answer(text)
    assert time.process_time() - start < 2
