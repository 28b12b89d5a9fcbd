"""`rescore`: entries come to the scorers of this version from their kept samples; what they said before is kept."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.leaderboard_documents import make_board, make_result, samples_text, write_board
from unlearn_bench.boards import kept_samples, store
from unlearn_bench.boards.board import TaskRule
from unlearn_bench.boards.rescore import UP_TO_DATE, rescore
from unlearn_bench.boards.submit import Claim, submit
from unlearn_bench.boards.verify import verify
from unlearn_bench.cli import main
from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.pipeline import aggregate, score_responses
from unlearn_bench.results import read_samples, result_digest, result_fingerprint, samples_file_sha256
from unlearn_bench.schema import ClusterInfo, Response, Result, Sample
from unlearn_bench.scorers import SCORERS

KRR = SCORERS.get("krr")
LEADERBOARDS = Path(__file__).parents[3] / "leaderboards"


def _responses(task: str) -> list[Response]:
    return [
        Response(
            id=f"{task.replace('demo_ls', 'demo_kfr')}-{i}",
            task=task,
            role="retain" if task == "demo_krr" else "forget",
            question=f"Where was Ada Number{i} born?",
            reference=f"Ada was born in Porto in {1950 + i}.",
            response=f"She was born in Porto in {1950 + i}." if i % 3 else "I cannot say.",
            raw_response=f"She was born in Porto in {1950 + i}.\n\nQuestion: Where was Bo born?" if i % 3 else None,
            cut=["next_turn"] if i % 3 else [],
            cluster=f"person-{i // 4}",
        )
        for i in range(24)
    ]


def _submit(folder: Path, board: Path, result: Result, scorers: dict[str, list[str]]) -> None:
    """Score made-up answers for a result and put it on a board as "A"."""
    parts, every = profiles.build_parts("offline"), []
    for name, names in scorers.items():
        samples = score_responses(_responses(name), names, parts, {})
        task = result.tasks[name]
        task.metrics, task.scorer = aggregate(samples, names, {}), profiles.scorer_info(parts, names, {})
        task.n, task.empty, task.degenerate, task.cut = len(samples), 0, 0, {"next_turn": 16}
        task.clusters = ClusterInfo(key="cluster", n=6)
        every += samples
    result.fingerprint = result_fingerprint(result.model, result.tasks, result.run)
    (folder / "samples.jsonl").write_text(samples_text(every), encoding="utf-8")
    result.samples_sha256 = samples_file_sha256(folder / "samples.jsonl")
    (folder / "result.json").write_text(result.model_dump_json(), encoding="utf-8")
    submit(folder, board, Claim("A"), keep_samples=True)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A board with one entry, "A", whose samples it keeps."""
    path = write_board(tmp_path / "demo.json")
    _submit(tmp_path, path, make_result(), {"demo_kfr": ["kfr", "fluency"], "demo_krr": ["krr", "fluency"]})
    return path


def test_a_raised_version_rescoring_and_history(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = store.read_board(board).entry("A")
    assert all(entry.skipped == UP_TO_DATE for entry in rescore(board))
    untouched = board.read_bytes()

    def stricter(sample: Sample, options: object) -> dict[str, float]:
        return {"krr": 0.0}

    monkeypatch.setattr(SCORERS.module("krr"), "SCORER", replace(KRR, version=KRR.version + 1, score=stricter))
    assert main(["rescore", str(board), "--check", "--quiet"]) == 1
    assert board.read_bytes() == untouched  # --check changes nothing
    done = {entry.name: entry for entry in rescore(board)}
    assert done["A"].moved == {"demo_krr/krr": (before.result.tasks["demo_krr"].metrics["krr"].value, 0.0)}
    assert done["A"].versions == [f"krr {KRR.version} -> {KRR.version + 1}"]
    after = store.read_board(board)
    entry = after.entry("A")
    assert entry.result.tasks["demo_krr"].metrics["krr"].value == 0.0
    assert entry.result.tasks["demo_kfr"].metrics == before.result.tasks["demo_kfr"].metrics
    assert entry.submitted == before.submitted
    (past,) = entry.history
    assert past.values["demo_krr/krr"] == before.result.tasks["demo_krr"].metrics["krr"].value
    assert past.result_sha256 == before.result_sha256
    assert entry.result_sha256 == result_digest(entry.result) != before.result_sha256
    kept = kept_samples.kept(board, entry.result.samples_sha256)
    assert verify(entry.result, kept).agrees
    assert [s.raw_response for s in read_samples(kept)] == [
        r.raw_response for task in ("demo_kfr", "demo_krr") for r in _responses(task)
    ]
    assert after.tasks["demo_krr"].scorers["krr"] == entry.result.tasks["demo_krr"].scorer.metrics["krr"]
    assert rescore(board)[0].skipped == UP_TO_DATE  # the second time nothing is left to do


def test_what_cannot_be_rescored_is_named(
    board: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = board.read_text(encoding="utf-8")
    board.write_text(text.replace('"nli": "rules"', '"nli": "some-model"', 1), encoding="utf-8")
    monkeypatch.setattr(SCORERS.module("kfr"), "SCORER", replace(SCORERS.get("kfr"), version=99))
    assert main(["rescore", str(board)]) == 1
    assert "nli some-model (here rules)" in capsys.readouterr().out


def test_a_part_that_a_version_added_is_no_other_choice(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = board.read_text(encoding="utf-8")
    without = re.sub(r'"nli": "rules",? ?', "", text)
    assert without != text
    board.write_text(without, encoding="utf-8")
    monkeypatch.setattr(SCORERS.module("kfr"), "SCORER", replace(SCORERS.get("kfr"), version=99))
    (done,) = rescore(board, dry_run=True)
    assert done.skipped is None


def test_a_failure_leaves_the_board_as_it_was(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(sample: Sample, options: object) -> dict[str, float]:
        raise RuntimeError("broken scorer")

    before = board.read_bytes()
    monkeypatch.setattr(SCORERS.module("krr"), "SCORER", replace(KRR, version=99, score=broken))
    with pytest.raises(RuntimeError, match="broken scorer"):
        rescore(board)
    assert board.read_bytes() == before


def test_a_board_of_version_0_1_is_told_by_question_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = _old_board(tmp_path, monkeypatch)
    before = store.read_board(board)
    (job,) = rescore(board, dry_run=True)
    assert (job.versions, job.skipped) == (["demo_kfr + demo_ls -> demo_forget"], None)
    (done,) = rescore(board)
    assert done.moved == {}  # the same answers, the same scorers
    after = store.read_board(board)
    assert [m.key for m in after.metrics] == ["demo_forget/kfr", "demo_krr/krr", "demo_forget/fluency"]
    assert (list(after.tasks), after.rules.sort) == (["demo_forget", "demo_krr"], "demo_forget/kfr")
    assert set(after.tasks["demo_forget"].scorers) >= {"kfr", "fluency", "root_ttr"}
    entry, old = after.entry("A"), before.entry("A")
    kept = kept_samples.kept(board, entry.result.samples_sha256)
    samples = read_samples(kept)
    assert [s.id for s in samples] == [f"{task}-{i}" for task in ("demo_kfr", "demo_krr") for i in range(24)]
    assert {"kfr", "root_ttr", "fluency"} <= samples[0].scores.keys()
    assert verify(entry.result, kept).agrees
    (past,) = entry.history
    assert past.because == "rescored: demo_kfr + demo_ls -> demo_forget"
    assert past.values["demo_kfr/kfr"] == old.result.tasks["demo_kfr"].metrics["kfr"].value
    assert not kept_samples.kept(board, old.result.samples_sha256)
    assert rescore(board)[0].skipped == UP_TO_DATE


def test_a_board_stays_as_it_is_where_one_entry_cannot_be_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = _old_board(tmp_path, monkeypatch)
    text = board.read_bytes()
    for file in (tmp_path / "samples").iterdir():
        file.unlink()
    (done,) = rescore(board)
    assert done.skipped.endswith("because of A: its samples are not kept next to the board")
    assert board.read_bytes() == text


def _old_board(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A board whose entry asked one question set as two tasks, each with its own rows."""
    aliases = {"demo_kfr": "demo_forget", "demo_ls": "demo_forget"}
    for module in ("unlearn_bench.comparison.question_sets", "unlearn_bench.boards.by_question_set"):
        monkeypatch.setattr(f"{module}.question_sets", lambda: aliases)
    board = make_board(sort="demo_kfr/kfr")
    board.tasks["demo_ls"] = TaskRule(role="forget")
    path = write_board(folder / "demo.json", board)
    result = make_result()
    result.tasks["demo_ls"] = result.tasks["demo_kfr"].model_copy()
    scorers = {"demo_kfr": ["kfr", "fluency"], "demo_krr": ["krr", "fluency"], "demo_ls": ["root_ttr", "fluency"]}
    _submit(folder, path, result, scorers)
    (folder / "result.json").unlink()  # it names the samples too
    return path


@pytest.mark.slow
def test_likelihoods_and_summaries_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = tmp_path / "smol.json"
    shutil.copy(LEADERBOARDS / "smol.json", board)
    shutil.copytree(LEADERBOARDS / "samples", tmp_path / "samples")
    before = {entry.name: entry for entry in store.read_board(board).entries}
    monkeypatch.setattr(SCORERS.module("krr"), "SCORER", replace(KRR, version=KRR.version + 1))
    assert all(entry.versions == [f"krr {KRR.version} -> {KRR.version + 1}"] for entry in rescore(board))
    for entry in store.read_board(board).entries:
        old = before[entry.name].result
        for name, task in entry.result.tasks.items():
            assert task.metrics.keys() == old.tasks[name].metrics.keys()
            for metric, value in task.metrics.items():
                once = old.tasks[name].metrics[metric]
                assert value.value == (None if once.value is None else pytest.approx(once.value, rel=1e-4))
                assert (value.n, value.unscored_reasons) == (once.n, once.unscored_reasons)
        assert any(sample.likelihoods for sample in read_samples(kept_samples.kept(board, entry.result.samples_sha256)))
        assert entry.result.tasks["smol_summary"].scorer == old.tasks["smol_summary"].scorer
