"""LS against the paper's own tables, its definition, and collapse."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.brunet_index import brunet_index
from unlearn_bench.scorers.honore_statistic import honore_statistic
from unlearn_bench.scorers.linguistic_score import SCORER, linguistic_score


@pytest.mark.parametrize(
    ("ppl", "bi", "hs", "ls"),
    # Table 9 of arXiv 2502.11190: the model before, "at" x 128, ReLearn's fluent answer (its HS is not printed: inert)
    [(7.43, 8.34, 1331, 0.160), (1.22, 128.0, 441.09, 0.023), (46.74, 6.64, 2000, 0.053)],
)
def test_printed_components_give_the_printed_score(ppl: float, bi: float, hs: float, ls: float) -> None:
    assert linguistic_score(ppl, bi, hs) == pytest.approx(ls, abs=5e-4)


def test_one_word_128_times() -> None:
    text = "at " * 128
    assert brunet_index(text) == pytest.approx(128.0, abs=1e-9)  # 128 ** (1 ** -0.165)
    assert honore_statistic(text) == pytest.approx(100 * math.log(128) / 1.1)  # 441.09


@given(st.floats(1, 1e7), st.floats(1, 1e3), st.floats(1e-3, 1e6))
def test_closed_form_is_the_harmonic_mean_of_three_sigmas(ppl: float, bi: float, hs: float) -> None:
    sigmas = [1 / (1 + math.exp(-x)) for x in (-math.log(ppl), -math.log(bi), math.log(hs))]
    assert linguistic_score(ppl, bi, hs) == pytest.approx(3 / sum(1 / s for s in sigmas), rel=1e-9)


def test_empty_answers_have_no_linguistic_quality() -> None:
    assert linguistic_score(1000.0, brunet_index(""), honore_statistic("")) == 0.0


def _sample(response: str, perplexity: float | None) -> Sample:
    unscored = {} if perplexity is not None else {"perplexity": "nan_logits"}
    return Sample(
        id=response, task="t", split="forget", question="q", reference="r", response=response, perplexity=perplexity,
        unscored=unscored,
    )  # fmt: skip


def test_a_missing_perplexity_is_unscored_with_its_reason() -> None:
    scores = SCORER.score(_sample("She writes.", None), {})
    assert scores["ls"].reason == "nan_logits"
    assert scores["brunet_index"] == brunet_index("She writes.")


def test_the_aggregate_is_a_function_of_the_set_means() -> None:
    samples = [_sample("She writes novels.", 10.0), _sample("He paints.", 30.0)]
    for sample in samples:
        sample.scores.update(SCORER.score(sample, {}))
    means = [20.0, *(np.mean([f(s.response) for s in samples]) for f in (brunet_index, honore_statistic))]
    assert SCORER.combine("ls", np.array(means)) == pytest.approx(linguistic_score(*means))
    # and not the mean of the samples' own scores
    assert SCORER.combine("ls", np.array(means)) != pytest.approx(np.mean([s.scores["ls"] for s in samples]), abs=1e-6)
