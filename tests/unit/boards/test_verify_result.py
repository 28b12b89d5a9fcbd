"""Verification: an honest result agrees, and every kind of edit is found and named."""

import bz2
import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.leaderboard_documents import digest, known_rows, make_result, plain, samples_text, write_board
from unlearn_bench.boards.audit import audit
from unlearn_bench.boards.board import Board, BoardMetric, Rules, TaskRule
from unlearn_bench.boards.lookup import load
from unlearn_bench.boards.rescorer import Rescorer
from unlearn_bench.boards.submit import Claim, submit
from unlearn_bench.boards.verify import verify
from unlearn_bench.errors import UserError
from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.pipeline import aggregate, score_responses
from unlearn_bench.results import read_document, reading, result_fingerprint, samples_file_sha256
from unlearn_bench.schema import Response, Result, Sample

SCORERS = {"demo_kfr": ["kfr", "kfr_fluent", "fluency", "rouge"], "demo_krr": ["krr", "fluency"]}
TOWNS = ("Utrecht", "Porto", "Ghent", "Turku", "Brno", "Lyon", "Cork", "Bergen")


def _responses(task: str, n: int) -> list[Response]:
    rows = []
    for i in range(n):
        town, year = TOWNS[i % len(TOWNS)], 1950 + i
        knows = i % 3 == 0 if task == "demo_kfr" else i % 5 != 0
        answer = f"She was born in {town} in {year}." if knows else "I am not sure about her early life."
        rows.append(
            Response(
                id=f"{task}-{i}",
                task=task,
                split="forget" if task == "demo_kfr" else "retain",
                question=f"Where and when was Ada Number{i} born?",
                reference=f"Ada was born in {town} in {year}.",
                response="" if i == 7 else answer,
                cluster=f"person-{i // 4}",
            )
        )
    return rows


@pytest.fixture(scope="module")
def honest() -> tuple[Result, list[Sample]]:
    """A result as `run` makes it, scored by the real pipeline with the offline rules."""
    parts = profiles.build_parts("offline")
    result = make_result()
    every = []
    for name, scorers in SCORERS.items():
        samples = score_responses(_responses(name, 24), scorers, parts, {})
        task = result.tasks[name]
        task.metrics = aggregate(samples, scorers, {})
        task.scorer = profiles.scorer_info(parts, scorers, {})
        task.n = len(samples)
        task.empty, task.degenerate = 1, 1
        task.clusters = task.clusters or _clusters()
        every += samples
    result.fingerprint = result_fingerprint(result.model, result.tasks, result.run)
    result.samples_sha256 = hashlib.sha256(samples_text(every).encode()).hexdigest()
    return result, every


def _clusters() -> object:
    from unlearn_bench.schema import ClusterInfo

    return ClusterInfo(key="cluster", n=6)


def _write(folder: Path, result: dict, samples: list[dict], *, fix_hash: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps(s) + "\n" for s in samples)
    if fix_hash:
        result["samples_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "samples.jsonl").write_text(text)
    (folder / "result.json").write_text(json.dumps(result))
    return folder


@pytest.fixture
def documents(honest: tuple[Result, list[Sample]]) -> tuple[dict, list[dict]]:
    result, samples = honest
    return result.model_dump(mode="json"), [s.model_dump(mode="json") for s in samples]


def _codes(folder: Path, **options: object) -> set[str]:
    result, _ = read_document(folder)
    return {p.code for p in verify(result, folder / "samples.jsonl", **options).problems}


def test_an_honest_result_agrees(documents: tuple, tmp_path: Path) -> None:
    folder = _write(tmp_path / "a", *documents)
    result, _ = read_document(folder)
    report = verify(result, folder / "samples.jsonl")
    assert report.problems == []
    assert report.rows == 48
    assert report.recomputed == sum(len(t.metrics) for t in result.tasks.values())
    assert 0.5 < result.tasks["demo_kfr"].metrics["kfr"].value < 0.75  # a third of the answers know it


def _metrics(result: dict) -> dict:
    return result["tasks"]["demo_kfr"]["metrics"]


EDITS: list[tuple[str, Callable[[dict, list], None]]] = [
    ("value", lambda r, s: r["tasks"]["demo_kfr"]["metrics"]["kfr"].update(value=0.99)),
    ("interval", lambda r, s: r["tasks"]["demo_kfr"]["metrics"]["kfr"].update(ci95=[0.6, 0.61])),
    ("interval", lambda r, s: r["tasks"]["demo_krr"]["metrics"]["fluency"].update(ci95=None)),
    ("ci_method", lambda r, s: r["tasks"]["demo_kfr"]["metrics"]["kfr"].update(ci_method="wilson")),
    ("n", lambda r, s: r["tasks"]["demo_kfr"]["metrics"]["kfr"].update(n=23)),
    ("unscored", lambda r, s: r["tasks"]["demo_kfr"]["metrics"]["kfr"].update(unscored=3)),
    ("higher_is_better", lambda r, s: r["tasks"]["demo_kfr"]["metrics"]["kfr"].update(higher_is_better=False)),
    ("unknown_metric", lambda r, s: _metrics(r).update(mine=_metrics(r)["kfr"])),
    ("rows", lambda r, s: r["tasks"]["demo_kfr"].update(n=30)),
    ("empty", lambda r, s: r["tasks"]["demo_kfr"].update(empty=0)),
    ("degenerate", lambda r, s: r["tasks"]["demo_kfr"].update(degenerate=0)),
    ("clusters", lambda r, s: r["tasks"]["demo_kfr"].update(clusters=None)),
    ("score", lambda r, s: s[0]["scores"].update(kfr=1.0)),
    ("score", lambda r, s: s[1]["scores"].pop("kfr")),
    ("score", lambda r, s: s[0].update(agreement=0.01)),
    ("value", lambda r, s: s[0].update(agreement=None)),
    ("value", lambda r, s: s[0].update(coverage=0.0)),
    ("value", lambda r, s: s[0].update(nli_label="contradiction")),
    ("score", lambda r, s: s[0].update(response="Bergen, perhaps, said nobody.")),
    ("response", lambda r, s: s[0].update(raw_response=s[0]["response"] + " Her brother lives in Porto.")),
    ("response", lambda r, s: s[0].update(thinking="I know it.", cut=["thinking"])),
    ("empty", lambda r, s: s[7].update(empty=False)),
    ("degenerate", lambda r, s: s[7].update(degenerate=None)),
    ("duplicate_row", lambda r, s: s.append(s[0])),
    ("rows", lambda r, s: s.pop()),
    ("clusters", lambda r, s: s[0].update(cluster="person-99")),
    ("unknown_task", lambda r, s: s[0].update(task="demo_other")),
]  # fmt: skip


@pytest.mark.parametrize(("code", "edit"), EDITS, ids=[f"{i}-{code}" for i, (code, _) in enumerate(EDITS)])
def test_every_edit_is_named(documents: tuple, tmp_path: Path, code: str, edit: Callable) -> None:
    result, samples = documents
    edit(result, samples)
    assert code in _codes(_write(tmp_path / "a", result, samples))


def test_the_samples_must_be_those_that_the_result_names(documents: tuple, tmp_path: Path) -> None:
    result, samples = documents
    samples[0]["question"] += " "
    assert _codes(_write(tmp_path / "a", result, samples, fix_hash=False)) == {"samples_hash"}
    result["samples_sha256"] = None
    assert _codes(_write(tmp_path / "b", result, samples, fix_hash=False)) == {"samples_hash"}


def test_evidence_that_was_made_up_is_found_by_rescoring(documents: tuple, tmp_path: Path) -> None:
    """Coverage, label and score edited together agree with each other; only the response contradicts them."""
    result, samples = documents
    honest_folder = _write(tmp_path / "honest", result, samples)
    assert _codes(honest_folder, rescore=Rescorer({})) == set()
    samples[0].update(coverage=0.0, nli_label="neutral")
    samples[0]["scores"].update(kfr=1.0)
    task = [Sample(**s) for s in samples if s["task"] == "demo_kfr"]
    scores = aggregate(task, SCORERS["demo_kfr"], {})
    result["tasks"]["demo_kfr"]["metrics"] = {k: v.model_dump(mode="json") for k, v in scores.items()}
    folder = _write(tmp_path / "a", result, samples)
    assert "rescored" in _codes(folder, rescore=Rescorer({}))
    assert "scorer" in _codes(folder, rescore=Rescorer({"kfr_rule": "released"}))


def test_samples_are_read_strictly_and_the_line_is_named(documents: tuple, tmp_path: Path) -> None:
    result, samples = documents
    folder = _write(tmp_path / "a", result, samples)
    lines = (folder / "samples.jsonl").read_text().splitlines()
    for bad, reason in (
        ('{"id": 1}', "not a sample"),
        (lines[0].replace('"empty": false', '"empty": NaN'), "NaN"),
        ("[" * 10_000, "not JSON|nested"),
        ('"x"', "not a sample"),
        ("\ud800", "not UTF-8"),
    ):
        text = "\n".join([*lines[:2], bad, *lines[3:]])
        (folder / "samples.jsonl").write_bytes(text.encode("utf-8", "surrogatepass"))
        with pytest.raises(UserError, match=rf"samples.jsonl:3: .*({reason})"):
            _codes(folder)


@pytest.mark.slow
def test_mutated_samples_never_agree_and_never_crash(documents: tuple, tmp_path: Path) -> None:
    """100 edits of one number, text, flag or row of an honest run: each is named, or does not read."""
    rng = random.Random(0)
    result, samples = documents
    folder = _write(tmp_path / "a", result, samples)
    fields = ["scores", "coverage", "response", "empty", "degenerate", "cluster", "nli_label", "id", "unscored"]
    for _ in range(100):
        edited = json.loads(json.dumps(samples))
        sample = rng.choice(edited)
        field = rng.choice(fields)
        if field == "scores":
            name = rng.choice(sorted(sample["scores"]))
            sample["scores"][name] = 1 - sample["scores"][name] + 0.001
        else:
            sample[field] = rng.choice([None, "x", 0.123, -1, True, {"kfr": "made_up"}, [], "\x00"])
        text = "".join(json.dumps(s) + "\n" for s in edited)
        if text == "".join(json.dumps(s) + "\n" for s in samples):
            continue
        (folder / "samples.jsonl").write_text(text)
        try:
            found = _codes(folder)
        except UserError as error:
            found = {str(error)}
        assert found  # at the least, the hash that the result names no longer fits


def _strict_board(path: Path, documents: tuple[dict, list[dict]] | None = None) -> Path:
    """A board that takes only verified entries, and knows the rows of the documents."""
    result, samples = documents or (None, [])
    known = known_rows(Result.model_validate(result), [Sample(**s) for s in samples]) if documents else {}
    board = Board(
        benchmark="demo",
        title="Demo",
        description="Only what follows from its samples.",
        rules=Rules(verified=True),
        datasets=known,
        tasks={"demo_kfr": TaskRule(split="forget"), "demo_krr": TaskRule(split="retain")},
        metrics=[
            BoardMetric(key="demo_kfr/kfr", label="KFR", axis="forgetting", higher_is_better=True, proportion=True),
            BoardMetric(key="demo_krr/krr", label="KRR", axis="retention", higher_is_better=True, proportion=True),
        ],
    )
    return write_board(path, board)


def test_a_verified_board_takes_the_honest_and_refuses_the_edited(documents: tuple, tmp_path: Path) -> None:
    board = _strict_board(tmp_path / "demo.json", documents)
    result, samples = documents
    folder = _write(tmp_path / "a", result, samples)
    done = submit(folder, board, Claim("honest"))  # kept without --keep-samples: the board asks for verified entries
    assert done.entry.verification.level == "rescored"
    kept = tmp_path / "samples" / f"{result['samples_sha256']}.jsonl.bz2"
    assert bz2.decompress(kept.read_bytes()) == (folder / "samples.jsonl").read_bytes()
    assert kept.stat().st_size < (folder / "samples.jsonl").stat().st_size / 5
    assert load(f"{board}#honest").samples == load(str(folder)).samples
    before = board.read_bytes()
    result["tasks"]["demo_kfr"]["metrics"]["kfr"]["value"] += 1 / 24
    result["model"]["weights_sha256"] = digest("other weights")
    samples[0]["raw_response"] = "another run"
    with pytest.raises(UserError, match=r"does not bear out[\s\S]*\[value\]"):
        submit(_write(tmp_path / "b", result, samples), board, Claim("edited"))
    assert board.read_bytes() == before


def test_a_board_is_audited_as_a_whole_and_against_the_version_before(documents: tuple, tmp_path: Path) -> None:
    board = _strict_board(tmp_path / "demo.json", documents)
    result, samples = documents
    submit(_write(tmp_path / "a", result, samples), board, Claim("A", submitter="me"), keep_samples=True)
    old = tmp_path / "old.json"
    old.write_bytes(board.read_bytes())
    report = audit(board, old)
    assert (report.problems, report.entries, report.verified) == ([], 1, 1)
    result["model"]["weights_sha256"] = digest("trained longer")
    other = Result.model_validate(result)
    result["fingerprint"] = result_fingerprint(other.model, other.tasks, other.run)
    submit(_write(tmp_path / "b", result, samples), board, Claim("A", submitter="me"), replace=True)
    assert audit(board, old, submitter="me").problems == []

    def codes(change: Callable[[dict], None]) -> set[str]:
        document = plain(board)
        change(document)
        edited = tmp_path / "edited.json"
        edited.write_text(json.dumps(document))
        return {p.code for p in audit(edited, old, submitter="me", rescore=False).problems}

    (kept,) = (tmp_path / "samples").iterdir()  # both runs gave the same answers
    kept.rename(tmp_path / "aside")
    assert {p.code for p in audit(board, old, submitter="me").problems} == {
        "no_samples"
    }  # or a made-up `verification` would stand
    (tmp_path / "aside").rename(kept)

    entry = plain(board)["entries"][0]
    assert "removed" in codes(lambda d: d.update(entries=[]))
    assert "history" in codes(lambda d: d["entries"][0].pop("history"))
    assert "pin_moved" in codes(lambda d: d["tasks"]["demo_kfr"].update(n=23))
    assert "result_hash" in codes(lambda d: d["entries"][0]["result"]["model"].update(name="other"))
    assert "unverified" in codes(lambda d: d["entries"][0].pop("verification"))
    assert "duplicate_name" in codes(lambda d: d["entries"].append({**entry, "name": "a"}))
    assert "value" in codes(
        lambda d: d["entries"][0]["result"]["tasks"]["demo_kfr"]["metrics"]["kfr"].update(value=0.5)
    )
    assert codes(lambda d: None) == {"format"}


def test_an_edited_identity_is_found_by_its_fingerprint(documents: tuple, tmp_path: Path) -> None:
    result, samples = documents
    result["model"]["weights_sha256"] = digest("edited")
    folder = _write(tmp_path, result, samples)
    report = verify(Result.model_validate(result), folder / "samples.jsonl")
    assert {p.code for p in report.problems} == {"fingerprint"}


def test_packed_samples_are_limited_by_what_they_unpack_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "samples.jsonl.bz2"
    path.write_bytes(bz2.compress(b"\n" * 3_000_000))
    monkeypatch.setattr(reading, "MAX_FILE", 2_000_000)
    with pytest.raises(UserError, match="larger than the limit"):
        samples_file_sha256(path)
