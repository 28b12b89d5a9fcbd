"""The numbers of multiple-choice questions by hand; a model that cannot tell the options apart gets no credit."""

import math

import pytest

from unlearn_bench.schema import Likelihood, Sample
from unlearn_bench.scorers import SCORERS

NAMES = ("choice_accuracy", "choice_accuracy_norm", "choice_probability")


def _sample(logprobs: list[list[float]], choices: list[str], gold: int = 0, **more: object) -> Sample:
    found = {
        f"choices.{k}": Likelihood(mean_logprob=sum(lps) / len(lps), tokens=len(lps), logprobs=lps)
        for k, lps in enumerate(logprobs)
    }
    return Sample(
        id="1", task="t", role="forget", question="q", reference="A", response="", choices=choices, gold=gold,
        likelihoods=found, **more,
    )  # fmt: skip


def _scores(sample: Sample) -> dict[str, object]:
    return {name: SCORERS.get(name).score(sample, {})[name] for name in NAMES}


def test_letters():
    found = _scores(_sample([[-1.0], [-2.0], [-3.0], [-3.0]], ["A", "B", "C", "D"]))
    total = math.exp(-1) + math.exp(-2) + 2 * math.exp(-3)
    assert found == {
        "choice_accuracy": 1.0,
        "choice_accuracy_norm": 1.0,
        "choice_probability": pytest.approx(math.exp(-1) / total),
    }


def test_long_options_are_compared_by_character():
    sample = _sample([[-2.0, -2.0], [-3.0]], ["a long answer", "no"])
    assert _scores(sample)["choice_accuracy"] == 0.0
    assert _scores(sample)["choice_accuracy_norm"] == 1.0


def test_equal_options_are_no_knowledge():
    assert _scores(_sample([[-2.0]] * 4, ["A", "B", "C", "D"])) == {
        "choice_accuracy": 0.0,
        "choice_accuracy_norm": 0.0,
        "choice_probability": pytest.approx(0.25),
    }


def test_tokens_that_only_end_an_option_do_not_count():
    sample = _sample([[-1.0, -9.0], [-2.0, -0.1]], ["A", "B"])
    for found in sample.likelihoods.values():
        found.ending = 1
    assert _scores(sample)["choice_accuracy"] == 1.0


def test_a_hopeless_option_is_no_overflow():
    assert _scores(_sample([[-2000.0], [-1000.0]], ["A", "B"]))["choice_probability"] == 0.0


def test_what_is_missing_is_the_reason():
    sample = _sample([[-1.0]], ["A", "B"], no_likelihood={"choices.1": "nan_logits"})
    assert {value.reason for value in _scores(sample).values()} == {"nan_logits"}
    assert {v.reason for v in _scores(_sample([[-1.0]], ["A"])).values()} == {"no_choices"}
    mean_only = _sample([[-1.0], [-2.0]], ["A", "B"])
    mean_only.likelihoods["choices.0"] = Likelihood(mean_logprob=-1.0)
    assert {v.reason for v in _scores(mean_only).values()} == {"no_token_logprobs"}
