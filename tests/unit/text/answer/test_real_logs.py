"""The cut on published logs: what is not rambling is read whole, so no cut can change a verdict there."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from unlearn_bench import formats
from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.pipeline import score_responses
from unlearn_bench.schema import Response
from unlearn_bench.text import answer

PREFIXES = (
    "<think>\n\n</think>\n\n",
    "<think>\nThe user asks about somebody. I do not know.\n</think>\n\n",
    "Certainly!\n\n",
    "Sure, I'd be happy to help!\n\n",
    "Great question!\n",
)


def _response(number: int, question: str, reference: str, text: str, split: str = "forget") -> Response:
    return Response(id=str(number), task="t", split=split, question=question, reference=reference, response=text)


def _evaluations(shared: Path) -> Iterator[tuple[str, list[Response]]]:
    """Generations of TOFU_EVAL and MUSE_EVAL files; continuations of a passage (verbmem) are no answers."""
    for path in sorted((shared / "open_unlearning").glob("*EVAL.json.gz")):
        with gzip.open(path) as file:
            document = json.load(file)
        for name, part in document.items():
            rows = list(part.get("value_by_index", {}).values()) if isinstance(part, dict) else []
            if rows and isinstance(rows[0], dict) and "generation" in rows[0] and "verbmem" not in name:
                yield (
                    f"{path.name} {name}",
                    [_response(i, r["input"], r["ground_truth"], r["generation"]) for i, r in enumerate(rows)],
                )


def _logs(shared: Path) -> Iterator[tuple[str, list[Response]]]:
    for path in sorted((shared / "logs").glob("*.json")):
        if path.name != "relearn_knowundo_llama2.json":  # scores only
            yield path.name, formats.read(path).responses


def _rambles(rows: list[Response]) -> set[str]:
    """Rows that go on with a text of the model's own, told without the cut.

    A line after the first begins with the same three words in at least eight rows of the log, whatever was asked.
    """
    openings = {
        (r.task, r.id): {" ".join(line.split()[:3]) for line in r.response.strip().split("\n")[1:] if line.strip()}
        for r in rows
    }
    shared = {words for words, n in Counter(w for o in openings.values() for w in o).items() if n >= 8}
    return {key for key, words in openings.items() if words & shared}


@pytest.mark.slow
def test_only_ramblings_are_cut(shared_data: Path) -> None:
    counts: Counter[str] = Counter()
    lost: dict[str, set[str]] = {}
    for name, rows in [*_logs(shared_data), *_evaluations(shared_data)]:
        rambles = _rambles(rows)
        for row in rows:
            found = answer.read(row.response, question=row.question, reference=row.reference)
            counts["rows"] += 1
            if found.text != row.response.strip():
                counts["cut"] += 1
                assert (row.task, row.id) in rambles, (name, row.response, found)
                assert row.response.strip().startswith(found.text)
                taken = _names(row.response) - _names(found.text) - _names(row.question)
                lost |= {row.id: taken & _names(row.reference)} if taken & _names(row.reference) else {}
            elif (row.task, row.id) in rambles:
                counts["rambles, read whole"] += 1
    assert counts["rows"] > 10_000
    assert counts["cut"] > 1_600
    assert not lost
    assert counts["rambles, read whole"] < 20


def _names(text: str) -> set[str]:
    """What is written with a capital or as a number, in small letters, without the commonest words."""
    words = (word.strip(".,;:!?'\"()#*") for word in text.split())
    named = {word.casefold() for word in words if len(word) > 3 and (word[:1].isupper() or word.isdigit())}
    return named - {"with", "their", "they", "this", "that", "through", "these", "additionally", "despite"}


def _knowundo(shared: Path) -> list[tuple[str, str]]:
    files = [shared / "knowundo" / "privacy" / f"unlearn_{part}.json" for part in ("val", "train")]
    return [(row["text"], row["labels"]) for file in files for row in json.loads(file.read_text())]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_takes_no_answer_away(shared_data: Path, prefix: str) -> None:
    rows = _knowundo(shared_data)
    assert len(rows) == 510
    for question, reference in rows:
        text = answer.read(prefix + reference, question=question, reference=reference).text
        assert text == (reference if "think" in prefix else prefix + reference).strip()


@pytest.mark.parametrize("every", [30, pytest.param(1, marks=pytest.mark.benchmark)])
def test_a_prefix_changes_no_verdict(shared_data: Path, every: int) -> None:
    rows = _knowundo(shared_data)[::every]
    for prefix in PREFIXES:
        for split, metric, value in (("forget", "kfr", 0.0), ("retain", "krr", 1.0)):
            responses = [answer.apply(_response(i, q, r, prefix + r, split)) for i, (q, r) in enumerate(rows)]
            samples = score_responses(responses, [metric], profiles.build_parts(), {})
            assert {sample.scores[metric] for sample in samples} == {value}, (prefix, metric)
