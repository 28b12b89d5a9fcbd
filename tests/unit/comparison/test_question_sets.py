"""Tasks of version 0.1 that asked one question set become one task: the same answers, every score, nothing computed."""

import pytest

from tests.leaderboard_documents import digest, make_result, make_samples, mean
from unlearn_bench.comparison.question_sets import regroup
from unlearn_bench.hashing import sha256_json
from unlearn_bench.results import result_fingerprint, samples_by_task, samples_sha256
from unlearn_bench.schema import DatasetInfo, Result, Sample

ALIASES = {"demo_kfr": "demo_forget", "demo_ls": "demo_forget", "demo_krr": "demo_retain"}


def _old(*, over_the_run: bool = False) -> tuple[Result, list[Sample]]:
    """A result of version 0.1: demo_kfr and demo_ls asked the same questions, and each has its own rows."""
    samples = make_samples(n=10, kfr=8, krr=9)
    result = make_result(samples=samples)
    kfr = result.tasks["demo_kfr"]
    language = [
        s.model_copy(update={"task": "demo_ls", "perplexity": 3.0, "scores": {"ls": 0.5}, "unscored": {"kfr": "x"}})
        for s in samples
        if s.task == "demo_kfr"
    ]
    scorer = kfr.scorer.model_copy(update={"metrics": {"ls": digest("ls")}, "versions": {"linguistic_score": 1}})
    tasks = {**result.tasks, "demo_ls": kfr.model_copy(update={"metrics": {"ls": mean(0.5, 10)}, "scorer": scorer})}
    every = [*samples, *language]
    if over_the_run:
        others = {name: tasks[name].dataset.sha256 for name in ("demo_kfr", "demo_krr")}
        dataset = DatasetInfo(
            name="tasks", split="demo_kfr+demo_krr", revision=None, sha256=sha256_json(others), source="this run"
        )
        tasks["ls"] = tasks["demo_ls"].model_copy(update={"dataset": dataset, "role": "fluency", "n": 10})
        every += [s.model_copy(update={"task": "ls", "scores": {"root_ttr": 2.0}}) for s in samples[:10]]
    changed = {"tasks": tasks, "samples_sha256": samples_sha256(every)}
    result = result.model_copy(update=changed)
    result.fingerprint = result_fingerprint(result.model, tasks, result.run)
    return result, every


def test_tasks_over_the_same_answers_become_their_question_set() -> None:
    result, samples = _old()
    found = regroup(result, samples, ALIASES)
    assert (found.left, found.renamed) == ({}, ALIASES)
    assert list(found.result.tasks) == ["demo_forget", "demo_retain"]
    task = found.result.tasks["demo_forget"]
    assert {name: value.value for name, value in task.metrics.items()} == {
        "kfr": 0.8, "fluency": result.tasks["demo_kfr"].metrics["fluency"].value, "ls": 0.5
    }  # fmt: skip
    assert task.scorer.metrics == {
        "kfr": digest("scorers-1kfr"),
        "fluency": digest("scorers-1fluency"),
        "ls": digest("ls"),
    }
    assert len(found.samples) == 20
    first = found.samples[0]
    assert (first.task, first.perplexity, first.unscored) == ("demo_forget", 3.0, {})
    assert first.scores == {**samples[0].scores, "ls": 0.5}
    assert found.result.samples_sha256 == samples_sha256(found.samples)
    assert found.result.fingerprint == result_fingerprint(result.model, found.result.tasks, result.run)
    assert "demo_kfr" in result.tasks  # the result that was given stays as it was


def test_without_samples_the_numbers_alone_are_put_together() -> None:
    found = regroup(_old()[0], None, ALIASES)
    assert found.samples is None
    assert set(found.result.tasks["demo_forget"].metrics) == {"kfr", "fluency", "ls"}


def test_a_task_over_the_run_takes_the_samples_of_the_sets() -> None:
    result, samples = _old(over_the_run=True)
    found = regroup(result, samples, ALIASES)
    task = found.result.tasks["ls"]
    assert (task.samples_of, task.dataset.split) == (["demo_forget", "demo_retain"], "demo_forget+demo_retain")
    hashes = {one: found.result.tasks[one].dataset.sha256 for one in task.samples_of}
    assert task.dataset.sha256 == sha256_json(hashes)
    assert len(found.samples) == 20
    scores = [s.scores["root_ttr"] for s in samples_by_task(found.result, found.samples)["ls"]]
    assert scores == [2.0] * 10  # both sets ask the same: each question once


def test_a_result_by_question_set_keeps_its_samples() -> None:
    """As `run --tasks nano_kfr` writes it: the names select metrics, the samples are the question set's."""
    old = regroup(*_old(), ALIASES)
    alias = old.result.tasks["demo_forget"].model_copy(update={"samples_of": ["demo_forget"]})
    result = old.result.model_copy(
        update={"tasks": {"demo_kfr": alias, "demo_retain": old.result.tasks["demo_retain"]}}
    )
    found = regroup(result, old.samples, ALIASES)
    assert found.renamed == {"demo_kfr": "demo_forget"}
    assert found.samples == old.samples
    assert found.result.samples_sha256 == old.result.samples_sha256


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"generation": {"do_sample": True}}, "demo_kfr and demo_ls were asked with another generation"),
        ({"n": 9}, "demo_kfr and demo_ls were asked with another n"),
        ({"metrics": {"fluency": mean(0.1, 10)}}, "demo_kfr and demo_ls have other values of fluency"),
    ],
)
def test_what_was_asked_otherwise_stays_apart(change: dict, reason: str) -> None:
    result, samples = _old()
    result.tasks["demo_ls"] = result.tasks["demo_ls"].model_copy(update=change)
    found = regroup(result, samples, ALIASES)
    assert found.left == {"demo_forget": reason}
    assert list(found.result.tasks) == ["demo_kfr", "demo_retain", "demo_ls"]
    assert {s.task for s in found.samples} == {"demo_kfr", "demo_retain", "demo_ls"}


def test_other_answers_stay_apart() -> None:
    result, samples = _old()
    samples[-1] = samples[-1].model_copy(update={"response": "Elsewhere."})
    assert regroup(result, samples, ALIASES).left == {"demo_forget": "demo_kfr and demo_ls hold other answers"}


def test_an_unknown_result_is_the_same_object() -> None:
    result, samples = _old()
    assert regroup(result, samples, {"other_kfr": "other_forget"}).result is result
