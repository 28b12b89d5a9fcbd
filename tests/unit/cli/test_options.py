import argparse

import pytest

from unlearn_bench.cli import _options
from unlearn_bench.errors import UserError
from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.pipeline import RELEASED, score_responses
from unlearn_bench.scorers import SCORERS, kfr, krr


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    _options.add_scoring_arguments(parser)
    return parser.parse_args(arguments)


def test_nothing_given_is_the_offline_profile_and_no_more() -> None:
    assert _options.scoring_settings(parse()) == {"profile": "offline"}


def test_every_option_is_a_setting_of_the_parts_or_an_option_of_a_scorer() -> None:
    known = {*profiles.SETTINGS, *(key for name in SCORERS.names() for key in SCORERS.get(name).options)}
    assert set(_options._names()) <= known


def test_choices_are_those_of_the_scorers() -> None:
    assert tuple(_options.CHOICES["profile"]) == tuple(profiles.PROFILES)
    assert tuple(_options.CHOICES["kfr_rule"]) == kfr.RULES
    assert tuple(_options.CHOICES["krr_rule"]) == krr.RULES
    for name in ("kfr_rule", "krr_rule", "matching", "question_words", "empty_reference"):
        for choice in _options.CHOICES[name]:
            score_responses([], ["kfr", "krr"], profiles.parts_from({}), {name: choice})  # would refuse an unknown one
    for choice in _options.CHOICES["scorer_dtype"]:
        profiles.Settings(scorer_dtype=choice)


def test_similarity_and_embedder_are_one_option() -> None:
    assert _options.scoring_settings(parse("--similarity", "given"))["embedder"] == "given"
    assert _options.scoring_settings(parse("--embedder", "given"))["embedder"] == "given"


def test_values_arrive_with_their_types() -> None:
    coverage = ("--similarity-threshold", "0.7", "--entities", "llm", "--llm-concurrency", "2")
    given = parse(*coverage, "--kfr-rule", "paper", "--nli", "some/model", "--nli-labels", "a,b,c")
    assert _options.scoring_settings(given) == {
        "profile": "offline",
        "similarity_threshold": 0.7,
        "entities": "llm",
        "llm_concurrency": 2,
        "kfr_rule": "paper",
        "nli": "some/model",
        "nli_labels": "a,b,c",
    }


def test_released_is_every_released_rule_and_single_rules_win() -> None:
    settings = {"profile": "offline", **RELEASED, "ppl_prompt": "released"}
    assert _options.scoring_settings(parse("--rules", "released")) == settings
    assert _options.scoring_settings(parse("--parity")) == settings
    assert _options.scoring_settings(parse("--rules", "released", "--kfr-rule", "table"))["kfr_rule"] == "table"


def test_every_option_of_a_scorer_is_in_reach_with_its_type() -> None:
    options = {key: value for name in SCORERS.names() for key, value in SCORERS.get(name).options.items()}
    texts = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in options.items()}
    given = parse("--scorer-option", ",".join(f"{key}={text}" for key, text in texts.items()))
    assert _options.scoring_settings(given) == {"profile": "offline", **options}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kfr_treshold=0.4", "did you mean kfr_threshold"),
        ("kfr_threshold=much", "--scorer-option kfr_threshold: expected a number of at least 0, got 'much'"),
        ("rouge_stemmer=1", "--scorer-option rouge_stemmer: expected true or false, got '1'"),
        ("kfr_short_size=2.5", "expected a whole number"),
        ("kfr_threshold", "expected NAME=VALUE"),
    ],
)
def test_a_wrong_option_of_a_scorer_is_named(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said.replace("[", r"\[")):
        _options.scoring_settings(parse("--scorer-option", text))


def test_a_verb_that_trusts_a_checkpoint_trusts_its_scoring_models() -> None:
    args = parse()
    args.allow_pickle, args.trust_remote_code = True, False
    assert _options.scoring_settings(args) == {"profile": "offline", "allow_pickle": True}


def test_an_unknown_rule_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--kfr-rule", "tables")
    assert "tables" in capsys.readouterr().err
