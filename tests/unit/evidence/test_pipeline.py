"""The pipeline with fakes: each part once, failures counted, splits and parity respected."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from unlearn_bench.errors import UserError
from unlearn_bench.evidence.pipeline import RELEASED, GivenPart, aggregate, resolve, score_responses, settle
from unlearn_bench.schema import Given, Response, Sample
from unlearn_bench.scorers.base import Inference, Parts, Unscored

ALL = ["kfr", "krr", "kfr_fluent", "fluency", "ls", "rouge", "root_ttr"]


class Capitals:
    """Entities are the capitalised words; a text with the word BROKEN cannot be read."""

    name = fingerprint = "capitals"

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> list[list[str] | Unscored]:
        self.calls.append(list(texts))
        return [
            Unscored("unreadable") if "BROKEN" in t else [w.strip(".?") for w in t.split() if w[0].isupper()]
            for t in texts
        ]


class Equal:
    name = fingerprint = "equal"
    threshold = 0.8

    def __init__(self) -> None:
        self.calls: list[list[tuple[list[str], list[str]]]] = []

    def __call__(self, pairs: Sequence[tuple[list[str], list[str]]]) -> list[np.ndarray]:
        self.calls.append(list(pairs))
        return [np.array([[float(r == g) for g in right] for r in left]) for left, right in pairs]


class Verdicts:
    """Contradiction where the texts differ in a "not"."""

    name = fingerprint = "verdicts"

    def __init__(self, fail: bool = False) -> None:
        self.fail = fail
        self.calls: list[list[tuple[str, str]]] = []

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[Inference | Unscored]:
        self.calls.append(list(pairs))
        if self.fail:
            return [Unscored("nan_logits") for _ in pairs]
        return [Inference("contradiction" if ("not" in p) != ("not" in h) else "neutral", 0.9) for p, h in pairs]


class Length:
    """Perplexity is the number of characters; NaN for a text with the word NAN."""

    name = fingerprint = "length"

    def __init__(self) -> None:
        self.calls: list[list[tuple[str, str]]] = []

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float | Unscored]:
        self.calls.append(list(pairs))
        return [math.nan if "NAN" in r else float(len(r)) for _, r in pairs]


def _parts(**change: object) -> Parts:
    parts = {"entities": Capitals(), "similarity": Equal(), "nli": Verdicts(), "reference_lm": Length(), **change}
    return Parts("test", **parts)


def _response(
    response: str, split: str = "forget", reference: str | None = "He lives in Oslo.", **more: object
) -> Response:
    question = "Where does he live?"
    return Response(id=response[:9] + split, task="t", split=split, question=question, reference=reference,
                    response=response, **more)  # fmt: skip


def _one(response: Response, parts: Parts | None = None, **options: object) -> Sample:
    return score_responses([response], ALL, parts or _parts(), options)[0]


def test_each_part_is_called_once_over_distinct_inputs() -> None:
    parts = _parts()
    score_responses([_response("In Oslo."), _response("In Rome."), _response("In Oslo.")], ALL, parts, {})
    assert parts.entities.calls == [["He lives in Oslo.", "In Oslo.", "In Rome."]]
    assert [len(part.calls) for part in (parts.similarity, parts.nli, parts.reference_lm)] == [1, 1, 1]
    assert len(parts.nli.calls[0]) == 2
    assert len(parts.reference_lm.calls[0]) == 2


def test_only_the_evidence_that_scorers_need_is_gathered() -> None:
    parts = _parts()
    score_responses([_response("In Oslo.")], ["rouge", "fluency"], parts, {})
    assert [p.calls for p in (parts.entities, parts.similarity, parts.nli, parts.reference_lm)] == [[], [], [], []]


def test_inference_runs_from_answer_to_reference_on_forget_and_back_on_retain() -> None:
    parts = _parts()
    score_responses([_response("In Rome."), _response("In Oslo.", "retain")], ["kfr", "krr"], parts, {})
    assert parts.nli.calls == [[("In Rome.", "He lives in Oslo."), ("He lives in Oslo.", "In Oslo.")]]


def test_scores_of_a_forget_and_a_retain_sample() -> None:
    forgot = _one(_response("In Rome."))
    assert (forgot.scores["kfr"], "krr" in forgot.scores) == (1.0, False)
    kept = _one(_response("He lives in Oslo.", "retain"))
    assert (kept.scores["krr"], "kfr" in kept.scores) == (1.0, False)
    assert (kept.coverage, kept.nli_label, kept.perplexity) == (1.0, "neutral", 17.0)


def test_an_empty_answer_forgets_and_makes_the_linguistic_score_worse() -> None:
    good = [_response(f"He lives in a house by the sea, number {i}.") for i in range(5)]
    alone = aggregate(score_responses(good, ALL, _parts(), {}), ALL, {}, resamples=50)
    samples = score_responses([*good, _response("")], ALL, _parts(), {})
    empty = samples[-1]
    assert (empty.empty, empty.degenerate, empty.scores["kfr"], empty.scores["kfr_fluent"]) == (True, "empty", 1.0, 0.0)
    assert (empty.perplexity, empty.scores["ls"], empty.scores["fluency"]) == (1000.0, 0.0, 0.0)
    both = aggregate(samples, ALL, {}, resamples=50)
    assert both["ls"].value < alone["ls"].value / 2
    assert (both["empty"].value, both["degenerate"].value) == (pytest.approx(1 / 6), pytest.approx(1 / 6))


def test_parity_mode_drops_the_perplexity_of_empty_answers_as_the_released_code_does() -> None:
    samples = score_responses([_response("He lives in Oslo."), _response("")], ALL, _parts(), RELEASED)
    assert samples[1].unscored["perplexity"] == "empty_response"
    found = aggregate(samples, ALL, RELEASED, resamples=50)
    assert (found["perplexity"].value, found["perplexity"].n) == (17.0, 1)
    assert found["brunet_index"].n == 2  # BI 1000 and HS 0 of the empty answer stay in their means
    assert found["ls"].unscored_reasons == {"empty_response": 1}


def test_a_reference_without_entities_is_unscored_by_default_and_forgotten_in_parity_mode() -> None:
    plain = _response("In Oslo.", reference="nobody knows")
    assert _one(plain).unscored["kfr"] == "reference_has_no_entities"
    assert _one(plain, **RELEASED).scores["kfr"] == 1.0


def test_an_answer_that_was_not_given_is_unscored_and_never_forgotten() -> None:
    reason = "no_answer_from_server: timeout"
    parts = _parts()
    samples = score_responses([_response("In Rome."), _response("", missing=reason), _response("")], ALL, parts, {})
    answered, missing, empty = samples
    assert (missing.scores, missing.empty, missing.degenerate, missing.coverage) == ({}, False, None, None)
    assert set(missing.unscored.values()) == {reason}
    assert (answered.scores["kfr"], empty.scores["kfr"]) == (1.0, 1.0)
    numbers = aggregate(samples, ALL, {}, resamples=50)
    assert {name for name, n in numbers.items() if n.unscored_reasons.get(reason) == 1} == set(numbers) - {"krr"}
    assert numbers["kfr"].n == 2
    assert numbers["empty"].value == 0.5  # one of the two answers that were given


def test_failures_of_a_part_cost_the_item_and_are_counted() -> None:
    answers = [_response("In Rome."), _response("BROKEN"), _response("NAN Oslo")]
    samples = score_responses(answers, ALL, _parts(nli=Verdicts(fail=True)), {})
    assert samples[0].scores["kfr"] == 1.0  # coverage decided alone
    assert samples[1].unscored["kfr"] == "unreadable"
    assert samples[2].unscored["kfr"] == "nan_logits"  # covered: inference would have decided
    assert samples[2].unscored["ls"] == "perplexity_not_finite"
    found = aggregate(samples, ALL, {}, resamples=50)
    assert (found["kfr"].value, found["kfr"].n, found["kfr"].unscored) == (1.0, 1, 2)
    assert found["kfr"].unscored_reasons == {"nan_logits": 1, "unreadable": 1}
    assert (found["nli_contradiction"].value, found["nli_contradiction"].unscored) == (None, 3)


@pytest.mark.parametrize(
    ("part", "metric", "reason"),
    [
        ("entities", "kfr", "no_entity_extractor"),
        ("similarity", "kfr", "no_similarity"),
        ("reference_lm", "ls", "no_reference_lm"),
    ],
)
def test_a_part_that_the_profile_does_not_have(part: str, metric: str, reason: str) -> None:
    assert _one(_response("In Oslo."), _parts(**{part: None})).unscored[metric] == reason


def test_a_missing_reference_and_a_missing_inference_part() -> None:
    assert _one(_response("In Oslo.", reference=None)).unscored["kfr"] == "no_reference"
    assert _one(_response("In Oslo."), _parts(nli=None)).unscored["kfr"] == "no_nli"


def test_given_evidence_is_used_where_the_parts_say_so() -> None:
    given = Given(
        entities_reference=["Oslo"], entities_response=["Rome"], coverage=0.0, nli_label="entailment", perplexity=7.0
    )
    parts = Parts("given", GivenPart(), GivenPart(), GivenPart(), GivenPart())
    sample = _one(_response("In Rome.", given=given), parts)
    assert (sample.scores["kfr"], sample.perplexity, sample.nli_label) == (1.0, 7.0, "entailment")
    assert _one(_response("In Rome."), parts).unscored["kfr"] == "no_entities_given"
    # and ignored where they do not
    assert _one(_response("In Rome.", given=given)).perplexity == 8.0


def test_released_matching_counts_pairs() -> None:
    twice = _response("Oslo and Oslo")
    parts = _parts(similarity=Equal())
    released = _one(twice, parts, matching="released", question_words="keep")
    assert released.coverage == 1.0  # He, Oslo against Oslo, Oslo: two pairs of two
    assert _one(twice, question_words="keep").coverage == 0.5


def test_metric_names_resolve_to_their_scorers_and_unknown_ones_get_a_suggestion() -> None:
    assert resolve(["ls", "kfr", "linguistic_score"]) == ["linguistic_score", "kfr"]
    with pytest.raises(UserError, match="unknown metric 'kfrr'"):
        resolve(["kfrr"])


def test_unknown_options_and_values_are_refused() -> None:
    with pytest.raises(UserError, match="kfr_rule"):
        _one(_response("a"), kfr_rul="table")
    with pytest.raises(UserError, match="one_to_one or released"):
        _one(_response("In Oslo."), matching="all")


def test_aggregates_of_no_samples_are_undefined_not_zero() -> None:
    found = aggregate([], ALL, {})
    assert found["kfr"].value is None
    assert (found["kfr"].n, found["kfr"].ci95) == (0, None)


def test_intervals_are_over_clusters_where_the_data_names_them() -> None:
    answers = [
        _response(f"He lives in {'Rome' if i % 3 else 'Oslo'}{' today' * (i % 5)}.", cluster=f"author {i // 4}")
        for i in range(24)
    ]
    found = aggregate(score_responses(answers, ALL, _parts(), {}), ALL, {}, resamples=200)
    assert found["kfr"].ci_method == "cluster_wilson"
    assert {found[n].ci_method for n in ("fluency", "ls", "rougeL_recall", "coverage")} == {"cluster_bootstrap"}
    plain = [a.model_copy(update={"cluster": None}) for a in answers]
    found = aggregate(score_responses(plain, ALL, _parts(), {}), ALL, {}, resamples=200)
    assert (found["kfr"].ci_method, found["ls"].ci_method) == ("wilson", "bootstrap")
    low, high = found["ls"].ci95
    assert low < found["ls"].value < high


def test_the_order_of_metrics_and_repetition_do_not_move_a_number() -> None:
    answers = [_response(f"He lives in house {i} in Oslo.") for i in range(8)]
    samples = score_responses(answers, ALL, _parts(), {})
    first = aggregate(samples, ALL, {}, resamples=300)
    assert aggregate(samples, ALL[::-1], {}, resamples=300) == first
    assert aggregate(samples, ALL, {}, resamples=300, only={"ls"}) == {"ls": first["ls"]}


def test_samples_of_several_processes_settle_to_those_of_one():
    class Lengths:
        name = fingerprint = "lengths"

        def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
            return [1000.0 * len(response) for _, response in pairs]

    answers = ["", "Ada", "", "Ada Lima", "Bob"]
    responses = [_response(text) for text in answers]
    parts, scorers = Parts("fake", reference_lm=Lengths()), ["ls", "perplexity"]
    together = score_responses(responses, scorers, parts, {})
    apart = [s for shard in (responses[:3], responses[3:]) for s in score_responses(shard, scorers, parts, {})]
    assert apart != together, "the worst answer is in the second shard: without it the test says nothing"
    settle(apart, scorers, {})
    assert apart == together
    assert together[0].perplexity == 8000.0


@pytest.mark.parametrize(
    ("split", "rouge", "contradiction"),
    [("forget", False, True), ("retain", True, False), ("neighbour", True, False), ("world", True, False)],
)
def test_the_better_direction_is_that_of_the_role(split: str, rouge: bool, contradiction: bool) -> None:
    sample = Sample(id="a", task="t", split=split, question="?", reference="Oslo.", response="Oslo.", coverage=1.0,
                    nli_label="entailment", scores={"rouge1_recall": 1.0, "rougeL_recall": 1.0})  # fmt: skip
    found = {name: m.higher_is_better for name, m in aggregate([sample] * 2, ["rouge", "kfr"], {}).items()}
    assert (found["rouge1_recall"], found["rougeL_recall"], found["coverage"]) == (rouge, rouge, rouge)
    assert found["nli_contradiction"] is contradiction
    assert (found["empty"], found["degenerate"]) == (False, False)


def test_a_task_of_several_roles_gives_a_role_dependent_metric_no_direction() -> None:
    samples = [Sample(id=split, task="t", split=split, question="?", reference="Oslo.", response="Oslo.",
                      scores={"rougeL_recall": 1.0}) for split in ("forget", "retain")]  # fmt: skip
    assert aggregate(samples, ["rouge"], {})["rougeL_recall"].higher_is_better is None
