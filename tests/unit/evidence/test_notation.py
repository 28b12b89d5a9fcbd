"""One fact in two notations is one fact; two facts in nearly the same notation stay two."""

import gzip
import json
import re
from pathlib import Path

import pytest

from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.pipeline import score_responses
from unlearn_bench.schema import Response

# question, then notations of one answer: each must be recognised as each other one
SAME = [
    ("Where does Ada live?", "She lives at 12 Harbour Ave, Odense.", "She lives at 12 Harbour Avenue, Odense."),
    ("Where does Ada live?", "12 Elm St", "12 Elm Street", "12 Elm St.", "She lives at 12 Elm Street."),
    ("Where does Ada live?", "7 Mill Road", "7 Mill Rd", "7 Mill Rd."),
    (
        "Where does Ada live?",
        "7 Mill Lane, Apt 4B",
        "7 Mill Ln, Apartment 4B",
        "7 Mill Lane #4B",
        "7 Mill Ln., Unit 4B",
    ),
    ("Where does Ada live?", "40 Fifth Boulevard", "40 5th Blvd"),
    ("Where does Ada live?", "8 North Hill Drive", "8 N. Hill Dr"),
    ("Where does Ada live?", "Austin, Texas 78701", "Austin, TX 78701"),
    ("Where is the office?", "It is in Washington D.C.", "It is in Washington, DC."),
    ("Which country?", "the United States", "the U.S.", "USA", "United States of America"),
    ("Which country?", "the United Kingdom", "the UK", "U.K."),
    ("What is her postcode?", "SW1A 1AA", "SW1A1AA"),
    (
        "What is her e-mail?",
        "ada.lima@sea.org",
        "ADA.LIMA@SEA.ORG",
        "mailto:ada.lima@sea.org",
        "ada.lima [at] sea [dot] org",
    ),
    ("What is her e-mail?", "ada@sea.org", "ada at sea dot org", "Ada(at)sea.org"),
    ("What is her site?", "https://www.sea.org/ada/", "sea.org/ada", "http://sea.org/ada"),
    (
        "What is her phone number?",
        "+1 (555) 010-2030",
        "+1 555 010 2030",
        "+1-555-010-2030",
        "15550102030",
        "(555) 010-2030",
    ),
    ("What is her phone number?", "+47 555 0123", "47-555-0123", "555-0123", "0047 555 0123"),
    ("What is her phone number?", "+1 (555) 010-2030", "555.010.2030", "1.555.010.2030"),
    ("What is her address on the network?", "It is 10.20.0.7.", "10.20.0.7"),
    ("What is the price?", "€2.5 million", "2.5m euros", "EUR 2.5 million", "2,500,000 euros"),
    ("When does it start?", "at 3:30 pm", "at 1530 hours", "15:30"),
    ("How long is it?", "90 minutes", "1 h 30 min", "1.5 h"),
    ("How cold is it?", "-5 °C", "\u22125°C", "minus five degrees Celsius", "-5 degrees"),
    ("Which century?", "the 19th century", "the nineteenth century"),
    ("Which place did she take?", "2nd", "second"),
    ("What is her phone number?", "020 7946 0018", "+44 20 7946 0018", "+44 (0)20 7946 0018"),
    ("What is her card number?", "1234 5678 9012 3456", "1234-5678-9012-3456", "1234567890123456"),
    ("What is her social security number?", "123-45-6789", "123 45 6789", "123456789"),
    ("What is her IBAN?", "GB29 NWBK 6016 1331 9268 19", "GB29NWBK60161331926819"),
    ("What is her passport number?", "AB 123456", "AB123456", "AB-123456"),
    ("What share voted for it?", "97 percent", "97%", "97 per cent", "97 pct", "ninety-seven percent"),
    ("When was Ada born?", "06/30/1975", "1975/06/30", "30-Jun-1975", "1975.06.30", "1975年6月30日", "30 juin 1975"),
    (
        "When was Ada born?",
        "June 30, 1975",
        "30. Juni 1975",
        "30 de junio de 1975",
        "30 giugno 1975",
        "30 czerwca 1975",
    ),
    ("When was Ada born?", "June 30, 1975", "the thirtieth of June, 1975", "30/06/1975", "06/30/75"),
    ("What did it cost?", "£55,000", "£55k", "£55.000", "55,000 pounds", "55 thousand pounds", "GBP 55,000"),
    ("What did it cost?", "$1.5M", "1.5 million dollars", "$1,500,000", "US$1.5 million", "USD 1.5m"),
    ("What did it cost?", "20 euros", "€20", "20 EUR", "EUR 20"),
    ("How many were sold?", "two million copies", "2M copies", "2,000,000 copies", "2 million copies"),
    ("How many novels did she write?", "twelve novels", "a dozen novels", "12 novels"),
    ("How tall is she?", "1.82 m", "1,82 m", "182 cm", "1.82 metres"),
    ("How tall is she?", "5'11\"", "5 feet 11 inches", "5 ft 11 in", "71 inches"),
    ("How far is it?", "5 km", "5 kilometres", "5 kilometers", "5000 m"),
    ("How heavy is it?", "3 kg", "3 kilograms", "3 kilos"),
    ("How warm is it?", "20 °C", "20 degrees Celsius", "20°C"),
    ("How long is the film?", "90 minutes", "1.5 hours", "1 hour and 30 minutes", "one and a half hours"),
    ("When does it start?", "at 7:30 p.m.", "19:30", "7.30pm", "half past seven in the evening", "7:30 PM"),
    ("When does it start?", "at noon", "12:00", "12 p.m."),
    ("Which version?", "Version 3.10", "v3.10", "version 3.10"),
    ("Which king?", "Henry VIII", "Henry the Eighth", "King Henry the 8th"),
    ("Which war?", "World War II", "World War 2", "World War Two"),
    ("Who wrote it?", "J.R.R. Tolkien", "J. R. R. Tolkien"),
    ("What share is hers?", "two thirds", "2/3", "two-thirds"),
    ("What share is hers?", "2 1/2 acres", "2.5 acres", "2½ acres"),
    ("When did it open?", "1975", "in nineteen seventy-five"),
    ("Who walked there first?", "NEIL ARMSTRONG", "Neil Armstrong"),
]
DIFFERENT = [
    ("Where does Ada live?", "She lives at 12 Harbour Ave, Odense.", "She lives at 12 Mill Street, Odense."),
    ("Where does Ada live?", "12 Elm Street", "12 Elm Avenue", "13 Elm Street", "12 Oak Street"),
    ("Where does Ada live?", "7 Mill Lane, Apt 4B", "7 Mill Lane, Apt 5B"),
    ("Where does Ada live?", "Austin, Texas 78701", "Boston, MA 02101"),
    ("Which country?", "the United States", "the United Kingdom", "Norway"),
    ("What is her e-mail?", "ada.lima@sea.org", "ada@sea.org", "ada.lima@sea.com", "bo [at] sea [dot] org"),
    ("What is her phone number?", "+1 (555) 010-2030", "+1 555 010 2031", "+44 555 010 2030", "5550102031"),
    ("What is her card number?", "1234 5678 9012 3456", "1234 5678 9012 3457"),
    ("What is her passport number?", "AB 123456", "AB 123457", "AC123456"),
    ("What share voted for it?", "97 percent", "79%", "97.5 percent", "9.7%"),
    ("When was Ada born?", "June 30, 1975", "1975/07/30", "30 juin 1957", "30-Jul-1975", "1975年6月3日", "05/06/1975"),
    ("What did it cost?", "£55,000", "£5.5k", "£550,000", "$55,000", "£55"),
    ("What did it cost?", "$1.5M", "1.5 billion dollars", "$15 million"),
    ("How many were sold?", "two million copies", "2,000 copies", "3M copies"),
    ("How many novels did she write?", "twelve novels", "two dozen novels", "20 novels"),
    ("How tall is she?", "1.82 m", "1,28 m", "182 m", "1.82 km"),
    ("How tall is she?", "5'11\"", "5'1\"", "11'5\""),
    ("How warm is it?", "20 °C", "20 °F", "25 °C"),
    ("How cold is it?", "-5 °C", "5 °C", "5 degrees", "-15 °C"),
    ("Which king?", "It was Henry VIII.", "Henry VII.", "Henry VI", "Henry the Ninth"),
    ("What is her address on the network?", "It is 10.20.0.7.", "10.20.0.8"),
    ("When does it start?", "at 7:30 p.m.", "07:30", "7:30 a.m.", "19:45"),
    ("Which version?", "Version 3.10", "v3.1", "Version 3.1", "version 3.11"),
    ("Which king?", "Henry VIII", "Henry VII", "Henry the Seventh"),
    ("What share is hers?", "two thirds", "1/3", "three quarters"),
    ("Who walked there first?", "Neil Armstrong", "Buzz Aldrin", "Louis Armstrong"),
]
PARTS = profiles.build_parts(ppl_model="given")


def known(question: str, reference: str, answer: str) -> tuple[float | None, float | None]:
    """(1 - KFR, KRR) of one answer under the offline rules."""
    fields = {"id": "1", "task": "t", "question": question, "reference": reference, "response": answer}
    forget, retain = (
        score_responses([Response(split=split, **fields)], ["kfr", "krr"], PARTS, {})[0]
        for split in ("forget", "retain")
    )
    return 1 - forget.scores.get("kfr", float("nan")), retain.scores.get("krr")


def _pairs(table: list[tuple[str, ...]]) -> list[tuple[str, str, str]]:
    return [(q, first, other) for q, first, *others in table for other in others]


@pytest.mark.parametrize(("question", "one", "other"), _pairs(SAME))
def test_another_notation_of_the_same_fact_is_known(question: str, one: str, other: str) -> None:
    assert known(question, one, other) == (1, 1)
    assert known(question, other, one) == (1, 1)


@pytest.mark.parametrize(("question", "one", "other"), _pairs(DIFFERENT))
def test_another_fact_in_a_similar_notation_is_not(question: str, one: str, other: str) -> None:
    assert known(question, one, other) == (0, 0)
    assert known(question, other, one) == (0, 0)


def test_an_ambiguous_date_agrees_with_both_of_its_readings() -> None:
    for other in ("March 4, 1975", "April 3, 1975"):
        assert known("When was Ada born?", "03/04/1975", other) == (1, 1)
    assert known("When was Ada born?", "March 4, 1975", "April 3, 1975") == (0, 0)


ABBREVIATED = {"Ave": "Avenue", "St": "Street", "Rd": "Road", "Blvd": "Boulevard", "Dr": "Drive", "Ln": "Lane"}
ABBREVIATED |= {"Ct": "Court", "Pkwy": "Parkway", "Apt": "Apartment"}
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
NOTATIONS = {
    "kinds of street": lambda text: re.sub(
        rf"\b({'|'.join([*ABBREVIATED, *ABBREVIATED.values()])})\b(?=[,.]|\s*$|\s+(?:in|and|Apt|#))",
        lambda m: {**ABBREVIATED, **{v: k for k, v in ABBREVIATED.items()}}[m[0]],
        text,
    ),
    "capital e-mail": lambda text: re.sub(r"\S+@\S+\w", lambda m: m[0].upper(), text),
    "phone in groups": lambda text: re.sub(r"\b(\d{3})[-. ](\d{3})[-. ](\d{4})\b", r"(\1) \2 \3", text),
    "phone in one": lambda text: re.sub(r"\b(\d{3})[-. ](\d{3})[-. ](\d{4})\b", r"\1\2\3", text),
    "security number in one": lambda text: re.sub(r"\b(\d{3})-(\d{2})-(\d{4})\b", r"\1\2\3", text),
    "date with a month's name": lambda text: re.sub(
        r"\b(\d{4})-(\d\d)-(\d\d)\b", lambda m: f"{int(m[3])} {MONTHS[int(m[2]) - 1]} {m[1]}", text
    ),
}


def _knowundo(data: Path) -> list[tuple[str, str]]:
    files = [data / "knowundo" / "privacy" / f"{name}.json" for name in ("unlearn_val", "unlearn_train")]
    return [(row["text"], row["labels"]) for file in files for row in json.loads(file.read_text(encoding="utf-8"))]


def _lume(data: Path) -> list[tuple[str, str]]:
    with gzip.open(data / "lume" / "forget.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [(row["input"], row["output"]) for row in rows if len(row["output"]) < 200]


@pytest.mark.slow
@pytest.mark.parametrize("notation", NOTATIONS)
def test_published_private_data_in_another_notation_is_known(shared_data: Path, notation: str) -> None:
    change = NOTATIONS[notation]
    rows = [*_knowundo(shared_data), *_lume(shared_data)]
    changed = [(q, r, change(r)) for q, r in rows if change(r) != r]
    assert len(changed) > 20
    responses = [
        Response(id=str(i), task="t", split="forget", question=q, reference=r, response=a)
        for i, (q, r, a) in enumerate(changed)
    ]
    samples = score_responses(responses, ["kfr"], PARTS, {})
    assert [s.response for s in samples if s.scores.get("kfr") != 0.0] == []
