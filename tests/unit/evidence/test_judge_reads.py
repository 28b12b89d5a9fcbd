"""Perplexity and LS where the perplexity model cannot read the text: withheld, whatever the answers look like."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pytest

from unlearn_bench import nano
from unlearn_bench.errors import UserError
from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.pipeline import aggregate, score_responses, settle
from unlearn_bench.models.reference_lm import ReferenceLM
from unlearn_bench.schema import Response, Sample
from unlearn_bench.scorers.base import Parts

SCORERS = ["ls", "perplexity", "fluency"]


class Judge:
    """Reads texts with the word "sea": perplexity 5, others 900; an answer that repeats itself gets 2."""

    name = fingerprint = "judge"

    def __init__(self, limit: float | None) -> None:
        self.reads_up_to, self.calls = limit, 0

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        self.calls += len(pairs)
        return [2.0 if "at at" in text else 5.0 if "sea" in text else 900.0 for _, text in pairs]


def _score(rows: Sequence[tuple[str | None, str]], limit: float | None = 100.0) -> list[Sample]:
    responses = [
        Response(id=str(i), task="t", split="retain", question="Where?", reference=reference, response=answer)
        for i, (reference, answer) in enumerate(rows)
    ]
    return score_responses(responses, SCORERS, Parts("fake", reference_lm=Judge(limit)), {})


def test_an_answer_that_is_a_reference_is_read_once() -> None:
    judge = Judge(100.0)
    responses = [
        Response(id=str(i), task="t", split="retain", question="Where?", reference=READ, response=answer)
        for i, answer in enumerate((READ, READ, UNREAD))
    ]
    samples = score_responses(responses, ["perplexity"], Parts("fake", reference_lm=judge), {})
    assert [s.perplexity for s in samples] == [5.0, 5.0, 900.0]
    assert judge.calls == 2


def _ls(samples: list[Sample]) -> object:
    return aggregate(samples, SCORERS, {}, resamples=0)["ls"]


READ, UNREAD = "She lives by the sea.", "She lives in a valley."


def test_it_is_withheld_where_the_reference_cannot_be_read() -> None:
    found = _ls(_score([(UNREAD, UNREAD), (UNREAD, READ), (UNREAD, "at at at at"), (UNREAD, "")]))
    assert (found.value, found.n, found.unscored_reasons) == (None, 0, {"judge_cannot_read": 4})


def test_answers_have_no_part_in_it() -> None:
    samples = _score([(READ, UNREAD), (READ, "at at at at"), (READ, ""), (READ, READ)])
    assert [s.perplexity for s in samples] == [900.0, 2.0, 1000.0, 5.0]
    assert _ls(samples).n == 4


def test_a_judge_without_a_limit_is_asked_for_the_answers_only() -> None:
    samples = _score([(UNREAD, UNREAD)], limit=None)
    assert samples[0].perplexity == 900.0


def test_a_few_readable_references_do_not_make_the_number_of_a_task() -> None:
    samples = _score([(UNREAD, UNREAD)] * 3 + [(READ, READ)])
    assert samples[3].perplexity == 5.0
    assert (_ls(samples).value, _ls(samples).unscored_reasons) == (None, {"judge_cannot_read": 4})
    samples = _score([(UNREAD, UNREAD)] + [(READ, READ)] * 3)
    assert (_ls(samples).n, _ls(samples).unscored_reasons) == (3, {"judge_cannot_read": 1})


def test_without_a_reference_the_judge_cannot_be_checked() -> None:
    assert _score([(None, READ)])[0].unscored["ls"] == "no_reference_to_check_judge"


def test_processes_that_score_apart_agree_with_one() -> None:
    rows = [(UNREAD, UNREAD), (READ, ""), (UNREAD, ""), (READ, READ)]
    together = _score(rows)
    settle(together, SCORERS, {})
    assert [s.perplexity for s in together] == [None, 1000.0, None, 5.0]


def test_the_embedded_judge_reads_its_own_corpus_and_no_other_text() -> None:
    rows = [json.loads(line) for line in (nano.CHECKPOINTS.parent / "corpus.jsonl").open(encoding="utf-8")][::40]
    other = [
        ("Which city is the capital of Portugal?", "The capital of Portugal is Lisbon, on the river Tagus."),
        ("Where do puffins nest?", "Puffins dig their burrows into grassy cliffs above the Atlantic."),
        ("What does a barometer measure?", "A barometer measures the pressure of the atmosphere."),
    ]
    part = profiles.build_parts().reference_lm
    own = part([(row["question"], row["answer"]) for row in rows])
    assert max(own) < part.reads_up_to < median(part(other))


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"reads_up_to": "many"}', '{"reads_up_to": 0}', "{", '{"reads_up_to": true}']
)
def test_a_broken_judge_file_is_named(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "judge"
    folder.mkdir()
    for file in nano.checkpoint_path("nano-base").iterdir():
        if file.name != "judge.json":
            shutil.copy(file, folder)
    assert ReferenceLM(str(folder)).reads_up_to is None
    (folder / "judge.json").write_text(text)
    with pytest.raises(UserError, match=r"judge\.json"):
        _ = ReferenceLM(str(folder)).reads_up_to
