"""Tasks of version 0.1 that asked one question set become one task: the same answers, every score, nothing computed."""

from pathlib import Path

import pytest

from tests.leaderboard_documents import digest, make_result, make_samples, mean, samples_text
from unlearn_bench.comparison.check import check
from unlearn_bench.comparison.compare import compare
from unlearn_bench.comparison.gate import Gate, MetricGate
from unlearn_bench.comparison.loaded import LoadedResult, from_file
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
        s.model_copy(
            update={"task": "demo_ls", "perplexity": 3.0, "scores": {"root_ttr": 0.5}, "unscored": {"kfr": "x"}}
        )
        for s in samples
        if s.task == "demo_kfr"
    ]
    scorer = kfr.scorer.model_copy(update={"metrics": {"root_ttr": digest("root_ttr")}, "versions": {"root_ttr": 1}})
    tasks = {
        **result.tasks,
        "demo_ls": kfr.model_copy(update={"metrics": {"root_ttr": mean(0.5, 10)}, "scorer": scorer}),
    }
    every = [*samples, *language]
    if over_the_run:
        others = {name: tasks[name].dataset.sha256 for name in ("demo_kfr", "demo_krr")}
        dataset = DatasetInfo(
            name="tasks", split="demo_kfr+demo_krr", revision=None, sha256=sha256_json(others), source="this run"
        )
        tasks["ls"] = tasks["demo_ls"].model_copy(update={"dataset": dataset, "role": "fluency", "n": 10})
        every += [s.model_copy(update={"task": "ls", "scores": {"honore_statistic": 2.0}}) for s in samples[:10]]
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
        "kfr": 0.8, "fluency": result.tasks["demo_kfr"].metrics["fluency"].value, "root_ttr": 0.5
    }  # fmt: skip
    assert task.scorer.metrics == {
        "kfr": digest("scorers-1kfr"),
        "fluency": digest("scorers-1fluency"),
        "root_ttr": digest("root_ttr"),
    }
    assert len(found.samples) == 20
    first = found.samples[0]
    assert (first.task, first.perplexity, first.unscored) == ("demo_forget", 3.0, {})
    assert first.scores == {**samples[0].scores, "root_ttr": 0.5}
    assert found.result.samples_sha256 == samples_sha256(found.samples)
    assert found.result.fingerprint == result_fingerprint(result.model, found.result.tasks, result.run)
    assert "demo_kfr" in result.tasks  # the result that was given stays as it was


def test_without_samples_the_numbers_alone_are_put_together() -> None:
    found = regroup(_old()[0], None, ALIASES)
    assert found.samples is None
    assert set(found.result.tasks["demo_forget"].metrics) == {"kfr", "fluency", "root_ttr"}


def test_a_task_over_the_run_takes_the_samples_of_the_sets() -> None:
    result, samples = _old(over_the_run=True)
    found = regroup(result, samples, ALIASES)
    task = found.result.tasks["ls"]
    assert (task.samples_of, task.dataset.split) == (["demo_forget", "demo_retain"], "demo_forget+demo_retain")
    hashes = {one: found.result.tasks[one].dataset.sha256 for one in task.samples_of}
    assert task.dataset.sha256 == sha256_json(hashes)
    assert len(found.samples) == 20
    scores = [s.scores["honore_statistic"] for s in samples_by_task(found.result, found.samples)["ls"]]
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


@pytest.fixture
def aliases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlearn_bench.comparison.question_sets.question_sets", lambda: ALIASES)


def _folder(folder: Path, result: Result, samples: list[Sample]) -> LoadedResult:
    folder.mkdir()
    (folder / "result.json").write_text(result.model_dump_json(), encoding="utf-8")
    (folder / "samples.jsonl").write_text(samples_text(samples), encoding="utf-8")
    return from_file(folder)


@pytest.fixture
def old_and_new(tmp_path: Path) -> tuple[LoadedResult, LoadedResult]:
    result, samples = _old()
    found = regroup(result, samples, ALIASES)
    return _folder(tmp_path / "old", result, samples), _folder(tmp_path / "new", found.result, found.samples)


@pytest.mark.usefixtures("aliases")
def test_a_result_of_version_0_1_is_checked_against_one_by_question_set(old_and_new: tuple) -> None:
    old, new = old_and_new
    report = check(new, old)
    assert {(m.key, m.verdict, m.n) for m in report.metrics if m.key.endswith("kfr")} == {
        ("demo_forget/kfr", "pass", 10)
    }
    compared = compare([old, new], ["demo_kfr/kfr"])
    assert [row.key for row in compared.rows] == ["demo_forget/kfr"]
    assert compared.provenance[0].startswith("demo_kfr/kfr is now demo_forget/kfr")


@pytest.mark.usefixtures("aliases")
@pytest.mark.parametrize("name", ["demo_kfr/kfr", "demo_kfr/k*", "demo_forget/kfr"])
def test_a_gate_s_old_name_works_and_is_told(old_and_new: tuple, name: str) -> None:
    _, new = old_and_new
    report = check(new, new, Gate(metrics={name: MetricGate(floor=0.9)}))
    (judged,) = [m for m in report.metrics if m.verdict != "info"]
    assert (judged.key, judged.verdict) == ("demo_forget/kfr", "regress")
    assert any("is now demo_forget/k" in note for note in report.notes) == name.startswith("demo_kfr")


@pytest.mark.usefixtures("aliases")
def test_results_that_share_their_names_keep_them(old_and_new: tuple) -> None:
    old, _ = old_and_new
    assert any(m.key == "demo_kfr/kfr" for m in check(old, old).metrics)
    report = check(old, old, Gate(metrics={"demo_forget/kfr": MetricGate(floor=0.1)}))
    assert [m.key for m in report.metrics if m.verdict == "pass"] == ["demo_forget/kfr"]
