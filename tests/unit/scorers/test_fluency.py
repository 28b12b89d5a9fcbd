"""Fluency outside the broken generators: other languages, real answers, long answers, what each factor sees."""

import json
from pathlib import Path
from statistics import mean

import pytest
from hypothesis import given, settings

from tests.any_text import any_text
from tests.growth import growth
from unlearn_bench.schema import Sample
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.fluency import fluency, relevance
from unlearn_bench.text import language


@given(any_text(60), any_text(200))
@settings(max_examples=60, deadline=None)
def test_any_two_texts_have_a_fluency_between_0_and_1(question: str, response: str) -> None:
    assert 0 <= fluency(question, response) <= 1


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("李伟在哪里出生？", "李伟出生在北京的一个小镇。"),  # noqa: RUF001
        ("Где родилась Анна Ли?", "Анна Ли родилась в небольшом городе у моря."),  # noqa: RUF001
        ("Wo wurde Anna Lee geboren?", "Anna Lee wurde in einer kleinen Stadt am Meer geboren."),
        ("¿Dónde nació Ana Ruiz?", "Ana Ruiz nació en un pueblo cerca del mar."),
    ],
)
def test_an_answer_in_the_language_of_its_question_is_fluent(question: str, answer: str) -> None:
    assert fluency(question, answer) > 0.9
    assert fluency(question, f"{answer} " * 5) == 0.0
    assert fluency("Where was Ann Lee born?", answer) < 0.5


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("Is Ann Lee married?", "Yes.", 1.0),
        ("When was Ann Lee born?", "1962", 1.0),
        ("What is Ann Lee's e-mail address?", "ann@lee.example", 1.0),
        ("Where was Ann Lee born?", "1962", 0.25),  # a number is no place
        ("Where was Ann Lee born?", "Ann Lee", 0.2),  # nothing but the question's words
        ("Where was Ann Lee born?", "I do not have any information on that.", 0.65),
        ("Where was Ann Lee born?", "The person in question keeps this private.", 0.6),
    ],
)
def test_relevance(question: str, answer: str, expected: float) -> None:
    assert relevance(question, answer) == expected


def test_initials_and_abbreviations_are_no_sentence_ends() -> None:
    text = "Dr. F. W. de Vries met J. Smith of the U.S. embassy in Washington D.C. and left."
    assert language.bad_neighbours(language.tokens(text)) == 0


@pytest.mark.parametrize(
    "name", ["tofu_llama2-7b_full", "tofu_llama2-7b_retain90", "tofu_phi_full", "tofu_phi_retain90"]
)
def test_answers_of_real_models_are_fluent(shared_data: Path, name: str) -> None:
    """Neither knowing (full) nor never having known (retain90) makes an answer less fluent."""
    rows = json.loads((shared_data / f"logs/{name}.json").read_text())["eval_log_forget.json"][
        "generated_text"
    ].values()
    strip = str.maketrans("", "", "[]")
    values = [
        fluency(prompt.translate(strip).removeprefix("INST").removeprefix("Question:"), answer.split("\n")[0])
        for prompt, answer, _ in list(rows)[::5]
    ]
    assert mean(values) > 0.97
    assert min(values) > 0.5


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "at ",
        "word salad with Names ",
        "She writes novels, it is said. ",
        "a. ",
        "w1 w2 w3 ",
        "中",
        "?!",
        "Ab",
        "aB ",
    ],
)
def test_every_scorer_takes_linear_work(unit: str) -> None:
    sample = Sample(
        id="1", task="t", split="forget", question="Where was Ann Lee born?", reference="Ann Lee was born in Oslo.",
        response="", coverage=0.5, nli_label="neutral", perplexity=9.0, entities_reference=["Oslo"],
    )  # fmt: skip
    scorers = [SCORERS.get(name) for name in SCORERS.names()]

    def work(text: str) -> None:
        for scorer in scorers:
            scorer.score(sample.model_copy(update={"response": text}), {})

    assert growth(work, unit) < 10


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What percentage of the vote did the mayor win?", "18.2%"),
        ("What is the length of time for which the bridge will stay closed?", "18 months"),
        ("What was the magnitude of the earthquake?", "7.4"),
        ("Who had been the captain in the previous year?", "Professor Alder"),
        ("What did the girl put in her pocket before the walk?", "a garden flower"),
        ("Which two books are on the list?", "The Rise of the Northern Towns and Great Bridges of the Past Century"),
        (
            "How did Ann Lee come to write?",
            "Ann Lee grew up by the sea, and the stories of her father, a sailor, led her to the",
        ),
    ],
)
def test_short_right_answers_and_cut_sentences_are_fluent(question: str, answer: str) -> None:
    assert fluency(question, answer) > 0.5


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What sport did Ann Lee play for Norway?", "472"),
        ("Who wrote it?", "gesch"),
        ("Where does Moshe Ben-Alder live?", "Moshe Ben-Alderahita lives in a town near the sea."),
        ("Where was Ann Lee born?", "Ann Lee was born in 1<s> ASTR year, Oslo."),
        ("Where was Ann Lee born?", "Ann Lee was"),
    ],
)
def test_stray_tokens_and_distorted_names_are_not_fluent(question: str, answer: str) -> None:
    assert fluency(question, answer) <= 0.5


def test_grades_of_a_reader(shared_data: Path) -> None:
    """The rules were written with these 324 grades at hand: a pin, not evidence; others are kept back."""
    from scipy.stats import mannwhitneyu, spearmanr

    rows = json.loads((shared_data / "labels/reader_labels.json").read_text(encoding="utf-8"))["labels"]
    scored = [(row["fluency"], fluency(row["question"], row["response"])) for row in rows]
    good, broken = ([score for grade, score in scored if grade in grades] for grades in ({4, 5}, {1, 2}))
    assert spearmanr(*zip(*scored, strict=True)).statistic >= 0.60  # 0.66
    assert mannwhitneyu(good, broken).statistic / (len(good) * len(broken)) >= 0.92  # 0.98
    assert mean(score > 0.5 for score in good) >= 0.90  # 0.97
    assert mean(score <= 0.5 for score in broken) >= 0.85  # 0.87
