"""Rows scored from published logs: pinned by the maintainers, verified only where the log is, open to nobody else."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from unlearn_bench import formats
from unlearn_bench.boards import store
from unlearn_bench.boards.audit import audit
from unlearn_bench.boards.board import Anchors, Board, BoardMetric, DatasetRows, Rules, TaskRule
from unlearn_bench.boards.known_rows import row_digest
from unlearn_bench.boards.publish import Source, publish
from unlearn_bench.boards.ranking import rank
from unlearn_bench.boards.rescore import UP_TO_DATE, rescore
from unlearn_bench.boards.submit import Claim
from unlearn_bench.boards.verification import verify_file
from unlearn_bench.cli import main
from unlearn_bench.errors import UserError
from unlearn_bench.harness.published import LogFolder
from unlearn_bench.hashing import sha256_text
from unlearn_bench.results import result_digest
from unlearn_bench.site import report, views

ROWS = {
    "forget": [("Where was Ada Lima born?", "Ada Lima was born in Oslo."), ("Who taught Ada?", "Jon Berg taught Ada.")],
    "retain": [("Where does Bo Stam live?", "Bo Stam lives in Lund."), ("What does Bo paint?", "Bo paints red boats.")],
}
SOURCE = "https://example.org/logs/TOFU_EVAL.json"
NAME = "demo-1b, full"


def _log(path: Path, answer: str | None = None) -> Path:
    """An evaluation log of a model that knows everything, but for a given first answer."""
    document = {}
    for role, rows in ROWS.items():
        found = {
            str(i): {"input": f"Question: {question}\nAnswer:", "ground_truth": truth, "generation": truth}
            for i, (question, truth) in enumerate(rows)
        }
        if answer is not None and role == "forget":
            found["0"]["generation"] = answer
        document[f"{role}_Q_A_ROUGE"] = {"agg_value": 1.0, "value_by_index": found}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def _board(path: Path) -> Path:
    tasks, datasets, metrics = {}, {}, []
    for role, metric, axis in (("forget", "kfr", "forgetting"), ("retain", "krr", "retention")):
        key, rows = sha256_text(f"rows of {role}"), ROWS[role]
        tasks[f"demo_{role}"] = TaskRule(role=role, n=2, dataset_sha256=key, generation={"max_gen_toks": 128})
        digests = {f"{role}10-{i}": row_digest(q, a, "author-0", role) for i, (q, a) in enumerate(rows)}
        datasets[key] = DatasetRows(name="demo", split=f"{role}10", rows={"question": digests})
        metrics.append(BoardMetric(key=f"demo_{role}/{metric}", label=metric, axis=axis, higher_is_better=True))
    board = Board(
        benchmark="demo",
        title="demo",
        description="Invented people.",
        rules=Rules(verified=True),
        anchors=Anchors(original=NAME),
        tasks=tasks,
        metrics=metrics,
        datasets=datasets,
    )
    path.write_text(store.dump_board(board))
    return path


def _publish(log: Path, board: Path, name: str = NAME, **options: object) -> None:
    source = Source(stands_for="original", file="saves/TOFU_EVAL.json", source=SOURCE, licence="MIT")
    publish(log, board, Claim(name), source, LogFolder(log.parent), formats.hashes(log), **options)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return _log(tmp_path / "logs" / "TOFU_EVAL.json")


@pytest.fixture
def board(tmp_path: Path, log: Path) -> Path:
    path = _board(tmp_path / "demo.json")
    _publish(log, path)
    return path


def test_a_log_is_numbers_and_hashes_and_no_sentence(board: Path, log: Path) -> None:
    text = board.read_text()
    assert not any(sentence in text for rows in ROWS.values() for row in rows for sentence in row)
    (entry,) = store.read_board(board).entries
    assert entry.result.tasks["demo_forget"].metrics["kfr"].value == 0
    assert entry.result.tasks["demo_retain"].metrics["krr"].value == 1
    assert store.read_board(board).published(entry).known_rows == {"demo_forget": 2, "demo_retain": 2}
    assert not (board.parent / "samples").exists()


def test_without_the_log_the_row_is_not_verified_and_never_counted(board: Path, capsys: pytest.CaptureFixture) -> None:
    found = verify_file(board, scoring={"profile": "offline"})
    assert (found.agrees, found.undecided, found.summary["verified"]) == (True, True, 0)
    assert main(["verify", str(board)]) == 3
    said = capsys.readouterr().out
    assert f"not verified: {NAME}" in said
    assert f"get {SOURCE} (sha256 {store.read_board(board).logs.popitem()[1].sha256})" in said
    assert "agrees as far as it was verified" in said
    assert main(["verify", str(board), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["not_verified"][0]["entry"] == NAME


def test_with_the_log_every_number_is_found_again(board: Path, log: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["verify", str(board), "--logs", str(log.parent)]) == 0
    assert "verified 1" in capsys.readouterr().out


@pytest.mark.parametrize("packed", [False, True])
def test_a_copy_with_the_same_content_is_the_same_log(board: Path, tmp_path: Path, log: Path, packed: bool) -> None:
    text = json.dumps(json.loads(log.read_text()), indent=4, sort_keys=True)
    copy = tmp_path / "other" / "deep" / ("log.json.gz" if packed else "log.json")
    copy.parent.mkdir(parents=True)
    copy.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert audit(board, logs=LogFolder(tmp_path / "other")).verified == 1


def test_another_log_is_not_this_log(board: Path, tmp_path: Path) -> None:
    other = _log(tmp_path / "other" / "TOFU_EVAL.json", answer="Nobody knows.")
    report = audit(board, logs=LogFolder(other.parent))
    assert (report.verified, len(report.not_verified), report.problems) == (0, 1, [])


def _changed(board: Path, change: Callable[[dict], None], *, pinned: bool) -> Path:
    """The board of a forger, who keeps every hash of the file right; with `pinned` also those of the board's head."""
    document = json.loads(board.read_text())
    change(document["entries"][0]["result"])
    path = board.with_name("forged.json")
    path.write_text(json.dumps(document))
    new = Board.model_validate_json(path.read_text())
    digest = result_digest(new.entries[0].result)
    entry = new.entries[0].model_copy(update={"result_sha256": digest})
    logs = {key: log.model_copy(update={"result_sha256": digest}) for key, log in new.logs.items()}
    new = new.model_copy(update={"entries": [entry], **({"logs": logs} if pinned else {})})
    path.write_text(store.dump_board(new))
    return path


def _better(result: dict) -> None:
    result["tasks"]["demo_forget"]["metrics"]["kfr"] |= {"value": 1.0, "ci95": [0.4, 1.0]}


def _codes(report: object) -> set[str]:
    return {problem.code for problem in report.problems}


def test_a_forged_number_is_no_published_row_any_more(board: Path) -> None:
    forged = _changed(board, _better, pinned=False)
    report = audit(forged, against=board, submitter="mallory")
    assert {"log", "no_samples", "unverified", "not_yours"} <= _codes(report)
    assert report.verified == 0
    assert rank(store.read_board(forged))[0].log is None  # and the page does not show it as one


def test_a_forged_pin_is_a_change_of_the_board_s_head(board: Path, log: Path) -> None:
    forged = _changed(board, _better, pinned=True)
    assert {"logs", "not_yours"} <= _codes(audit(forged, against=board, submitter="mallory"))
    assert "value" in _codes(audit(forged, logs=LogFolder(log.parent)))
    assert main(["verify", str(forged), "--logs", str(log.parent)]) == 1


def test_nobody_adds_a_row_without_samples_by_naming_a_log(board: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.json"
    new.write_text(board.read_text())
    _publish(_log(tmp_path / "own" / "my.json", answer="Nobody knows."), new, name="my-method")
    report = audit(new, against=board, submitter="mallory")
    assert {"logs", "not_yours"} <= _codes(report)
    assert verify_file(new, against=board, submitter="mallory", scoring={"profile": "offline"}).undecided


def test_a_pull_request_that_leaves_the_row_alone_passes(board: Path, tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    before.write_text(board.read_text())
    assert main(["verify", str(board), "--against", str(before), "--submitter", "ann"]) == 0


def test_a_published_row_may_not_say_that_it_is_verified(board: Path) -> None:
    document = json.loads(board.read_text())
    document["entries"][0]["verification"] = {
        "level": "rescored", "samples_sha256": sha256_text("x"), "rows": 4, "harness": "0.2",
        "at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    board.write_text(json.dumps(document))
    assert "verification" in _codes(audit(board))


def test_only_maintainers_publish(board: Path, log: Path, capsys: pytest.CaptureFixture) -> None:
    before = board.read_bytes()
    flags = ["submit", str(log), "--leaderboard", str(board), "--name", "x", "--published", "oracle"]
    assert main([*flags, "--source", SOURCE]) == 2
    assert "maintainer" in capsys.readouterr().err
    assert main([*flags, "--maintainer"]) == 2
    assert "--source" in capsys.readouterr().err
    assert main([*flags, "--maintainer", "--source", SOURCE]) == 2
    assert "[duplicate_log]" in capsys.readouterr().err
    assert board.read_bytes() == before


def test_a_log_of_other_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _board(tmp_path / "demo.json")
    monkeypatch.setitem(ROWS, "forget", [("Where was Eve Moe born?", "Eve Moe was born in Bergen.")] * 2)
    other = _log(tmp_path / "logs" / "TOFU_EVAL.json")
    with pytest.raises(UserError, match="0 of the log's 2 rows are rows of demo forget10"):
        _publish(other, path)


def test_the_row_has_no_rank_and_the_page_says_what_it_is(board: Path, tmp_path: Path) -> None:
    _publish(_log(tmp_path / "own" / "my.json", answer="In Bergen."), board, name="demo-3b, full")
    rows = {row.entry.name: row for row in rank(store.read_board(board))}
    assert [(row.anchor, row.rank) for row in rows.values()] == [("original", None), ("reference", None)]
    report.write_site(views.load([board]), tmp_path / "site")
    page = (tmp_path / "site" / "demo.html").read_text()
    assert page.count("published log, not verified here") == 2
    (entry,) = (tmp_path / "site" / "entries").glob("demo-demo-3b*.html")
    assert "unlearn-bench verify BOARD --logs DIR" in entry.read_text()


def test_rescoring_needs_the_log_and_moves_the_pin(board: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [done.skipped for done in rescore(board, dry_run=True)] == [UP_TO_DATE]
    document = json.loads(board.read_text())
    document["entries"][0]["result"]["tasks"]["demo_forget"]["scorer"]["versions"]["kfr"] = 1
    board.write_text(json.dumps(document))
    read = store.read_board(board)
    digest = result_digest(read.entries[0].result)
    entry = read.entries[0].model_copy(update={"result_sha256": digest})
    logs = {key: one.model_copy(update={"result_sha256": digest}) for key, one in read.logs.items()}
    board.write_text(store.dump_board(read.model_copy(update={"entries": [entry], "logs": logs})))
    assert [done.skipped for done in rescore(board)] == ["its published log is not at hand: --logs DIR"]
    (done,) = rescore(board, logs=LogFolder(log.parent))
    assert (done.skipped, done.versions) == (None, ["kfr 1 -> 2"])
    new = store.read_board(board)
    assert len(new.entries[0].history) == 1
    assert audit(board, logs=LogFolder(log.parent)).verified == 1


def test_a_folder_that_is_none_is_one_line(board: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["verify", str(board), "--logs", str(board)]) == 2
    assert "no such folder" in capsys.readouterr().err


TOFU = Path(__file__).parents[3] / "leaderboards" / "tofu.json"


class _OfModels(LogFolder):
    """Logs of some rows only: scoring one takes twenty seconds."""

    models = ""

    def find(self, wanted: dict) -> dict[str, Path]:
        found = super().find(wanted)
        assert found.keys() == wanted.keys()  # every log is there, by its hash
        return {key: path for key, path in found.items() if wanted[key].entry.startswith(self.models)}


@pytest.mark.parametrize(
    "models",
    [
        pytest.param("phi-1.5, full", marks=pytest.mark.slow),
        pytest.param("Llama-3.2-1B", marks=pytest.mark.slow),
        pytest.param("", marks=pytest.mark.benchmark),
    ],
)
def test_the_board_of_tofu_follows_from_its_published_logs(
    shared_data: Path, models: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_OfModels, "models", models)
    report = audit(TOFU, logs=_OfModels(shared_data))
    chosen = [entry.name for entry in store.read_board(TOFU).entries if entry.name.startswith(models)]
    assert report.problems == []
    assert report.verified == len(chosen) > 0
    assert report.verified + len(report.not_verified) == report.entries
