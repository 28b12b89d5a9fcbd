"""Amounts in the reference's units: what is the same, what is not, and what is left as it is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unlearn_bench.evidence.amounts import in_units_of


@pytest.mark.parametrize(
    ("reference", "response", "read"),
    [
        ("10 miles", "It is about 16 km away.", "It is about 10 miles away."),
        ("It weighs 100 kg.", "About 220 lb.", "About 100 kg."),
        ("5 ft 11", "He is 180 cm tall.", "He is 5 ft 11 tall."),
        ("30 °C", "It reaches 86 °F in July.", "It reaches 30 °C in July."),
        ("two weeks", "For 14 days.", "For two weeks."),
        ("18 months", "It took a year and a half.", "It took 18 months."),
        ("20 years", "For two decades.", "For 20 years."),
        ("45 %", "A ratio of 0.45.", "A ratio of 45 %."),
        ("0.45", "45%", "0.45"),
        ("one half", "50 per cent", "one half"),
        ("33 %", "about one third", "about 33 %"),
        ("1998", "It closed in '98.", "It closed in 1998."),
        ("In the 1980s.", "In the eighties.", "In the 1980s."),
    ],
)
def test_the_same_in_other_units(reference: str, response: str, read: str) -> None:
    assert in_units_of(reference, response) == read


@pytest.mark.parametrize(
    ("reference", "response"),
    [
        ("10 miles", "It is 10 km away."),
        ("100 kg", "100 lb"),
        ("5 ft 11 in", "He is 175 cm tall."),
        ("100 kg", "100.5 kg"),  # the same unit is compared to the digit
        ("1 km", "1005 m"),
        ("18 months", "two years"),
        ("two weeks", "15 days"),
        ("30 °C", "-86 °F"),
        ("45 %", "0.46"),
        ("33 %", "0.335"),
        ("45 %", "45"),
        ("1998", "In '89."),
        ("1990s", "In the eighties."),
        ("40 miles", "$64 and 64 kg"),
        ("She is a potter.", "16 km"),
        ("16 km", "She is a potter."),
    ],
)
def test_what_is_not_the_same_stays(reference: str, response: str) -> None:
    assert in_units_of(reference, response) == response


@settings(deadline=None, max_examples=100)
@given(st.text(alphabet="0123456789.,/ %'°kmlbftindaysCF-"), st.text(alphabet="0123456789.,/ %'°kmlbftindaysCF-"))
def test_any_two_texts(reference: str, response: str) -> None:
    assert in_units_of(response, response) == response
    assert isinstance(in_units_of(reference, response), str)
