"""Which way each shipped metric points: declared, for every one of them."""

import pytest

from unlearn_bench.comparison.metric_info import known
from unlearn_bench.meta.knowing import amount, knowing, measures

LANGUAGE = {
    "fluency", "ls", "perplexity", "brunet_index", "honore_statistic", "root_ttr", "ngram_entropy", "empty",
    "degenerate", "judge_fluent", "judge_fluency", "judge_relevant", "judge_relevance", "loss_reference",
}  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("kfr", "lower"), ("kfr_fluent", "lower"), ("kfr[paper]", "lower"), ("rougeL_recall", "higher"),
        ("rouge1_recall", "higher"), ("probability", "higher"), ("truth_ratio", "lower"),
        ("truth_ratio_probability", "higher"), ("extraction_strength", "higher"), ("exact_memorization", "higher"),
        ("loss", "lower"), ("min_k", "lower"), ("min_k_plus_plus", "lower"), ("coverage", "higher"),
        ("nli_contradiction", "lower"), ("known_share", "higher"), ("mia_loss", "higher"), ("privleak", "lower"),
        ("forget_quality", "lower"), ("forget_ks", "higher"), ("uds", "lower"), ("entity_gold_best_rank", "lower"),
    ],
)  # fmt: skip
def test_on_forget_rows(metric, direction):
    assert knowing(metric, "forget") == direction


def test_metrics_of_language_say_nothing_of_knowing():
    assert {name for name in LANGUAGE if knowing(name, "forget") or measures(name)} == set()


def test_every_shipped_metric_is_decided():
    """A new metric of knowledge must say which way it points; a new one of language is named here."""
    of_a_benchmark = {name for name in known() if name.startswith(("lume", "rwku_")) or name == "model_utility"}
    undecided = {
        name
        for name in known()
        if not measures(name) and knowing(name, None) is None and name not in LANGUAGE | of_a_benchmark
    }
    assert undecided <= {"gradnorm"}


def test_rows_of_another_role_say_nothing_of_the_asked():
    assert knowing("rougeL_recall", "retain") is None
    assert knowing("krr", "retain", asked="retain") == "higher"
    assert knowing("truth_ratio", "retain", asked="retain") == "higher"
    assert knowing("mia_loss", "fluency", asked="retain") is None


def test_amounts_rise_with_knowledge():
    assert amount(0.25, "kfr", "lower") == 0.75
    assert amount(2.0, "loss", "lower") == 0.5
    assert amount(4.0, "entity_gold_best_rank", "lower") == 0.25
    assert amount(0.3, "uds", "lower") == pytest.approx(0.7)
    assert amount(-3.0, "privleak", "lower") is None
    assert amount(0.0, "loss", "lower") is None
