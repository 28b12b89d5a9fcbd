"""Profiles choose parts, load nothing early, replace nothing silently, and leave a fingerprint."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.models import test_nli, test_reference_lm
from unlearn_bench import nano
from unlearn_bench.errors import UserError
from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.parts import make_parts
from unlearn_bench.evidence.pipeline import score_responses
from unlearn_bench.evidence.versions import SHARED_RULES
from unlearn_bench.schema import Given, Response
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import Unscored
from unlearn_bench.text.tokenize import tokenizer


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    make_parts.cache_clear()
    yield
    make_parts.cache_clear()


@pytest.fixture(scope="module")
def nli_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return test_nli.make(tmp_path_factory.mktemp("nli"), id2label=test_nli.UPPER)


@pytest.fixture(scope="module")
def lm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return test_reference_lm.make(tmp_path_factory.mktemp("lm"))


def response(answer: str = "w1 w2") -> Response:
    return Response(
        id="1",
        task="t",
        split="forget",
        question="Where was Ann born?",
        reference="Ann was born in Oslo.",
        response=answer,
    )


def test_offline_needs_no_model_and_no_torch() -> None:
    code = (
        "import sys; from unlearn_bench.evidence import profiles as p\n"
        "parts = p.build_parts('offline')\n"
        "print(sorted(p.scorer_info(parts, ['kfr', 'krr', 'rouge']).parts.items()), 'torch' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert shown == "[('agreement', 'rules'), ('entities', 'rules'), ('nli', 'rules'), ('similarity', 'lexical')] False"


def test_what_the_profiles_choose() -> None:
    chosen = {
        name: [
            profiles.Settings(profile=name).choice(part)
            for part in ("entities", "embedder", "nli", "agreement", "ppl_model")
        ]
        for name in profiles.PROFILES
    }
    minilm, deberta = "sentence-transformers/all-MiniLM-L12-v2", "tasksource/deberta-v3-base-tasksource-nli"
    assert chosen == {
        "offline": ["rules", "lexical", "rules", "rules", "nano-base"],
        "standard": ["rules", minilm, deberta, "none", None],
        "paper": ["llm", minilm, deberta, "none", None],
    }


@pytest.mark.parametrize(
    ("profile", "scorer", "message", "way_out"),
    [
        ("standard", "perplexity", "a model that you name, and none is named", "--ppl-model"),
        ("standard", "linguistic_score", "a model that you name", "--profile offline"),
        ("standard", "kfr", "neither a folder here nor can it be downloaded", "--similarity lexical"),
        ("paper", "kfr", "finds entities with a language model, and none is named", "--entities rules"),
    ],
)
def test_what_cannot_be_had_stops_the_run(profile: str, scorer: str, message: str, way_out: str) -> None:
    parts = profiles.build_parts(profile)  # nothing is looked for yet
    for attempt in (profiles.require, profiles.scorer_info):
        with pytest.raises(UserError, match=message) as caught:
            attempt(parts, [scorer])
        assert way_out in caught.value.hint


def test_a_scorer_that_needs_no_model_asks_for_none() -> None:
    parts = profiles.build_parts("paper")
    profiles.require(parts, ["rouge", "root_ttr"])
    assert profiles.scorer_info(parts, ["rouge"]).parts == {}
    words = profiles.scorer_info(parts, ["rouge", "root_ttr"]).parts  # which tokenizer counted the words is named
    assert words == {"words": tokenizer().source}
    (sample,) = score_responses([response()], ["rouge"], parts, {})
    assert "rougeL_recall" in sample.scores


def test_a_missing_embedded_model_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nano, "checkpoint_path", lambda _name: None)
    with pytest.raises(UserError, match="nano-base is not in this installation"):
        profiles.require(profiles.build_parts("offline"), ["perplexity"])


def test_an_embedded_model_by_name(monkeypatch: pytest.MonkeyPatch, lm_folder: Path) -> None:
    monkeypatch.setattr(nano, "checkpoint_path", lambda name: lm_folder if name == "nano-base" else None)
    parts = profiles.build_parts("offline")
    assert profiles.scorer_info(parts, ["perplexity"]).parts == {"reference_lm": "nano-base"}
    assert isinstance(parts.reference_lm([("Who?", "Nobody")])[0], float)


@pytest.mark.parametrize("settings", [{"entities": "spacy"}, {"profile": "ofline"}, {"scorer_dtype": "float8"}])
def test_unknown_values_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(UserError, match="unknown"):
        profiles.require(profiles.parts_from(settings), ["kfr"])


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(UserError, match="'ppl_modle'") as caught:
        profiles.build_parts(ppl_modle="x")
    assert caught.value.hint.startswith("did you mean ppl_model")
    with pytest.raises(UserError, match="at least 1"):
        profiles.build_parts(scorer_batch_size=0)


def test_each_part_by_itself(nli_folder: Path, lm_folder: Path) -> None:
    parts = profiles.build_parts(
        "paper", entities="rules", embedder="lexical", nli=str(nli_folder), ppl_model=str(lm_folder)
    )
    info = profiles.scorer_info(parts, ["kfr", "perplexity"])
    assert info.profile == "paper"
    assert info.parts == {
        "entities": "rules",
        "similarity": "lexical",
        "nli": nli_folder.name,  # no path of this machine
        "reference_lm": lm_folder.name,
    }
    (sample,) = score_responses([response()], ["kfr", "perplexity"], parts, {})
    assert sample.nli_label in ("entailment", "neutral", "contradiction")
    assert sample.perplexity > 1
    assert parts.reference_lm([("Who?", ""), ("Who?", "I")])[0] == Unscored("empty_response")


def test_labels_as_text_or_list(tmp_path: Path) -> None:
    nameless = test_nli.make(tmp_path)
    for labels in ("contradiction, entailment, neutral", ["contradiction", "entailment", "neutral"]):
        parts = profiles.build_parts("offline", nli=str(nameless), nli_labels=labels)
        profiles.require(parts, ["kfr"])
    with pytest.raises(UserError, match="LABEL_0"):
        profiles.require(profiles.build_parts("offline", nli=str(nameless)), ["kfr"])


def test_equal_settings_share_their_models(nli_folder: Path) -> None:
    one = profiles.build_parts("offline", nli=str(nli_folder))
    assert profiles.parts_from({"nli": str(nli_folder)}) is one
    assert profiles.parts_from({"nli": "rules"}) is not one


def test_given_parts_use_what_came_with_the_response() -> None:
    parts = profiles.build_parts(entities="given", embedder="given", nli="given", ppl_model="given")
    given = Given(
        entities_reference=["Oslo"],
        entities_response=[],
        coverage=0.0,
        nli_label="neutral",
        nli_probability=0.9,
        perplexity=7.0,
    )
    scorers = ["kfr", "perplexity"]
    full, bare = score_responses([response().model_copy(update={"given": given}), response()], scorers, parts, {})
    assert (full.coverage, full.nli_label, full.perplexity, full.scores["kfr"]) == (0.0, "neutral", 7.0, 1.0)
    assert {"kfr", "perplexity"} <= set(bare.unscored)
    assert set(profiles.scorer_info(parts, scorers).parts.values()) == {"given"}


def test_the_fingerprint_follows_what_can_change_a_score(nli_folder: Path) -> None:
    def fingerprint(
        scorers: tuple[str, ...] = ("kfr",), options: dict[str, object] | None = None, **settings: object
    ) -> str:
        return profiles.scorer_info(profiles.build_parts(**settings), scorers, options).fingerprint

    same = fingerprint()
    assert fingerprint(options={"kfr_rule": "agreement"}) == same  # the default, spelt out
    assert fingerprint(scorers=("krr",)) != same
    assert fingerprint(options={"kfr_rule": "table"}) != same
    assert fingerprint(options={"kfr_rule": "paper"}) != same
    by_coverage = fingerprint(agreement="none")
    assert by_coverage != same
    assert fingerprint(options={"krr_rule": "released"}) == same  # an option of another scorer
    assert fingerprint(options={"matching": "released"}) != same
    assert fingerprint(nli=str(nli_folder)) != same
    assert fingerprint(similarity_threshold=0.7) not in (same, by_coverage)
    # another profile that chooses the same parts scores the same; parts that are not asked for do not count
    assert fingerprint(profile="standard", embedder="lexical", nli="rules") == by_coverage
    assert fingerprint(ppl_model="anything") == same
    assert fingerprint(nli=str(nli_folder), scorer_batch_size=3) == fingerprint(nli=str(nli_folder))


def test_chosen_parts_make_the_scores_unless_agreement_is_chosen_too(nli_folder: Path) -> None:
    nli = str(nli_folder)
    for settings, agreement in (({}, True), ({"nli": nli}, False), ({"nli": nli, "agreement": "rules"}, True)):
        parts = profiles.build_parts(**settings)
        assert (parts.agreement is not None) is agreement
        needs = profiles.recipes(["kfr"], parts, {})["kfr"]
        assert needs["options"]["kfr_rule"] == ("agreement" if agreement else "table")
        assert ("nli" in needs["parts"]) is not agreement
    with pytest.raises(UserError, match="'rule'") as caught:
        profiles.require(profiles.build_parts(agreement="rule"), ["kfr"])
    assert caught.value.hint.startswith("did you mean rules")


def test_metric_names_do_as_well() -> None:
    parts = profiles.build_parts(ppl_model="given")
    assert profiles.scorer_info(parts, ["ls"]) == profiles.scorer_info(parts, ["linguistic_score"])


def test_a_metric_depends_on_its_own_versions_and_settings_only(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = profiles.build_parts()
    alone, beside = (profiles.scorer_info(parts, names) for names in (["kfr"], ["kfr", "rouge", "fluency"]))
    assert alone.metrics["kfr"] == beside.metrics["kfr"]  # a further scorer in the task changes nothing
    raised = replace(SCORERS.get("rouge"), version=99)
    monkeypatch.setattr(SCORERS.module("rouge"), "SCORER", raised)
    after = profiles.scorer_info(parts, ["kfr", "rouge", "fluency"])
    moved = {name for name in after.metrics if after.metrics[name] != beside.metrics[name]}
    assert moved == {"rouge1_recall", "rougeL_recall", "rougeL_recall_thinking"}
    monkeypatch.setattr(SCORERS.module("fluency"), "SCORER", replace(SCORERS.get("fluency"), version=99))
    used_by = profiles.scorer_info(parts, ["kfr", "kfr_fluent"]).metrics  # kfr_fluent uses fluency, kfr does not
    before = beside.metrics["kfr"]
    assert used_by["kfr"] == before
    assert used_by["kfr_fluent"] != profiles.scorer_info(parts, ["kfr"]).metrics["kfr"]


def test_every_shared_name_is_known() -> None:
    for name in SCORERS.names():
        for used in SCORERS.get(name).uses:
            assert used in SCORERS.names() or used in SHARED_RULES, (name, used)
