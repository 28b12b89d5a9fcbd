import errno
import hashlib
import json
from pathlib import Path

import pytest

from tests.leaderboard_documents import HARNESS
from unlearn_bench import files, results
from unlearn_bench.errors import UserError
from unlearn_bench.schema import DatasetInfo, MetricValue, ModelInfo, Result, Sample, ScorerInfo

SHA = "0" * 64


def sample(k: int, **fields: object) -> Sample:
    defaults = {
        "id": f"s{k}",
        "task": "t",
        "split": "forget",
        "question": "Who?",
        "reference": "Ann",
        "response": "é\u2028",
    }
    return Sample(**{**defaults, **fields})


def make_result(samples: list[Sample]) -> Result:
    task = results.build_task_result(
        "1",
        DatasetInfo(name="d", split="forget", revision=None, sha256=SHA, source="file"),
        None,
        {},
        ScorerInfo(profile="offline", parts={}, fingerprint=SHA),
        samples,
        {"kfr": MetricValue(value=0.5, ci95=(0.1, 0.9), ci_method="wilson", n=len(samples))},
    )
    return Result(model=ModelInfo(name="m", source="x"), harness=HARNESS, run={}, tasks={"t": task}, fingerprint=SHA)


def test_what_is_written_is_read_back_and_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    samples = [sample(1), sample(2, empty=True, response="")]
    result = make_result(samples)
    results.write_results(tmp_path / "new" / "folder", result, samples)
    folder = tmp_path / "new" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == ["result.json", "samples.jsonl"]
    assert result.samples_sha256 == hashlib.sha256((folder / "samples.jsonl").read_bytes()).hexdigest()
    assert results.read_result(folder) == results.read_result(folder / "result.json") == result
    assert results.read_samples(folder) == samples
    assert json.loads((folder / "result.json").read_text())["samples_sha256"] == result.samples_sha256


def test_a_full_disk_leaves_the_old_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = [sample(1)]
    results.write_results(tmp_path, make_result(old), old)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    synced = []
    monkeypatch.setattr(files.os, "fsync", lambda handle: full(handle) if synced else synced.append(handle))
    new = [sample(1), sample(2)]
    with pytest.raises(OSError, match="No space"):  # the first file fits, the second does not
        results.write_results(tmp_path, make_result(new), new)
    assert synced
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_output_must_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="expected a folder"):
        results.write_results(tmp_path / "file", make_result([sample(1)]), [sample(1)])


def test_build_task_result_counts(tmp_path: Path) -> None:
    samples = [sample(1, cluster="a"), sample(2, cluster="b", empty=True, degenerate="empty"), sample(3, cluster="b")]
    task = make_result(samples).tasks["t"]
    assert (task.n, task.empty, task.degenerate, task.role) == (3, 1, 1, "forget")
    assert task.clusters.n == 2


@pytest.mark.parametrize("clusters", [["a", None], [None, None], ["a", "a"]])
def test_no_clusters_unless_every_sample_names_one_of_several(clusters: list[str | None]) -> None:
    assert results.cluster_info([sample(k, cluster=name) for k, name in enumerate(clusters)]) is None


def test_samples_of_several_kinds_are_a_fluency_task() -> None:
    assert make_result([sample(1), sample(2, split="retain")]).tasks["t"].role == "fluency"


def test_reading_names_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        results.read_result(tmp_path)
    (tmp_path / "result.json").write_text('{"schema_version": "9"}')
    with pytest.raises(UserError, match=r"expected schema_version '1\.0', got '9'"):
        results.read_result(tmp_path)
    (tmp_path / "samples.jsonl").write_text(sample(1).model_dump_json() + "\n{}\n")
    with pytest.raises(UserError, match=r"samples\.jsonl:2: not a sample: id"):
        results.read_samples(tmp_path)


def _two_sets() -> list[Sample]:
    asked = [("b", "Who?"), ("a", "Who?"), ("a", "Where?"), ("b", "When?"), ("c", "Why?")]
    return [sample(k, task=task, question=question) for k, (task, question) in enumerate(asked)]


def test_samples_of_a_task_are_its_own_where_it_names_no_question_set():
    samples = [sample(1), sample(2, task="other"), sample(3)]
    assert results.samples_of("t", make_result(samples), samples) == [samples[0], samples[2]]


def test_samples_of_a_task_are_those_of_the_question_set_it_names_repeated_questions_too():
    samples = [*_two_sets(), sample(9, task="b", question="When?")]
    result = make_result(samples)
    result.tasks["t"].samples_of = ["b"]
    assert [s.id for s in results.samples_of("t", result, samples)] == ["s0", "s3", "s9"]


def test_samples_of_several_question_sets_have_each_question_once_of_the_first_set_that_asks_it():
    samples = _two_sets()
    result = make_result(samples)
    result.tasks["t"].samples_of = ["a", "b"]
    assert [s.id for s in results.samples_of("t", result, samples)] == ["s1", "s2", "s3"]


def test_samples_of_a_task_that_the_result_has_not_is_an_error():
    with pytest.raises(KeyError):
        results.samples_of("missing", make_result([]), [])


def test_a_result_without_question_sets_keeps_its_fingerprint():
    samples = [sample(1)]
    result = make_result(samples)
    before = results.result_fingerprint(result.model, result.tasks, result.run)
    result.tasks["t"].samples_of = []
    assert results.result_fingerprint(result.model, result.tasks, result.run) == before
    result.tasks["t"].samples_of = ["a"]
    assert results.result_fingerprint(result.model, result.tasks, result.run) != before
