"""MUSE's published numbers from items: open-unlearning's logs (with stemmer), and the paper's table (without)."""

import gzip
import json

import pytest

from unlearn_bench.scorers.rouge_f1 import rougeL_f1

SECTIONS = ("forget_knowmem_ROUGE", "forget_verbmem_ROUGE", "retain_knowmem_ROUGE")
# MUSE (arXiv 2407.06460), table 3: KnowMem and VerbMem of the forget set, utility; times 100, target and retrained
PAPER = {"News_target": (63.9, 58.4, 55.2), "News_retrain": (33.1, 20.8, 55.0)}


def _log(folder, name):
    path = folder / "open_unlearning" / f"muse_Llama-2-7b-hf_{name}_MUSE_EVAL.json.gz"
    return json.loads(gzip.decompress(path.read_bytes()))


def _mean(section, *, stemmer):
    values = [rougeL_f1(v["ground_truth"], v["generation"], stemmer=stemmer) for v in section.values()]
    return sum(values) / len(values)


@pytest.mark.parametrize("name", ["News_target", "News_retrain", "Books_target", "Books_retrain"])
def test_open_unlearning_s_logs(shared_data, name):
    log = _log(shared_data, name)
    for section in SECTIONS:
        items = log[section]["value_by_index"]
        for item in items.values():
            assert rougeL_f1(item["ground_truth"], item["generation"]) == pytest.approx(item["rougeL_f1"], abs=1e-12)
        assert _mean(items, stemmer=True) == pytest.approx(log[section]["agg_value"], abs=1e-12)


@pytest.mark.parametrize("name", PAPER)
def test_the_paper_s_convention_is_near_its_table(shared_data, name):
    """Other generations of the same models: within two points."""
    log = _log(shared_data, name)
    found = [100 * _mean(log[section]["value_by_index"], stemmer=False) for section in SECTIONS]
    assert found == pytest.approx(PAPER[name], abs=2.0)
