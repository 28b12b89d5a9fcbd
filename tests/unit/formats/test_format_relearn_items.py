import json
from pathlib import Path

import pytest

from unlearn_bench import formats
from unlearn_bench.errors import UserError
from unlearn_bench.schema import Given

ENTITIES = {
    "query": "Where?",
    "pred": " In Oslo.",
    "gt": "In Rome, Italy.",
    "ent_label": "neutral",
    "ent_score": 0.9,
    "entity_score": 1 - 2 / 3,
    "forget_label": 0,
    "entity_gt": ["Rome", "Italy", "city"],
    "entity_pred": ["Oslo"],
}
WORDS = {"response": " In Oslo.", "ppl": 12.5, "ttr": 1.0, "BI": 2.0, "HS": 3.0}


def write(path: Path, **lists: object) -> Path:
    path.write_text(json.dumps(lists, indent=1))
    return path


def test_entity_score_is_one_minus_coverage_in_forget_items_only(tmp_path: Path) -> None:
    path = write(
        tmp_path / "items.json",
        ent_info_f=[ENTITIES],
        as_info_F=[WORDS],
        ent_info_r=[{**ENTITIES, "entity_score": 4 / 3}],
        as_info_R=[{**WORDS, "ppl": float("nan")}],
    )
    forget, retain = formats.read(path).responses
    assert (forget.id, forget.task, forget.role) == ("forget-0", "relearn_forget", "forget")
    assert forget.given == Given(
        entities_reference=["Rome", "Italy", "city"],
        entities_response=["Oslo"],
        coverage=2 / 3,  # exactly: 1 - (1 - 2/3) is 0.6666666666666667 only after the count is restored
        nli_label="neutral",
        nli_probability=0.9,
        perplexity=12.5,
    )
    assert retain.given.coverage == 4 / 3
    assert retain.given.perplexity is None
    assert retain.reference == "In Rome, Italy."


def _forget_item(coverage: float, contradiction: bool, size: int, *, newer: bool) -> dict:
    """An item as one of the two releases of the evaluator writes it."""
    limit = 0.5 if size <= 3 else 0.3
    return {
        **ENTITIES,
        "ent_label": "contradiction" if contradiction else "neutral",
        "entity_gt": [f"entity {i}" for i in range(size)],
        "entity_score": coverage if newer else 1 - coverage,
        "forget_label": int(contradiction or coverage <= limit),
    }


@pytest.mark.parametrize("newer", [False, True])
def test_the_labels_tell_which_release_wrote_the_file(tmp_path: Path, newer: bool) -> None:
    wanted = [(1.0, False, 2), (0.0, False, 2), (0.25, False, 4), (0.75, False, 4), (0.0, True, 3)]
    items = [_forget_item(*case, newer=newer) for case in wanted]
    found = formats.read(write(tmp_path / "i.json", ent_info_f=items))
    assert [r.given.coverage for r in found.responses] == [coverage for coverage, _, _ in wanted]
    assert ("read as E" in " ".join(found.notes)) == newer


def test_a_file_that_does_not_tell_gives_no_coverage(tmp_path: Path) -> None:
    unsaid = [{k: v for k, v in ENTITIES.items() if k != "forget_label"}, _forget_item(0.2, True, 5, newer=True)]
    found = formats.read(write(tmp_path / "i.json", ent_info_f=unsaid))
    assert [r.given.coverage for r in found.responses] == [None, None]
    assert "do not show whether entity_score is E or 1 - E" in found.notes[0]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"pred": None}, "'pred' must be text"),
        ({"query": ""}, "'query' is empty"),
        ({"ent_label": "LABEL_0"}, "nli_label: Input should be 'entailment'"),
        ({"entity_gt": "Rome"}, "entities_reference: Input should be a valid list"),
        ({"entity_score": "1"}, "'entity_score' must be a number"),
        ({"pred": "Another answer."}, "its answer is not the one at this place of the as_info list"),
    ],
)
def test_malformed_items_are_named(tmp_path: Path, changes: dict[str, object], what: str) -> None:
    path = write(tmp_path / "i.json", ent_info_f=[ENTITIES, {**ENTITIES, **changes}], as_info_F=[WORDS, WORDS])
    found = formats.read(path)
    line = [n for n, text in enumerate(path.read_text().split("\n"), 1) if text == "  {"][1]
    assert len(found.responses) == 1
    assert found.errors[0].startswith(f"{path}:{line}: ent_info_f[1]: {what}")


def test_evidence_that_is_missing_stays_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "i.json", ent_info_f=[{"query": "Q", "pred": "A", "gt": "B"}])
    assert formats.read(path).responses[0].given == Given()


def test_lists_of_unlike_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 items in ent_info_f, 2 in as_info_F"):
        formats.read(write(tmp_path / "i.json", ent_info_f=[ENTITIES], as_info_F=[WORDS, WORDS]))


def test_a_file_without_questions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither ent_info_f nor ent_info_r"):
        formats.read(write(tmp_path / "i.json", as_info_F=[WORDS]))


def test_the_published_file_is_read_whole(shared_data: Path) -> None:
    found = formats.read(shared_data / "logs" / "relearn_knowundo_llama2_items.json")
    assert found.errors == []
    assert [sum(r.role == s for r in found.responses) for s in ("forget", "retain")] == [110, 108]
    assert all(0 <= r.given.coverage <= 1 for r in found.responses if r.role == "forget")
    assert sum(r.given.coverage > 1 for r in found.responses if r.role == "retain") == 8  # pairs were counted
    label_counts = [r.given.nli_label for r in found.responses if r.role == "forget"]
    assert label_counts.count("neutral") == 100
