"""The official logs of open-unlearning: from their rows, every aggregate is the logged one to the printed digits.

Logs and figures: `tests/golden/open_unlearning.json` says where they are from.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from unlearn_bench import formats
from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.pipeline import aggregate, score_responses
from unlearn_bench.harness.score_plan import LIKELIHOOD_METRICS, plan_tasks
from unlearn_bench.schema import Sample
from unlearn_bench.summaries.aggregate import summarise

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "open_unlearning.json").read_text(encoding="utf-8"))
PARITY = {"parity": "open-unlearning"}
# the log's section to our "task/metric"; those that are not here are means of what enters others
TASKS = {"forget": "forget_Q_A", "retain": "retain_Q_A", "ra": "ra_Q_A", "wf": "wf_Q_A"}
METRICS = {f"{k}_Q_A_Prob": f"{task}/probability" for k, task in TASKS.items()}
METRICS |= {f"{k}_Q_A_Prob_normalised": f"{TASKS[k]}/probability_normalised" for k in ("ra", "wf")}
METRICS |= {f"{k}_Truth_Ratio": f"{task}/truth_ratio" for k, task in TASKS.items()}
METRICS |= {f"{k}_Q_A_ROUGE": f"{task}/rougeL_recall" for k, task in TASKS.items()}
METRICS |= {"forget_truth_ratio": "forget_Q_A/truth_ratio"}
MODELS = ("Llama-3.2-1B-Instruct", "Llama-2-7b-chat-hf")
PAIRS = [(m, split, share) for m in MODELS for split, share in (("forget01", 99), ("forget05", 95), ("forget10", 90))]
QUICK = (MODELS[0], "forget10", 90)


@cache
def scored(path: Path) -> list[Sample]:
    responses = formats.read(path).responses
    plan = plan_tasks(responses, ("rouge", *LIKELIHOOD_METRICS))
    names = list(dict.fromkeys(name for scorers in plan.values() for name in scorers))
    return score_responses(responses, names, profiles.build_parts("offline"), PARITY)


def aggregates(path: Path, oracle: Path | None, options: Mapping[str, object]) -> dict[str, float | None]:
    """Every number of a log, by "task/metric", and the summaries by their names."""
    samples = scored(path)
    found = {}
    for task in dict.fromkeys(s.task for s in samples):
        own = [s for s in samples if s.task == task]
        values = aggregate(own, ("rouge", *LIKELIHOOD_METRICS), options, resamples=0)
        found |= {f"{task}/{name}": value.value for name, value in values.items()}
    values = summarise(samples, None if oracle is None else scored(oracle), options)
    return found | {name: value.value for name, value in values.items()}


def key_of(section: str) -> str:
    memorised = section in ("extraction_strength", "exact_memorization")
    return f"forget_Q_A/{section}" if memorised else METRICS.get(section, section)


def digits(value: float, printed: str) -> bool:
    """Whether a value, rounded to as many places as were printed, is what was printed."""
    number = printed.lower()
    places = len(number.partition("e")[0].partition(".")[2])
    scale = 10 ** int(number.partition("e")[2] or 0)
    return abs(value - float(number)) <= (0.5 + 1e-6) * scale * 10**-places + 1e-12 * (places > 3) * scale


def cases() -> list:
    return [pytest.param(*c, marks=[] if c == QUICK else pytest.mark.slow, id=f"{c[0]}-{c[1]}") for c in PAIRS]


@pytest.mark.parametrize(("model", "split", "share"), cases())
def test_every_aggregate_is_the_logged_one(model: str, split: str, share: int, shared_data: Path) -> None:
    folder = shared_data / "open_unlearning"
    full, retain = f"tofu_{model}_full_evals_{split}_TOFU", f"tofu_{model}_retain{share}_TOFU"
    paths = {name: folder / f"{name}_EVAL.json.gz" for name in (full, retain)}
    for name, oracle in ((full, paths[retain]), (retain, None)):
        found = aggregates(paths[name], oracle, PARITY)
        logged = {k: v for k, v in GOLDEN["logs"][name].items() if key_of(k) in found}
        assert len(logged) == len([k for k in GOLDEN["logs"][name] if not k.endswith(("PARA_Prob", "PERT_Prob"))])
        for section, value in logged.items():
            assert found[key_of(section)] == pytest.approx(value, rel=2e-6), (name, section)


@pytest.mark.parametrize("model", [MODELS[0], pytest.param(MODELS[1], marks=pytest.mark.slow)])
def test_published_table_of_forget10(model: str, shared_data: Path) -> None:
    """Also without parity, where extraction strength is lower by the 1/n of rows of which nothing is extracted."""
    folder = shared_data / "open_unlearning"
    retain = folder / f"tofu_{model}_retain90_TOFU_EVAL.json.gz"
    for name, path in (("full", folder / f"tofu_{model}_full_evals_forget10_TOFU_EVAL.json.gz"), ("retain90", retain)):
        found = aggregates(path, retain, {})
        for metric, printed in GOLDEN["table"][f"{model}_{name}"].items():
            value = found.get(metric, found.get(f"forget_Q_A/{metric}"))
            assert digits(value, printed), (name, metric, value, printed)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_published_forget_quality_of_the_smaller_sets(model: str, shared_data: Path) -> None:
    folder = shared_data / "open_unlearning"
    for split, share in (("forget01", 99), ("forget05", 95)):
        full = folder / f"tofu_{model}_full_evals_{split}_TOFU_EVAL.json.gz"
        found = aggregates(full, folder / f"tofu_{model}_retain{share}_TOFU_EVAL.json.gz", {})
        quality, distance = GOLDEN["forget_quality"][model][split]
        assert digits(found["forget_quality"], quality)
        assert distance is None or digits(found["forget_ks"], distance)


@pytest.mark.parametrize("corpus", ["News", pytest.param("Books", marks=pytest.mark.slow)])
def test_muse_membership_is_the_logged_one(corpus: str, shared_data: Path) -> None:
    folder = shared_data / "open_unlearning"
    names = [f"muse_Llama-2-7b-hf_{corpus}_{kind}_MUSE" for kind in ("target", "retrain")]
    target, retrain = (folder / f"{name}_EVAL.json.gz" for name in names)
    for path, oracle, name in ((target, retrain, names[0]), (retrain, None, names[1])):
        found = aggregates(path, oracle, PARITY)
        logged = {k: v for k, v in GOLDEN["logs"][name].items() if k.startswith(("mia_", "privleak"))}
        assert len(logged) >= 6
        for section, value in logged.items():
            assert found[section] == pytest.approx(value, rel=2e-6), (name, section)
        for metric in ("extraction_strength", "exact_memorization"):
            assert found[f"forget_verbmem/{metric}"] == pytest.approx(GOLDEN["logs"][name][metric], rel=2e-6)


def older(path: Path) -> list[Sample]:
    responses = formats.read(path).responses
    plan = plan_tasks(responses, ("rouge", *LIKELIHOOD_METRICS))
    names = list(dict.fromkeys(name for scorers in plan.values() for name in scorers))
    return score_responses(responses, names, profiles.build_parts("offline"), {})


@pytest.mark.slow
@pytest.mark.parametrize("model", ["tofu_phi", "tofu_llama2-7b"])
def test_older_logs_of_tofu(model: str, shared_data: Path) -> None:
    """Their forget set is the first 300 rows; the table stands in the reference of TOFU's own logs."""
    golden = GOLDEN["older_logs"]
    full, retain = (older(shared_data / "logs" / f"{model}_{kind}.json") for kind in ("full", "retain90"))
    found = summarise(full, retain, {})
    assert digits(found["model_utility"].value, golden["model_utility"][f"{model}_full"])
    assert digits(found["forget_quality"].value, golden["forget_quality"][model])
    alone = summarise(retain, None, {})["model_utility"].value
    assert digits(alone, golden["model_utility"][f"{model}_retain90"])
