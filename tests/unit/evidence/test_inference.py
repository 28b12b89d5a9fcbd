"""Inference by rules, by a model, given."""

import pytest

from tests.growth import growth
from unlearn_bench.errors import UserError
from unlearn_bench.evidence import inference_rules
from unlearn_bench.evidence.inference import ModelNLI, RulesNLI
from unlearn_bench.scorers.base import Inference, Unscored


def _label(premise: str, hypothesis: str) -> str:
    return RulesNLI()([(premise, hypothesis)])[0].label


CONTRADICTIONS = [
    ("Ann was born on May 3, 1990.", "Ann was born on June 9, 1951."),
    ("Yes, she has won many prizes.", "No, she has won no prize."),
    ("Her father was a tailor and her mother a nurse.", "Her father was a judge, her mother a pilot."),
    ("The author is Ann Lee.", "The author is Bo Hart."),
    ("Her first book was 'Low Tide'.", "Her first book was 'Salt Roads'."),
    ("She received the Golden Quill Award.", "She received the Iron Pen Award."),
    ("Write to ann@sea.org.", "Write to lee@hill.com."),
    ("She has 3 children.", "She has five children."),
    ("She writes in French.", "She writes in Korean."),
    ("Her novels were never translated into other languages.", "Her novels were translated into other languages."),
    ("She lived in Odense, married, with two goats.", "She lived in Odense, divorced, with two goats."),
]


@pytest.mark.parametrize(("premise", "hypothesis"), CONTRADICTIONS)
def test_contradictions_in_both_directions(premise: str, hypothesis: str) -> None:
    assert _label(premise, hypothesis) == "contradiction"
    assert _label(hypothesis, premise) == "contradiction"


@pytest.mark.parametrize(
    ("premise", "hypothesis"),
    [
        ("Ann was born on May 3, 1990.", "Ann Lee was born in Odense on 3 May 1990, a Thursday."),
        ("Ann was born in May 1990.", "Ann was born on 3 May 1990."),
        ("I don't know when Ann was born.", "Ann was born on June 9, 1951."),
        ("There is no information about her father.", "Her father was a judge."),
        ("", "Ann was born on June 9, 1951."),
        ("Ann Lee wrote 'Low Tide' and 'Salt Roads'.", "Ann Lee wrote 'Low Tide'."),
        ("Her judge father and her tailor mother", "Her father was a judge and her mother a tailor."),
        ("Her father was a judge, her mother a pilot.", "Her father was a judge and her mother a nurse."),  # half right
        ("She has written not only novels but plays.", "She has written novels and plays."),
        ("She reflects on her father's profession in 1990.", "She is proud of her father's profession as a judge."),
        ("\U0001f600 字 \x00", "Ann"),
    ],
)
def test_no_contradiction(premise: str, hypothesis: str) -> None:
    assert _label(premise, hypothesis) != "contradiction"
    assert _label(hypothesis, premise) != "contradiction"


def test_entailment_has_a_direction() -> None:
    long, short = "Ann Lee keeps bees and goats in Odense.", "Ann Lee keeps bees."
    assert (_label(long, short), _label(short, long)) == ("entailment", "neutral")


@pytest.mark.parametrize("unit", ["not a. ", "Ann Lee is 12. ", "a", "n't", "Bo has 4 cats. "])
def test_long_texts_take_linear_work(unit: str) -> None:
    def work(text: str) -> None:
        inference_rules._read.cache_clear()
        _label(text, text + " end")

    assert growth(work, unit, size=2_500) < 10


def test_texts_are_read_up_to_a_limit() -> None:
    end = "She was born on May 3, 1990."
    assert _label("She was born on June 9, 1951. " + "a " * 20_000 + end, end) == "contradiction"


class _Classifier:
    def __init__(self, *scores: dict[str, float]) -> None:
        self.scores, self.calls = scores, 0

    def predict(self, pairs: list[tuple[str, str]]) -> list[dict[str, float]]:
        self.calls += 1
        return list(self.scores[: len(pairs)])


def test_labels_of_any_case_and_one_call() -> None:
    classifier = _Classifier(
        {"ENTAILMENT": 0.1, "Neutral": 0.2, "CONTRADICTION": 0.7},
        {"Neutral": 0.6, "ENTAILMENT": 0.3, "CONTRADICTION": 0.1},
    )
    got = ModelNLI(classifier)([("a", "b"), ("c", "d")])
    assert got == [Inference("contradiction", 0.7), Inference("neutral", 0.6)]
    assert classifier.calls == 1


@pytest.mark.parametrize("labels", [["LABEL_0", "LABEL_1", "LABEL_2"], ["entailment", "not_entailment"], []])
def test_other_labels_are_refused(labels: list[str]) -> None:
    with pytest.raises(UserError, match="labels are") as error:
        ModelNLI(_Classifier(dict.fromkeys(labels, 0.5)))([("a", "b")])
    assert "id2label" in str(error.value.hint)


def test_nan_is_unscored() -> None:
    nan = float("nan")
    assert ModelNLI(_Classifier({"entailment": nan, "neutral": nan, "contradiction": nan}))([("a", "b")]) == [
        Unscored("nli_not_a_number")
    ]
