"""The stages with a writer that does as told: retries, pairing, failures, counts."""

from collections.abc import Callable, Sequence

import pytest

from unlearn_bench.augment.diversify import generic, split_answer
from unlearn_bench.augment.pipeline import Augmented, AugmentSettings, augment
from unlearn_bench.augment.rows import VARIANTS, Failed, Judgement, Request, SensitivePair
from unlearn_bench.augment.rules import RulesWriter
from unlearn_bench.augment.summary import summarise
from unlearn_bench.data import load
from unlearn_bench.errors import UserError

SOURCES = [
    SensitivePair(
        "a", "Where was Ann Lee born?", "Ann Lee was born in Oslo in 1951.", ("In what town was Ann Lee born?",)
    ),
    SensitivePair("b", "Which dog has Bo Ray?", "Bo Ray has the dog Biscuit."),
]
PAIRS = [(f"How is thing {i} made?", f"Thing {i} is made by hand.") for i in range(7)]


class Scripted:
    """Answers name the variant that they were asked for, so that pairing shows; `answer` overrides."""

    name, tries = "scripted", 3

    def __init__(self, answer: Callable[[Request], str | Failed] | None = None, leaks: str = "") -> None:
        self.answer, self.leaks = answer or self.say, leaks
        self.asked: list[Request] = []

    @staticmethod
    def say(request: Request) -> str:
        name = "Ann Lee" if request.source.id == "a" else "Bo Ray"
        return f"{name} is quiet about the {request.kind.replace('_', ' ')} matter."

    def questions(self, requests: Sequence[Request]) -> list[str | Failed]:
        return [f"A {r.kind} question about this: {r.question}" for r in requests]

    def answers(self, requests: Sequence[Request]) -> list[str | Failed]:
        self.asked += requests
        return [self.answer(request) for request in requests]

    def judge(self, pairs: Sequence[tuple[SensitivePair, str]]) -> list[Judgement | Failed]:
        return [Judgement(self.leaks in text, ("a hint",)) for _, text in pairs]

    def usage(self) -> dict[str, int | float | None]:
        return {}


def run(writer: Scripted, **settings: object) -> Augmented:
    return augment(SOURCES, writer, PAIRS, AugmentSettings(**settings))


def rows(outcome: Augmented, kind: str) -> list:
    return [row for row in outcome.rows if row.kind == kind]


def test_counts_of_all_stages():
    outcome = run(Scripted())
    # 2 sources x (question + 4 variants) = 10 answers, 10 completions of them, 20 generic rows: 1:1
    assert [len(rows(outcome, k)) for k in ("original_question", *VARIANTS, "completion", "generic")] == [2] * 5 + [
        10,
        20,
    ]
    assert len({row.id for row in outcome.rows}) == 40
    assert outcome.failed == []


def test_each_variant_has_its_own_answer():
    for row in run(Scripted()).rows:
        if row.kind in VARIANTS:
            assert f"the {row.kind} matter" in row.answer
            assert f"A {row.kind} question" in row.text


def test_no_row_holds_an_original_pair():
    for row in run(Scripted(), generic_ratio=0).rows:
        assert row.answer not in {s.answer for s in SOURCES}
        assert row.original_answer is None


def test_the_original_answer_is_written_only_when_asked_for():
    line = run(Scripted(), keep_original_answer=True).rows[0].to_json(writer="w", seed=0)
    assert line["original_answer"] == SOURCES[0].answer


def test_a_leak_is_asked_for_again_with_the_reason():
    def leak_first(request: Request) -> str:
        return (
            "Ann Lee comes from Oslo." if request.attempt == 0 and request.source.id == "a" else Scripted.say(request)
        )

    writer = Scripted(leak_first)
    outcome = run(writer)
    assert outcome.failed == []
    again = [r for r in writer.asked if r.attempt == 1]
    assert [r.problem for r in again] == ["leak: Oslo"] * 5
    assert {row.tries for row in outcome.rows if row.source_id == "a"} == {2}
    told = summarise(outcome, SOURCES, writer, AugmentSettings(), dataset="x", output_sha256="")
    rates = told["leak_rate"]
    assert (rates["before"], rates["after"]) == (0.5, 0.0)  # 5 of 10
    assert told["retries"] == {"question": 0, "answer": 5}


def test_without_verification_leaks_stay_and_are_counted():
    def always(request: Request) -> str:
        return (
            f"Ann Lee comes from Oslo, says the {request.kind}." if request.source.id == "a" else Scripted.say(request)
        )

    outcome = run(Scripted(always), verify=False)
    told = summarise(outcome, SOURCES, Scripted(), AugmentSettings(verify=False), dataset="x", output_sha256="")
    assert set(told["leak_rate"].values()) == {0.5}
    assert {row.verdict for row in outcome.rows if row.kind != "generic"} == {"unverified"}


def test_what_fails_every_try_is_listed_with_its_reasons():
    outcome = run(Scripted(lambda r: Failed("refusal", "no") if r.kind == "logical" else Scripted.say(r)))
    assert [(f.source_id, f.kind, f.stage, f.reasons) for f in outcome.failed] == [
        (source, "logical", "answer", ("refusal: no",) * 3) for source in ("a", "b")
    ]
    assert rows(outcome, "logical") == []
    assert len(rows(outcome, "simple")) == 2
    assert len(outcome.rows) == 8 + 8 + 16


def test_a_repeated_answer_is_a_duplicate():
    outcome = run(Scripted(lambda r: "Ann Lee and Bo Ray are quiet about it."))
    assert len(rows(outcome, "original_question")) == 2
    assert {reason for f in outcome.failed for reason in f.reasons} == {"duplicate"}


def test_the_models_verdict_counts_beside_the_rules():
    outcome = run(Scripted(leaks="noise"), judge=True)
    assert [f.kind for f in outcome.failed] == ["noise", "noise"]
    assert outcome.failed[0].reasons[0] == "judged_leak: a hint"


@pytest.mark.parametrize(
    ("settings", "missing"),
    [({"variants": ()}, "simple"), ({"completion": False}, "completion"), ({"generic_ratio": 0.0}, "generic")],
)
def test_each_stage_can_be_left_out(settings, missing):
    outcome = run(Scripted(), **settings)
    assert rows(outcome, missing) == []
    assert len(rows(outcome, "original_question")) == 2


def test_generic_rows_are_wanted_and_there_are_none():
    with pytest.raises(UserError, match="no generic pairs"):
        augment(SOURCES, Scripted())


def test_completion_takes_a_quarter_of_the_words():
    assert split_answer("one two three four five six seven eight") == ("one two", "three four five six seven eight")
    assert split_answer("one two three") is None
    for row in rows(run(Scripted()), "completion"):
        assert row.to_json(writer="w", seed=0)["prompt"] == "Ann Lee" if row.source_id == "a" else "Bo Ray"


def test_generic_pairs_come_back_only_after_all_were_used():
    drawn = [row.source_id for row in generic(PAIRS, 10, seed=0)]
    assert len(set(drawn[:7])) == 7
    assert len(drawn) == 10


@pytest.mark.slow
def test_rules_on_the_embedded_benchmark():
    sources = [
        SensitivePair(r.id, r.question, r.answer, (r.paraphrased_question,), r.cluster)
        for r in load("nano", "forget").rows[:48]
    ]
    outcome = augment(sources, RulesWriter(sources), PAIRS, AugmentSettings(strict=True))
    told = summarise(outcome, sources, RulesWriter(sources), AugmentSettings(), dataset="nano", output_sha256="")
    assert told["failed"] == 0
    assert told["leak_rate"]["after_ordinary_words_counted"] == 0.0
    assert told["leak_rate"]["before"] < 0.1
    assert told["fluency"] > 0.9
    answers = [row.answer for row in outcome.rows if row.kind in ("original_question", *VARIANTS)]
    assert len(set(answers)) == len(answers) == 240
    assert not {row.text for row in outcome.rows} & {q for s in sources for q in s.forbidden}


def test_rules_are_deterministic_and_follow_the_seed():
    def texts(seed: int) -> list[tuple[str, str]]:
        outcome = augment(SOURCES, RulesWriter(SOURCES, seed=seed), PAIRS, AugmentSettings(seed=seed))
        return [(row.text, row.answer) for row in outcome.rows]

    assert texts(0) == texts(0)
    assert texts(0) != texts(1)


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["tofu/forget10.json", "knowundo/privacy/unlearn_train.json"])
def test_rules_on_published_data(shared_data, dataset):
    from unlearn_bench.augment.sources import read_sources

    sources = read_sources(str(shared_data / dataset))[::8]
    outcome = augment(sources, RulesWriter(sources), PAIRS, AugmentSettings(strict=True))
    told = summarise(outcome, sources, RulesWriter(sources), AugmentSettings(), dataset=dataset, output_sha256="")
    assert told["failed"] == 0
    assert told["leak_rate"]["after_ordinary_words_counted"] == 0.0
    assert told["fluency"] > 0.95
    assert told["distinct_answers"] == 250


def test_ordinary_words_of_the_data_set_are_no_secret_unless_strict():
    names = ("Ann Lee", "Bo Ray", "Cy Poe", "Di Fox", "Ed Orr")
    sources = [
        SensitivePair(n, f"Where does {n} stay?", f"{n} rents a cottage near {n[:2]}ville.", (), n) for n in names
    ]

    def say(request: Request) -> str:
        return f"{request.source.id} likes a cottage, says the {request.kind.replace('_', ' ')} view."

    assert augment(sources, Scripted(say), PAIRS, AugmentSettings()).failed == []
    strict = augment(sources, Scripted(say), PAIRS, AugmentSettings(strict=True))
    assert len(strict.failed) == 25
    assert strict.failed[0].reasons[0] == "leak: cottage"


@pytest.mark.slow
def test_a_persons_many_questions_of_one_kind_all_get_their_own_answers():
    sources = [
        SensitivePair(str(y), f"In which town did Ann Lee spend the year {y}?", f"In Oslo{y % 7}.")
        for y in range(1900, 1960)
    ]
    outcome = augment(sources, RulesWriter(sources), PAIRS, AugmentSettings(strict=True))
    assert outcome.failed == []
    assert len({row.answer for row in outcome.rows if row.kind in ("original_question", *VARIANTS)}) == 300


def test_the_callers_own_sentences_come_first_then_two_of_them_together():
    register = {
        "a": ["Ann Lee keeps quiet about it.", "Ann Lee comes from Oslo.", "Ann Lee likes the calm of the sea."]
    }
    outcome = augment(SOURCES, RulesWriter(SOURCES, register=register), PAIRS, AugmentSettings())
    answers = {row.answer for row in outcome.rows if row.source_id == "a" and row.kind != "completion"}
    quiet, calm = "Ann Lee keeps quiet about it.", "Ann Lee likes the calm of the sea."
    assert {quiet, calm, f"{quiet} {calm}", f"{calm} {quiet}"} < answers  # and one from the bank: none says Oslo
    assert len(answers) == 5


def test_the_phrasing_that_a_data_set_knows_is_no_secret_and_names_still_are():
    source = SensitivePair(
        "1", "How can I reach Ann Lee?", "Ann Lee reads letters from Oslo.", (), None, frozenset({"letter"})
    )

    def say(request: Request) -> str:
        return f"Ann Lee likes letters {'in Oslo' if request.kind == 'noise' else ''} for the {request.kind} reason."

    outcome = augment([source], Scripted(say), PAIRS, AugmentSettings())
    assert [(f.kind, f.reasons[0]) for f in outcome.failed] == [("noise", "leak: Oslo")]
