"""The scores of three published RWKU runs (original, gradient ascent, the same at a low rate) from their items."""

import json
from pathlib import Path

import pytest

from unlearn_bench.scorers.exact_match import normal
from unlearn_bench.scorers.ngram_entropy import ngram_entropy
from unlearn_bench.scorers.rwku_rouge import rwku_rougeL_recall
from unlearn_bench.scorers.token_f1 import token_f1

RUNS = ("ori", "ga", "ga_lowlr")


def _read(folder: Path, run: str, name: str) -> dict:
    return json.loads((folder / "rwku" / "results" / run / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(("name", "levels"), [("forget", "123"), ("neighbor", "12")])
def test_rouge(shared_data, run, name, levels):
    told = _read(shared_data, run, name)
    for level in levels:
        values = [rwku_rougeL_recall(x["answer"], x["prediction"]) for x in told["results"] if x["level"] == level]
        assert sum(values) / len(values) == pytest.approx(told[f"level_{level}_rouge_l_r"], abs=1e-12)


@pytest.mark.parametrize("run", RUNS)
def test_trivia(shared_data, run):
    told = _read(shared_data, run, "triviaqa")
    f1 = [max(token_f1(right, x["prediction"]) for right in x["answers"]) for x in told["results"]]
    exact = [any(normal(right) == normal(x["prediction"]) for right in x["answers"]) for x in told["results"]]
    assert sum(f1) / len(f1) == pytest.approx(told["F1"], abs=1e-12)
    assert sum(exact) / len(exact) == pytest.approx(told["EM"], abs=1e-12)


@pytest.mark.parametrize("run", RUNS)
def test_entropy(shared_data, run):
    told = _read(shared_data, run, "fluency")
    values = [ngram_entropy(x["prediction"]) for x in told["results"]]
    assert sum(values) / len(values) == pytest.approx(told["entropy"], abs=2e-3)  # NLTK's data file is not there


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", ["forget_mia", "retain_mia"])
def test_membership(shared_data, run, name):
    told = _read(shared_data, run, name)
    values = told["results"]
    for key, of in (("loss", "loss"), ("zlib", "zlib"), ("mink20", "mink++_0.2")):
        assert sum(values[of]) / len(values[of]) == pytest.approx(told[key], rel=1e-12)
