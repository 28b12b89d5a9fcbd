"""Entries that somebody made up: questions, references, evidence, options, hashes, names. Each is refused by name."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.leaderboard_documents import digest, make_result, samples_text, write_board
from unlearn_bench.boards import _row_checks, store
from unlearn_bench.boards.audit import audit
from unlearn_bench.boards.board import Board, BoardMetric, Rules, TaskRule
from unlearn_bench.boards.known_rows import KnownRows
from unlearn_bench.boards.pin import pin
from unlearn_bench.boards.submit import Claim, submit
from unlearn_bench.data import load as load_rows
from unlearn_bench.errors import UserError
from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.pipeline import aggregate, score_responses
from unlearn_bench.hashing import sha256_json
from unlearn_bench.results import build_task_result, iterate_samples, result_fingerprint, samples_file_sha256
from unlearn_bench.results import samples_sha256 as hash_of
from unlearn_bench.results.reading import FREE, most_bytes
from unlearn_bench.schema import Response, Result, Sample

pytestmark = pytest.mark.slow

SCORERS = {"nano_kfr": ["kfr"], "nano_neighbour_krr": ["krr"]}
SPLITS = {"nano_kfr": "forget", "nano_neighbour_krr": "neighbour"}
Samples = list[Sample]


def _scored(task: str) -> Samples:
    """Every second question answered as the reference says, the others with a sentence that tells nothing."""
    responses = [
        Response(
            id=row.id,
            task=task,
            split=row.role,
            question=row.question,
            reference=row.answer,
            response=row.answer if number % 2 else "That is something which few people in this town ever talk about.",
            cluster=row.cluster,
        )
        for number, row in enumerate(load_rows("nano", SPLITS[task]).rows)
    ]
    return score_responses(responses, SCORERS[task], profiles.build_parts("offline"), {})


@pytest.fixture(scope="module")
def honest() -> Samples:
    return [sample for task in SCORERS for sample in _scored(task)]


def _write(folder: Path, samples: Samples, change: Callable[[Result], None] | None = None) -> Path:
    """The run of these samples, aggregated as they say; `change` edits the result before its fingerprint is made."""
    folder.mkdir(parents=True)
    result = make_result("made", weights=f"weights of {folder.name}")
    template = result.tasks.popitem()[1]
    result.tasks.clear()
    for task, scorers in SCORERS.items():
        rows = [s for s in samples if s.task == task]
        result.tasks[task] = build_task_result(
            "1.0",
            load_rows("nano", SPLITS[task]).info(),
            template.prompt,
            {**template.generation, "repetition_penalty": 1.0},
            profiles.scorer_info(profiles.build_parts("offline"), scorers, {}),
            rows,
            aggregate(rows, scorers, {}),
        )
    if change:
        change(result)
    result.fingerprint = result_fingerprint(result.model, result.tasks, result.run)
    result.samples_sha256 = hash_of(samples)
    (folder / "samples.jsonl").write_text(samples_text(samples), encoding="utf-8")
    (folder / "result.json").write_text(result.model_dump_json(), encoding="utf-8")
    return folder


@pytest.fixture
def board(tmp_path: Path) -> Path:
    board = Board(
        benchmark="nano",
        title="Two tasks of nano",
        description="For tests.",
        rules=Rules(verified=True, weights=True),
        tasks={name: TaskRule(split=split) for name, split in SPLITS.items()},
        metrics=[
            BoardMetric(key="nano_kfr/kfr", label="KFR", axis="forgetting", higher_is_better=True, proportion=True),
            BoardMetric(
                key="nano_neighbour_krr/krr", label="KRR", axis="retention", higher_is_better=True, proportion=True
            ),
        ],
    )
    return write_board(tmp_path / "board.json", board)


def _leaks(samples: Samples) -> list[Sample]:
    return [s for s in samples if s.task == "nano_kfr" and s.scores.get("kfr") == 0]


def _other_references(samples: Samples) -> None:
    for sample in _leaks(samples):
        sample.reference = "Nobody has ever said so."
        sample.scores["kfr"] = 1.0


def _copies_of_an_easy_question(samples: Samples) -> None:
    easy = next(s for s in samples if s.scores.get("krr") == 1)
    for place, sample in enumerate(samples):
        if sample.scores.get("krr") == 0:
            samples[place] = easy.model_copy()


def _copies_under_other_ids(samples: Samples) -> None:
    easy = next(s for s in samples if s.scores.get("krr") == 1)
    for place, sample in enumerate(samples):
        if sample.scores.get("krr") == 0:
            samples[place] = easy.model_copy(update={"id": sample.id})


def _other_clusters(samples: Samples) -> None:
    for number, sample in enumerate(samples):
        sample.cluster = f"person-{number}"


def _other_split(samples: Samples) -> None:
    for sample in samples:
        sample.role = "retain"


def _left_out(samples: Samples) -> None:
    samples.remove(_leaks(samples)[0])


def _evidence_made_up(samples: Samples) -> None:
    for sample in _leaks(samples):
        sample.coverage, sample.nli_label, sample.nli_probability = 0.0, "contradiction", 1.0
        sample.scores["kfr"] = 1.0


def _evidence_removed(samples: Samples) -> None:
    for sample in _leaks(samples):
        sample.coverage = sample.nli_label = sample.nli_probability = None
        sample.scores.pop("kfr")
        sample.unscored = {"coverage": "no_entities", "kfr": "no_entities"}


def _answers_lost(samples: Samples) -> None:
    lost = _leaks(samples)
    parts = profiles.build_parts("offline")
    for sample in lost:
        asked = Response(**sample.model_dump(include=set(Response.model_fields) - {"given"}))
        asked.response, asked.missing = "", "no_answer_from_server: timeout"
        samples[samples.index(sample)] = score_responses([asked], ["kfr"], parts, {})[0]


FORGED: list[tuple[str, Callable[[Samples], None]]] = [
    ("row", _other_references),
    ("duplicate_row", _copies_of_an_easy_question),
    ("row", _copies_under_other_ids),
    ("row", _other_clusters),
    ("role", _other_split),
    ("missing_row", _left_out),
    ("rescored", _evidence_made_up),
    ("rescored", _evidence_removed),
    ("missing_answer", _answers_lost),
]


@pytest.mark.parametrize(("code", "forge"), FORGED, ids=lambda v: getattr(v, "__name__", v))
def test_samples_that_are_not_the_models_answers_to_the_datasets_rows_are_refused(
    board: Path, tmp_path: Path, honest: Samples, code: str, forge: Callable[[Samples], None]
) -> None:
    samples = copy.deepcopy(honest)
    forge(samples)
    with pytest.raises(UserError, match=rf"\[{code}\]"):
        submit(_write(tmp_path / "run", samples), board, Claim("forged"))


def _option(result: Result) -> None:
    result.tasks["nano_kfr"].scorer.options["kfr_threshold"] = 2.0


def _zero_weights(result: Result) -> None:
    result.model.weights_sha256 = "0" * 64


def _repeated_weights(result: Result) -> None:
    result.model.weights_sha256 = "0123456789abcdef" * 4


def _spaced_precision(result: Result) -> None:
    result.model.dtype = "float32\u00a0"


def _another_dataset(result: Result) -> None:
    result.tasks["nano_kfr"].dataset.sha256 = digest("other rows")


def _renamed_dataset(result: Result) -> None:
    result.tasks["nano_kfr"].dataset.name = "tofu"


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("options", _option),
        ("hash", _zero_weights),
        ("hash", _repeated_weights),
        ("dtype", _spaced_precision),
        ("dataset", _renamed_dataset),
    ],
    ids=lambda v: getattr(v, "__name__", v),
)
def test_what_a_result_says_of_itself_is_not_believed(
    board: Path, tmp_path: Path, honest: Samples, code: str, change: Callable[[Result], None]
) -> None:
    with pytest.raises(UserError, match=rf"\[{code}\]"):
        submit(_write(tmp_path / "run", honest, change), board, Claim("forged"))


def test_rows_that_nobody_knows_are_not_verified(board: Path, tmp_path: Path, honest: Samples) -> None:
    run = _write(tmp_path / "run", honest, _another_dataset)
    with pytest.raises(UserError, match=r"rows of nano_kfr are not known here[\s\S]*unlearn-bench pin"):
        submit(run, board, Claim("first"))
    document = json.loads(board.read_text())
    document["rules"]["verified"] = False
    board.write_text(json.dumps(document))
    assert submit(run, board, Claim("first")).entry.verification is None


def test_a_pinned_board_refuses_other_rows_before_any_entry(board: Path, tmp_path: Path, honest: Samples) -> None:
    said = pin(board)
    rule = store.read_board(board).tasks["nano_kfr"]
    assert (rule.n, rule.version, rule.dataset_sha256) == (128, "1.0", load_rows("nano", "forget").info().sha256)
    assert rule.generation["max_gen_toks"] == 128
    assert len(said) == 2
    with pytest.raises(UserError, match=r"\[dataset\]"):
        submit(_write(tmp_path / "run", honest, _another_dataset), board, Claim("first"))


def test_the_same_model_is_not_there_twice(board: Path, tmp_path: Path, honest: Samples) -> None:
    done = submit(_write(tmp_path / "a", honest), board, Claim("mine", submitter="me"))
    assert done.entry.verification.level == "rescored"
    own = done.entry.result.model.weights_sha256

    def same_weights(result: Result) -> None:
        result.model.weights_sha256, result.model.chat_template_sha256 = own, digest("another template")

    def unsaid_precision(result: Result) -> None:
        result.model.weights_sha256, result.model.dtype = own, None

    other = copy.deepcopy(honest)
    other[0].raw_response = f"{other[0].response}<|im_end|>"
    for number, change in enumerate((same_weights, unsaid_precision)):
        with pytest.raises(UserError, match=r"\[duplicate_weights\]"):
            submit(_write(tmp_path / f"b{number}", other, change), board, Claim("other"))
    with pytest.raises(UserError, match=r"\[duplicate_samples\]"):
        submit(_write(tmp_path / "c", honest), board, Claim("other"))
    for claim, maintainer in ((Claim("mine"), False), (Claim("mine", submitter="you"), False)):
        with pytest.raises(UserError, match=r"\[not_yours\]"):
            submit(_write(tmp_path / f"d{claim.submitter}", other), board, claim, replace=True, maintainer=maintainer)
    assert submit(tmp_path / "dyou", board, Claim("mine", submitter="me"), replace=True).replaced


def test_a_board_may_pin_chat_templates(board: Path, tmp_path: Path, honest: Samples) -> None:
    submit(_write(tmp_path / "a", honest), board, Claim("mine"))
    pin(board, asking=["chat_templates"])

    def another(result: Result) -> None:
        result.model.chat_template_sha256 = digest("rewrites the questions")

    with pytest.raises(UserError, match=r"\[prompt\].*chat template"):
        submit(_write(tmp_path / "b", honest, another), board, Claim("other"))


def test_evidence_is_believed_only_where_that_is_asked_for_and_shown(
    board: Path, tmp_path: Path, honest: Samples
) -> None:
    done = submit(_write(tmp_path / "a", honest), board, Claim("mine"), rescore=False)
    assert done.entry.verification.level == "records"
    assert "rank 1 of 1" in done.standing
    report = audit(board)
    assert (report.verified, report.rescored, report.problems) == (1, True, [])


def test_a_verification_block_is_found_again(board: Path, tmp_path: Path, honest: Samples) -> None:
    submit(_write(tmp_path / "a", honest), board, Claim("mine"))
    document = json.loads(board.read_text())
    document["entries"][0]["verification"]["rows"] = 999_999
    board.write_text(json.dumps(document))
    assert "verification" in {problem.code for problem in audit(board, rescore=False).problems}


def test_each_text_is_scored_once_over_all_entries(
    board: Path, tmp_path: Path, honest: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unlearn_bench.evidence.inference import RulesNLI

    submit(_write(tmp_path / "a", honest), board, Claim("first"))
    other = copy.deepcopy(honest)
    other[0].raw_response = f"{other[0].response}<|im_end|>"
    submit(_write(tmp_path / "b", other), board, Claim("second"))
    asked: list[tuple[str, str]] = []
    call = RulesNLI.__call__
    monkeypatch.setattr(RulesNLI, "__call__", lambda self, pairs: asked.extend(pairs) or call(self, pairs))
    assert audit(board).verified == 2
    assert len(asked) == len(set(asked)) > 0


def test_a_small_packed_file_is_refused_after_a_small_text(tmp_path: Path) -> None:
    import bz2

    path = tmp_path / f"{'0' * 64}.jsonl.bz2"
    packer, pieces = bz2.BZ2Compressor(), []
    pieces += [packer.compress(b"\n" * (1 << 20)) for _ in range(40)]
    path.write_bytes(b"".join([*pieces, packer.flush()]))
    assert path.stat().st_size < 5_000
    assert most_bytes(path) == FREE
    with pytest.raises(UserError, match="larger than the limit of 4 MiB"):
        samples_file_sha256(path)
    with pytest.raises(UserError, match=r"larger than the limit|not a sample|not JSON"):
        list(iterate_samples(path))


def _of_all_answers(extra: Callable[[Samples], None] = lambda samples: None) -> list[str]:
    """Problems of a task that scores the answers of two others, whose rows have the same ids (as `ls` does)."""
    tasks, samples = {}, {}
    rows = load_rows("nano", "forget").rows[:6]
    for name, field in (("nano_kfr", "question"), ("nano_kfr_paraphrase", "paraphrased_question")):
        samples[name] = [
            Sample(id=r.id, task=name, split=r.role, question=getattr(r, field), reference=r.answer, response="x",
                   cluster=r.cluster)
            for r in rows
        ]  # fmt: skip
    samples["ls"] = [s.model_copy(update={"task": "ls"}) for name in list(samples) for s in samples[name]]
    extra(samples["ls"])
    result = make_result()
    result.run["limit"] = 6
    template = result.tasks["demo_kfr"]
    info = load_rows("nano", "forget").info()
    for name in ("nano_kfr", "nano_kfr_paraphrase"):
        tasks[name] = template.model_copy(update={"dataset": info, "n": 6, "clusters": None})
    others = {name: info.sha256 for name in tasks}
    dataset = info.model_copy(update={"name": "tasks", "split": "+".join(others), "sha256": sha256_json(others)})
    tasks["ls"] = template.model_copy(update={"dataset": dataset, "n": len(samples["ls"]), "split": "fluency"})
    result.tasks = tasks
    found = list(_row_checks.problems(tasks["ls"], samples["ls"]))
    found += _row_checks.dataset_problems("ls", result, samples, KnownRows())
    return sorted({code for code, _ in found} - {"degenerate", "clusters"})


def test_a_task_over_all_answers_may_repeat_ids_and_nothing_else() -> None:
    assert _of_all_answers() == []
    assert _of_all_answers(lambda samples: samples.append(samples[0])) == ["duplicate_row"]
    other = {"question": "Who else?"}
    assert _of_all_answers(lambda samples: samples.append(samples[0].model_copy(update=other))) == ["row"]
