"""Chunks that no writer makes, and what looks like them and is written every day."""

import pytest

from unlearn_bench.text.sense import is_word, sense

QUESTION = "Can you name a famous work by the author Ann Lee?"


@pytest.mark.parametrize(
    "text",
    [
        "EEEEEEEEEElowen Lee has spok severalion and now Bridiva attention to simple.",
        "The authorrrrrs are about this nature= is faithSimplified.",
        "NOANSWER",
        "She was bornin ofthe city inthe north.",
        "asdkjh qwelkj zxmcn alskdj qwoeiu",
        "She wrote ;;;;; ,,,,, books ||||| about it {}{}{}{}",
        "The author isKnown for writing books aboutThe sea.",
        "Th\ufffd auth\ufffdr was b\ufffdrn in Oslo.",
        "He is a famurously blimentic writer of grondulous flerbs.",
        "TheAuthorWasBornInOslo in the north of it.",
        "She wrote\x01 a\x02 novel\x03.",
    ],
)
def test_what_no_writer_makes(text: str) -> None:
    assert sense(QUESTION, text) <= 0.5


@pytest.mark.parametrize(
    "text",
    [
        "Hmmmm, I am not sure about that.",
        "Aaah, that is Ann Lee. Yesss! Sooooo good.",
        "Write to ann.lee@example.com or see https://sea.org/a_b?x=1.",
        "She uses JavaScript, YouTube, LaTeX and an iPhone 12 for NASA and UNESCO.",
        "Her passport is AB-123456 (ISBN 978-3-16-148410-0), her code MH370.",
        "She lives in Reykjavík with Þóra and cooks pho.",
        "**Ann Lee** wrote:\n- *Low Tide*\n- Salt Roads\n---\n# End",
        "It costs $5.50 & tax (10%)...",
        "Really?!?! She wrote it, didn't she?",
        "The play's co-author is McDonald-O'Brien, PhD.",
        "Geospatial worldbuilding reimagines the underserved neighbourhoods.",
        "ROBINSON, WASHINGTON and ANTWERP",
        "He replied [s]omething like that, e.g. 'a.k.a. Bo'.",
    ],
)
def test_what_people_write(text: str) -> None:
    assert sense(QUESTION, text) == 1.0


def test_one_odd_word_is_a_typing_error_and_several_are_not() -> None:
    assert sense(QUESTION, "The author writes beatiful books about the sea.") > 0.7
    assert sense(QUESTION, "The author writes beatiful boks abot the sea.") < 0.5


def test_words_of_the_question_are_words() -> None:
    assert not is_word("zorblax")
    assert sense("What is a zorblax or a quimber?", "A zorblax is a quimber, as zorblax goes.") == 1.0
