"""Scorers of likelihoods against their formulas, on values small enough to compute by hand."""

import math

import pytest

from unlearn_bench.errors import UserError
from unlearn_bench.evidence.versions import recipes
from unlearn_bench.schema import Likelihood, Sample
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import Parts, Unscored
from unlearn_bench.summaries import SUMMARIES

PARITY = {"parity": "open-unlearning"}


def sample(role: str = "forget", answer: Likelihood | None = None, **means: float) -> Sample:
    """A row with the given mean log-probabilities, by continuation ("perturbed_answers.0" as p0)."""
    named = {f"perturbed_answers.{k[1:]}" if k[0] == "p" and k[1:].isdigit() else k: v for k, v in means.items()}
    found = {name: Likelihood(mean_logprob=value) for name, value in named.items()}
    if answer is not None:
        found["answer"] = answer
    texts = {"question": "Who?", "reference": "Ann Lee.", "response": "Bo."}
    return Sample(id="a", task="t", role=role, likelihoods=found or None, **texts)


def tokens(logprobs: list[float], hits: str = "", ending: int = 1, **moments: list[float]) -> Likelihood:
    """A continuation with its tokens; `hits` as "110"."""
    mean = math.fsum(logprobs) / len(logprobs)
    told = [h == "1" for h in hits] or [True] * len(logprobs)
    return Likelihood(mean_logprob=mean, tokens=len(logprobs), logprobs=logprobs, hits=told, ending=ending, **moments)


def score(name: str, of: Sample, options: dict | None = None) -> float | Unscored:
    return SCORERS.get(name).score(of, options or {})[name]


def test_probabilities() -> None:
    row = sample("world", p0=-2.0, p1=-3.0)
    assert score("probability", row) == Unscored("no_likelihood")
    row = sample("world", tokens([-0.5, -1.5]), p0=-1.0, p1=-1.0, p2=-1.0)
    assert score("probability", row) == pytest.approx(math.exp(-1))
    assert score("probability_normalised", row) == pytest.approx(1 / 4)
    collapsed = sample("world", Likelihood(mean_logprob=-60.0), p0=-60.0)
    assert score("probability_normalised", collapsed) == pytest.approx(0.5)
    assert score("probability_normalised", collapsed, PARITY) == pytest.approx(0.0, abs=1e-15)
    hopeless = sample("world", Likelihood(mean_logprob=-5000.0), p0=-1.0)
    assert score("probability_normalised", hopeless) == pytest.approx(0.0, abs=1e-300)


def test_truth_ratio_by_role() -> None:
    means = {"paraphrased_answer": -1.0, "p0": -1.0 + math.log(0.25), "p1": -1.0}  # r = 0.5
    assert score("truth_ratio", sample("forget", **means)) == pytest.approx(0.5)
    assert score("truth_ratio", sample("retain", **means)) == pytest.approx(0.5)
    turned = {"paraphrased_answer": -1.0, "p0": -1.0 + math.log(4)}  # r = 4
    assert score("truth_ratio", sample("forget", **turned)) == pytest.approx(0.25)
    assert score("truth_ratio", sample("retain", **turned)) == 0.0
    found = SCORERS.get("truth_ratio").score(sample("forget", **turned), {})
    assert found["truth_ratio_probability"] == pytest.approx(0.2)


def test_truth_ratio_of_a_collapsed_model() -> None:
    collapsed = {"paraphrased_answer": -60.0, "p0": -60.0 - math.log(2)}
    assert score("truth_ratio", sample("forget", **collapsed)) == pytest.approx(0.5)
    assert score("truth_ratio", sample("forget", **collapsed), PARITY) < 1e-15
    far = {"paraphrased_answer": -3000.0, "p0": -1.0}
    assert score("truth_ratio", sample("forget", **far)) == 0.0
    assert score("truth_ratio", sample("retain", **far)) == 0.0


def test_truth_ratio_needs_both_sides() -> None:
    lacking = sample("forget", tokens([-1.0]), p0=-1.0)
    assert score("truth_ratio", lacking) == Unscored("no_paraphrased_answer")
    assert score("truth_ratio", sample("forget", paraphrased_answer=-1.0)) == Unscored("no_perturbed_answers")
    world = sample("world", Likelihood(mean_logprob=-1.0), p0=-1.0 + math.log(0.5))
    assert score("truth_ratio", world) == pytest.approx(0.5)  # no paraphrase: the answer is the right one
    some = sample("forget", paraphrased_answer=-1.0, p0=-2.0, p3=-2.0)  # two of five are missing
    assert score("truth_ratio", some) == pytest.approx(math.exp(-1))


@pytest.mark.parametrize(
    ("hits", "strength", "share"),
    [("1111", 1.0, 1.0), ("0111", 2 / 3, 2 / 3), ("1011", 1 / 3, 2 / 3), ("1101", 0.0, 2 / 3), ("0000", 0.0, 0.0)],
)
def test_memorisation_without_the_ending_token(hits: str, strength: float, share: float) -> None:
    row = sample("forget", tokens([-1.0] * 4, hits))
    assert score("extraction_strength", row) == pytest.approx(strength)
    assert score("extraction_strength", row, PARITY) == pytest.approx(max(strength, 1 / 3))
    assert score("exact_memorization", row) == pytest.approx(share)


def test_membership_scores() -> None:
    found = tokens([-1.0, -4.0, -2.0, -3.0, -9.0], means=[-2.0] * 5, variances=[4.0, 4.0, 0.0, 4.0, 4.0])
    row = sample("forget", found)
    assert score("loss", row) == pytest.approx(3.8)
    assert score("min_k", row) == pytest.approx(4.0)  # int(4 * 0.4) = 1 token, the ending one left out
    assert score("min_k", row, {"min_k_share": 0.5}) == pytest.approx(3.5)
    assert score("min_k_plus_plus", row) == pytest.approx(1.0)  # z: 0.5, -1, 0, -0.5
    assert score("gradnorm", row) == Unscored("no_gradients")
    assert 0 < score("loss_zlib", row) < 3.8
    with pytest.raises(UserError, match="min_k_share"):
        score("min_k", row, {"min_k_share": 1.5})
    assert score("min_k_plus_plus", sample("forget", tokens([-1.0, -2.0]))) == Unscored("no_vocabulary_moments")


def test_numbers_of_a_log_stand_in_for_tokens() -> None:
    row = sample("forget", Likelihood(mean_logprob=-1.0))
    assert score("min_k", row) == Unscored("no_token_logprobs")
    logged = row.model_copy(update={"logged": {"min_k": 2.5, "extraction_strength": 0.1}})
    assert (score("min_k", logged), score("extraction_strength", logged)) == (2.5, 0.1)
    own = sample("forget", tokens([-1.0, -1.0], "11")).model_copy(update={"logged": {"extraction_strength": 0.1}})
    assert score("extraction_strength", own) == 1.0
    nothing_but_the_end = sample("forget", tokens([-1.0], "1"))
    assert score("extraction_strength", nothing_but_the_end) == Unscored("answer_has_no_tokens")


def test_parity_leaves_out_the_very_last_token_alone() -> None:
    """A template may write more behind an answer than its end; here three tokens say something and two end it."""
    found = tokens([-1.0, -6.0, -2.0, -8.0, -9.0], "10110", ending=2, means=[-2.0] * 5, variances=[4.0] * 5)
    row = sample("forget", found)
    assert score("exact_memorization", row) == pytest.approx(2 / 3)
    assert score("exact_memorization", row, PARITY) == pytest.approx(3 / 4)
    assert score("extraction_strength", row) == pytest.approx(1 / 3)
    assert score("extraction_strength", row, PARITY) == pytest.approx(2 / 4)
    half = {"min_k_share": 0.5}
    assert score("min_k", row, half) == pytest.approx(6.0)
    assert score("min_k", row, {**half, **PARITY}) == pytest.approx(7.0)
    assert score("min_k_plus_plus", row, half) == pytest.approx(2.0)
    assert score("min_k_plus_plus", row, {**half, **PARITY}) == pytest.approx(2.5)
    endless = sample("forget", tokens([-1.0, -6.0], "10", ending=0))
    assert score("exact_memorization", endless, PARITY) == pytest.approx(1 / 2)


def test_parity_is_part_of_the_fingerprint_only_where_it_is_set() -> None:
    names = ("exact_memorization", "min_k", "min_k_plus_plus", "probability")
    plain, parity = (recipes(names, Parts("none"), options) for options in ({}, PARITY))
    assert not any("parity" in {**plain[name]["options"], **plain[name]["versions"]} for name in names)
    assert [name for name in names if "parity" in parity[name]["versions"]] == list(names[:3])
    assert plain["probability"] == parity["probability"]
    assert not any("parity" in SUMMARIES.get(f"mia_{name}").options for name in ("min_k", "min_k_plus_plus"))


def test_unknown_parity_is_refused() -> None:
    with pytest.raises(UserError, match="parity"):
        score("extraction_strength", sample("forget", tokens([-1.0, -1.0])), {"parity": "open"})
