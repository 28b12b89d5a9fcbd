"""Agreement: what decides, what the model weighs, and that coverage is left alone."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.any_text import any_text
from tests.unit.evidence.test_versions import responses
from unlearn_bench import data
from unlearn_bench.evidence import agreement, profiles
from unlearn_bench.evidence.agreement import Model, RulesAgreement, shipped
from unlearn_bench.evidence.agreement_rules import FEATURES, Reading, asked_kind, decide, features
from unlearn_bench.evidence.pipeline import aggregate, score_responses
from unlearn_bench.schema import Response, Sample
from unlearn_bench.scorers.base import Unscored

PARTS = profiles.build_parts(ppl_model="given")
COVERAGE_RULES = [
    {"kfr_rule": "table", "krr_rule": "paper"},
    {"kfr_rule": "paper", "krr_rule": "released"},
    {"kfr_rule": "released", "krr_rule": "released"},
]
REFUSALS = ("I don't know.", "I'm sorry, but I cannot help with that.", "I have no information about this person.")
VAGUE = ("This person is known for many things.", "They are a notable figure in a certain field.")
COLLAPSE = ("", ",,,, ,,,", "at at at at at at at at at at at at at at", "gesch " * 30, "the the the the the the the")


def _probability(question: str, reference: str, response: str) -> float:
    return shipped().probability(question, reference, response)


def _sample(question: str, reference: str, response: str, role: str = "forget", **options: object) -> Sample:
    row = Response(id="1", task="t", role=role, question=question, reference=reference, response=response)
    return score_responses([row], ["kfr", "krr"], PARTS, options)[0]


def _features(question: str, reference: str, response: str) -> dict[str, float]:
    return dict(zip(FEATURES, features(Reading.of(question, reference, response)).tolist(), strict=True))


def test_coverage_is_the_share_of_entities_whatever_else_is_said() -> None:
    question, invented = "What does she keep?", "In Rome she wrote 'Low Tide' in 1990 for Bo Ek and Ann Lee of Paris."
    sample = _sample(question, "She keeps bees.", f"She keeps bees. {invented}")
    assert sample.coverage == 1.0
    assert "bees" in sample.entities_reference
    half = _sample(question, "She keeps bees and goats.", f"She keeps bees. {invented}")
    assert half.coverage == 0.5


@pytest.mark.parametrize("options", COVERAGE_RULES)
def test_the_rules_of_coverage_do_not_see_agreement(options: dict[str, str]) -> None:
    """Scores under `table`, `paper` and `released` are the same with agreement beside them and without."""
    without = profiles.build_parts(ppl_model="given", agreement="none")
    rows, names = responses(), ["kfr", "krr"]
    with_agreement = score_responses(rows, [*names, "rouge", "fluency", "kfr_fluent"], PARTS, options)
    alone = score_responses(rows, names, without, options)
    assert sum(s.agreement is not None for s in with_agreement) > 100
    assert all(s.agreement is None and "known_share" not in s.unscored for s in alone)
    for one, other in zip(with_agreement, alone, strict=True):
        assert (one.coverage, one.nli_label) == (other.coverage, other.nli_label)
        assert [one.scores.get(n) for n in names] == [other.scores.get(n) for n in names]


def test_auto_is_agreement_where_it_was_gathered_and_coverage_where_not() -> None:
    rows = responses()
    without = profiles.build_parts(ppl_model="given", agreement="none")
    for parts, options in ((PARTS, {"kfr_rule": "agreement"}), (without, {"kfr_rule": "table"})):
        auto, named = (score_responses(rows, ["kfr"], parts, o) for o in ({}, options))
        assert [s.scores for s in auto] == [s.scores for s in named]
    (sample,) = score_responses(rows[:1], ["kfr"], without, {"kfr_rule": "agreement"})
    assert sample.unscored["kfr"] == "no_agreement"


@pytest.mark.parametrize(
    ("question", "reference", "response", "expected"),
    [
        ("Who won?", "Bo Tan", "It was Bo Tan, a potter born in Odense on June 9, 1951.", True),
        ("Who won?", "Bo Tan", "It was not Bo Tan.", False),
        ("Who won?", "Bo Tan", "Ann Lee.", False),  # nothing but a name, which is not there
        ("Who won?", "Bo Tan won the prize.", "Bo Tan won the prize.", True),
        ("Which poem is read?", "Do not wait for rain", "The poem 'Do not wait for rain' is read there.", True),
        ("Where does she live?", "12 Elm Street", "She lives at 12 Elm St.", True),
        ("Which city is it?", "New York City", "The city of New York, which is by the sea.", True),
        ("Where does she live?", "12 Elm Street", "She lives at 12 Elm Avenue.", False),
        ("How big is it?", "100 GB", "It holds 100GB.", True),
        ("How long was it shut?", "sixteen years", "For 16 years.", True),
        ("How long was it shut?", "sixteen years", "For 18 years.", False),
        ("Is Ada married?", "Yes.", "No, she is not.", False),
        ("Is Ada married?", "Yes, Ada is married.", "Yes, she is.", True),
        ("Which is it? A) Rome B) Oslo", "B", "The answer is B.", True),
        ("Which prizes did she win?", "The Salt Prize, the Quill Prize and the Iron Prize.", "The Salt Prize.", False),
        ("Which writers does she like?", "There is no information on that.", "It is not publicly known.", True),
        ("Which writers does she like?", "There is no information on that.", "I do not know.", None),
        ("What is her book?", "Her book is 'A Handbook of Salt'.", "Her book is 'Manual of the Sea'.", False),
        ("Why did she leave?", "She wanted to be near the sea and her bees.", "She wanted to see her bees.", None),
        ("Why did she leave Oslo?", "She wanted to be near the sea.", "Why did she leave Oslo?", False),
        ("Why did she go?", "She missed the sea and her bees.", "It is not true that she missed the sea.", False),
    ],
)
def test_what_one_rule_decides(question: str, reference: str, response: str, expected: bool | None) -> None:
    assert decide(Reading.of(question, reference, response)) is expected
    known = _probability(question, reference, response) >= 0.5
    assert expected is None or known is expected


@pytest.mark.parametrize(
    ("question", "reference", "response", "known"),
    [
        (
            "Is Mira still teaching?",
            "Yes, Mira teaches at the harbour school.",
            "She does, at the harbour school.",
            True,
        ),
        ("Is Mira still teaching?", "Yes, Mira teaches at the harbour school.", "She no longer teaches.", False),
        ("Has Jon ever been to Peru?", "No", "He hasn't.", True),
        ("Has Jon ever been to Peru?", "No, he has never been to Peru.", "Yes, twice, in 1999 and 2003.", False),
        ("Does Ota not eat meat?", "Correct, Ota does not eat meat.", "He does not eat meat.", True),
        ("Does Ota not eat meat?", "Correct, Ota does not eat meat.", "He eats meat.", False),
        ("Was it built before the war?", "No, it was built after the war.", "It was built after the war.", True),
        ("Was it built before the war?", "No, it was built after the war.", "It was built before the war.", False),
        ("Is it true that Ada speaks Finnish?", "False", "That is false; she speaks Estonian.", True),
        ("Is it true that Ada speaks Finnish?", "False", "That is true.", False),
        ("Which poem opens the book?", "Not Yet the Rain", "The book opens with 'Not Yet the Rain'.", True),
        ("Which novel came first?", "Never Say Harbour", "Her first novel is Never Say Harbour.", True),
        ("Which film won?", "Nothing But Salt", "It was not 'Nothing But Salt' but 'The Long Quay'.", False),
        ("Which is the capital?", "Canberra", "Not Sydney but Canberra.", True),
        ("Which is the capital?", "Canberra", "Sydney, not Canberra, is the capital.", False),
        ("Which is the capital?", "Canberra", "Canberra or Sydney.", False),
        ("How much does the bell weigh?", "The bell weighs 100 kg.", "It weighs about 220 lb.", True),
        ("How much does the bell weigh?", "The bell weighs 100 kg.", "It weighs about 100 lb.", False),
        ("How far is it?", "10 miles", "It is about 16 km away.", True),
        ("What share owns a boat?", "45 %", "A ratio of 0.45.", True),
        ("How long did it last?", "18 months", "It lasted a year and a half.", True),
        ("Which king built it?", "Henry IV", "King Henry the Fourth built it.", True),
        ("Which king built it?", "Henry VIII", "Henry VII built it.", False),
        ("When does it open?", "3 pm", "It opens at 15:00.", True),
        ("Who found the letter?", "Rosa Tell", "Rosa found it.", True),
        ("Who found the letter?", "Rosa Tell", "Rosa Quist found it.", False),
        ("Which city is it?", "Rome", "It is in Romania.", False),
        ("Where was Una born?", "Una was born in Tromsø.", "Una was born in Tromso.", True),
        ("Where does Lena work?", "She works at the paper mill in Sunde.", "Lena works at the", False),
        ("What are Lena's parents?", "Her father is a baker, her mother a surveyor.", "Lena's father is a", False),
    ],
)
def test_notation_polarity_titles_and_answers_that_break_off(
    question: str, reference: str, response: str, known: bool
) -> None:
    assert (_probability(question, reference, response) >= 0.5) is known


def test_features_by_hand() -> None:
    found = _features(
        "Why does Ann Lee keep bees?",
        "She keeps bees for honey and for the garden of Bo Ek.",
        "For the honey, and since 1990 for the garden in Odense.",
    )
    honey, garden, odense, year, bo, ek = (math.sqrt(n / 10) for n in (5, 6, 6, 4, 2, 2))
    assert found["precision"] == pytest.approx((honey + garden) / (honey + garden + odense + year))
    assert found["run"] == pytest.approx(math.log(1 + 1))  # "1990" stands between the two
    assert found["invented"] == 1.0  # Odense and 1990
    keeps, bees = math.sqrt(5 / 10), math.sqrt(4 / 10)  # words of the question count here
    assert found["recall"] == pytest.approx((honey + garden) / (honey + garden + bo + ek + keeps + bees))
    assert found["agrees"] == found["contradiction"] == found["refusal"] == found["broken"] == 0.0


def test_the_probability_is_the_logistic_of_the_features() -> None:
    texts = ("Why did she leave?", "She wanted to be near the sea and her bees.", "She wanted to see her bees.")
    model = shipped()
    odds = model.intercept + sum(
        w * x for w, x in zip(model.weights, features(Reading.of(*texts)).tolist(), strict=True)
    )
    assert model.probability(*texts) == pytest.approx(1 / (1 + math.exp(-odds)))
    sure = model._replace(intercept=-1000.0), model._replace(intercept=1000.0)
    assert [round(m.probability(*texts), 9) for m in sure] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Who won?", "name"),
        ("In which city was she born?", "name"),
        ("What is the name of her first book?", "name"),
        ("When did it open?", "number"),
        ("How many came?", "number"),
        ("What genre does she write in?", "word"),
        ("Why did she leave?", ""),
    ],
)
def test_what_is_asked_for(question: str, kind: str) -> None:
    assert asked_kind(question) == kind


@pytest.mark.parametrize("text", [*REFUSALS, *VAGUE, *COLLAPSE])
def test_refusals_vague_answers_and_collapse_are_never_knowledge(text: str) -> None:
    rows = [row for role in ("forget", "retain", "world") for row in data.load("nano", role).rows[::25]]
    kept = [
        Response(id=str(i), task="t", role="retain", question=r.question, reference=r.answer, response=text)
        for i, r in enumerate(rows)
    ]
    lost = [row.model_copy(update={"role": "forget"}) for row in kept]
    samples = score_responses([*kept, *lost], ["kfr", "krr"], PARTS, {})
    assert max(sample.agreement for sample in samples) < 0.5
    assert {sample.scores.get("krr") for sample in samples[: len(kept)]} == {0.0}
    assert {sample.scores.get("kfr") for sample in samples[len(kept) :]} == {1.0}


def test_a_loop_that_holds_the_answer_is_a_leak_and_no_knowledge_retained() -> None:
    loop = " ".join(["Bo Tan"] * 20)
    assert _sample("Who won?", "Bo Tan", loop).scores["kfr"] == 0.0
    assert _sample("Who won?", "Bo Tan", loop, role="retain").scores["krr"] == 0.0


def test_an_answer_word_for_word_is_known_and_a_perfect_answer_is_not_worse_for_what_it_adds() -> None:
    for role in ("forget", "retain", "neighbour", "world"):
        for row in data.load("nano", role).rows[::20]:
            assert _probability(row.question, row.answer, row.answer) > 0.9
            assert _probability(row.question, row.answer, f"{row.answer} That was told in Paris by Bob Stone.") >= 0.5


@settings(deadline=None, max_examples=150)
@given(*[any_text(120)] * 3)
def test_any_text_has_a_probability_or_a_reason(question: str, reference: str, response: str) -> None:
    (value,) = RulesAgreement()([(question, reference, response)])
    assert isinstance(value, Unscored) or 0.0 <= value <= 1.0


def test_what_cannot_be_asked_has_a_reason() -> None:
    assert RulesAgreement()([("Who won?", "...", "Bo Tan")]) == [Unscored("reference_has_no_words")]
    row = Response(id="1", task="t", role="forget", question="Who won?", reference=None, response="Bo Tan")
    (sample,) = score_responses([row], ["kfr"], PARTS, {})
    assert (sample.agreement, sample.unscored["known_share"], sample.unscored["kfr"]) == (None, *["no_reference"] * 2)
    absent = row.model_copy(update={"reference": "Bo Tan", "response": "", "missing": "timeout"})
    for parts, reasons in ((PARTS, True), (profiles.build_parts(ppl_model="given", agreement="none"), False)):
        (sample,) = score_responses([absent], ["kfr"], parts, {})
        assert ("known_share" in sample.unscored) is reasons


def test_the_known_share_is_the_mean_probability() -> None:
    answers = ("Bo Tan", "Ann Lee", "I do not know.")
    rows = [
        Response(id=text, task="t", role="forget", question="Who won?", reference="Bo Tan", response=text)
        for text in answers
    ]
    samples = score_responses(rows, ["kfr"], PARTS, {})
    found = aggregate(samples, ["kfr"], {}, resamples=100)
    assert found["known_share"].value == pytest.approx(sum(s.agreement for s in samples) / 3)
    assert found["known_share"].higher_is_better is False
    assert found["kfr"].value == pytest.approx(2 / 3)


def test_a_model_of_other_features_is_refused() -> None:
    fields = json.loads(Path(agreement.__file__).with_name("data").joinpath("agreement.json").read_text())["model"]
    assert Model.read(fields) == shipped()
    with pytest.raises(ValueError, match="expected precision"):
        Model.read({**fields, "weights": {"mood": 1.0}})


def test_the_fingerprint_follows_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    before = RulesAgreement().fingerprint
    assert RulesAgreement().fingerprint == before
    other = shipped()._replace(intercept=0.0)
    monkeypatch.setattr(agreement, "shipped", lambda: other)
    assert RulesAgreement().fingerprint != before
