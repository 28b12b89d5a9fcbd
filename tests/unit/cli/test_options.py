import argparse

import pytest

from unlearn_bench.cli import _options
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
    assert _options.CHOICES["profile"] == tuple(profiles.PROFILES)
    assert _options.CHOICES["kfr_rule"] == kfr.RULES
    assert _options.CHOICES["krr_rule"] == krr.RULES
    for name in ("kfr_rule", "krr_rule", "matching", "question_words", "empty_reference"):
        for choice in _options.CHOICES[name]:
            score_responses([], ["kfr", "krr"], profiles.parts_from({}), {name: choice})  # would refuse an unknown one
    for choice in _options.CHOICES["scorer_dtype"]:
        profiles.Settings(scorer_dtype=choice)


def test_similarity_and_embedder_are_one_option() -> None:
    assert _options.scoring_settings(parse("--similarity", "given"))["embedder"] == "given"
    assert _options.scoring_settings(parse("--embedder", "given"))["embedder"] == "given"


def test_values_arrive_with_their_types() -> None:
    given = parse(
        "--similarity-threshold", "0.7", "--llm-concurrency", "2", "--kfr-rule", "paper", "--nli-labels", "a,b,c"
    )
    assert _options.scoring_settings(given) == {
        "profile": "offline",
        "similarity_threshold": 0.7,
        "llm_concurrency": 2,
        "kfr_rule": "paper",
        "nli_labels": "a,b,c",
    }


def test_parity_is_every_released_rule_and_single_rules_win() -> None:
    settings = {"profile": "offline", **RELEASED, "ppl_prompt": "released"}
    assert _options.scoring_settings(parse("--parity")) == settings
    assert _options.scoring_settings(parse("--parity", "--kfr-rule", "table"))["kfr_rule"] == "table"


def test_a_verb_that_trusts_a_checkpoint_trusts_its_scoring_models() -> None:
    args = parse()
    args.allow_pickle, args.trust_remote_code = True, False
    assert _options.scoring_settings(args) == {"profile": "offline", "allow_pickle": True}


def test_an_unknown_rule_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--kfr-rule", "tables")
    assert "tables" in capsys.readouterr().err
