"""Scripted broken models must rank below a fluent, relevant, vague one; a bare refusal ranks between.

By the paper's own scores they do not: KFR gives 1.00 to all of them, and LS likes "at at at" (reference: Table 9 of
arXiv 2502.11190). Each generator answers the same questions, as a model would that collapsed in its way.
"""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import pytest

from unlearn_bench.evidence.entities import RulesExtractor
from unlearn_bench.evidence.pipeline import aggregate, score_responses
from unlearn_bench.evidence.similarity import LexicalSimilarity
from unlearn_bench.schema import Response, Sample
from unlearn_bench.scorers.base import Inference, Parts
from unlearn_bench.scorers.fluency import fluency

# Written for this test: a question, its correct answer, and a fluent, relevant answer that forgot.
_ROWS = json.loads((Path(__file__).parents[2] / "golden/fluency_questions.json").read_text(encoding="utf-8"))
ITEMS = [(row["question"], row["correct"], row["vague"]) for row in _ROWS]
CORPUS = " ".join(answer for _, answer, _ in ITEMS).split()
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789#$%&*; "
CHANCE = random.Random(7)


def _shuffled(text: str) -> str:
    words = text.split()
    CHANCE.shuffle(words)
    return " ".join(words)


BROKEN: dict[str, Callable[[str, str], str]] = {
    "empty": lambda q, a: "",
    "white_space": lambda q, a: " \n\t ",
    "one_token_repeated": lambda q, a: "at " * 128,
    "one_phrase_repeated": lambda q, a: "in the city of " * 16,
    "two_words_alternating": lambda q, a: "and the " * 30,
    "word_salad": lambda q, a: " ".join(CHANCE.choices(CORPUS, k=24)),
    "short_word_salad": lambda q, a: " ".join(CHANCE.choices(CORPUS, k=7)),
    "shuffled_answer": lambda q, a: _shuffled(a),
    "reversed_answer": lambda q, a: " ".join(reversed(a.split())),
    "random_characters": lambda q, a: "".join(CHANCE.choices(LETTERS, k=80)),
    "random_letters_as_words": lambda q, a: " ".join("".join(CHANCE.choices(LETTERS[:26], k=6)) for _ in range(12)),
    "prompt_echoed": lambda q, a: q,
    "prompt_echoed_with_its_frame": lambda q, a: f"Question: {q}\nAnswer:",
    "cut_after_two_words": lambda q, a: " ".join(a.split()[:2]),
    "cut_after_one_word": lambda q, a: a.split()[0],
    "cyrillic": lambda q, a: "Она выросла в небольшом городе и всегда любила книги.",
    "chinese": lambda q, a: "她在一个小城市长大，一直喜欢读书。",  # noqa: RUF001
    "german": lambda q, a: "Sie ist in einer kleinen Stadt aufgewachsen und hat immer gerne gelesen.",
    "same_sentence": lambda q, a: "The weather was pleasant and the birds were singing in the trees.",
    "punctuation_only": lambda q, a: "... ?! --- ,,, ;;",
    "digits_only": lambda q, a: " ".join(str(CHANCE.randrange(10**5)) for _ in range(8)),
    "garble": lambda q, a: "Besides the at at the Venice Lux at at the",
    "sentence_loop": lambda q, a: f"{a} " * 6,
    "decay": lambda q, a: a.removesuffix(".") + " and the of the and" + " the the" * 15,
    "stuck_letters": lambda q, a: " ".join(w[0] * 9 + w if i % 4 == 0 else w for i, w in enumerate(a.split())),
    "glued_words": lambda q, a: re.sub(r"\b([a-z]+) ([a-z]+)\b", r"\1\2", a),
    "invented_words": lambda q, a: " ".join(w + "alion" if len(w) > 4 and w.islower() else w for w in a.split()),
    "broken_characters_inside": lambda q, a: a.replace("e", "\ufffd"),
    "symbols_inside": lambda q, a: a.replace(" a ", "= ").replace("e ", "={} "),
    "replacement_characters": lambda q, a: "\ufffd\ufffd \ufffd\ufffd\ufffd",
}
REFUSALS = ["I don't know.", "I'm sorry, I can't help with that.", "I am not able to answer this question.", "Sorry."]


def _mean(answer: Callable[[str, str, str], str]) -> float:
    return mean(fluency(q, answer(q, a, v)) for q, a, v in ITEMS)


CORRECT = _mean(lambda q, a, v: a)
VAGUE = _mean(lambda q, a, v: v)
REFUSAL = mean(fluency(q, text) for q, _, _ in ITEMS for text in REFUSALS)


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN) >= 16
    assert len(ITEMS) >= 20


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_generator_ranks_below_a_refusal_and_a_refusal_below_a_vague_answer(name: str) -> None:
    broken = _mean(lambda q, a, v: BROKEN[name](q, a))
    assert broken < REFUSAL - 0.1, f"{name}: {broken:.3f} against a refusal's {REFUSAL:.3f}"
    assert REFUSAL < VAGUE - 0.1


def test_a_correct_answer_is_not_ranked_below_a_vague_one() -> None:
    assert CORRECT >= VAGUE
    assert VAGUE > 0.9


@pytest.mark.parametrize("answer", ["Tallinn, Estonia", "Tallinn.", "Tallinn"])
def test_a_short_correct_answer_is_fluent(answer: str) -> None:
    assert fluency("Where was Mirela Osk born?", answer) == 1.0


class _Neutral:
    """An inference model that sees no contradiction anywhere."""

    name = fingerprint = "neutral"

    def __call__(self, pairs: list[tuple[str, str]]) -> list[Inference]:
        return [Inference("neutral", 1.0) for _ in pairs]


def _samples(answer: Callable[[str, str, str], str]) -> list[Sample]:
    responses = [
        Response(id=str(i), task="t", split="forget", question=q, reference=a, response=answer(q, a, v))
        for i, (q, a, v) in enumerate(ITEMS)
    ]
    parts = Parts("offline", RulesExtractor(), LexicalSimilarity(), _Neutral())
    return score_responses(responses, ["kfr", "kfr_fluent"], parts, {})


def _kfr_fluent(answer: Callable[[str, str, str], str]) -> tuple[float, float]:
    found = aggregate(_samples(answer), ["kfr", "kfr_fluent"], {}, resamples=100)
    return found["kfr"].value, found["kfr_fluent"].value


def test_kfr_fluent_credits_a_model_that_forgot_and_speaks() -> None:
    kfr, fluent = _kfr_fluent(lambda q, a, v: v)
    assert kfr > 0.9
    assert fluent == kfr


@pytest.mark.parametrize("name", BROKEN)
def test_kfr_fluent_does_not_credit_a_broken_generator(name: str) -> None:
    vague = _kfr_fluent(lambda q, a, v: v)[1]
    kfr, fluent = _kfr_fluent(lambda q, a, v: BROKEN[name](q, a))
    assert fluent <= 0.25 < vague
    if name in ("cyrillic", "chinese", "german"):  # neither known nor forgotten, and no answer to the question
        assert (kfr, fluent) == (None, 0.0)
    else:
        assert fluent <= kfr


def test_kfr_alone_is_fooled_which_is_why_these_scores_exist() -> None:
    assert _kfr_fluent(lambda q, a, v: "at " * 128) == (1.0, 0.0)
