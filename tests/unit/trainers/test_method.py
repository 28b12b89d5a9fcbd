"""Reading methods."""

import pytest

from unlearn_bench.errors import UserError
from unlearn_bench.trainers import RECIPES
from unlearn_bench.trainers.config import preset_settings, presets
from unlearn_bench.trainers.method import parse


def _terms(text: str, **options) -> dict[str, float]:
    return {term.name: term.weight for term in parse(text, options).terms}


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("ga", {"ga": 1.0}),
        ("npo+gdr", {"npo": 1.0, "gdr": 1.0}),
        ("0.4*npo+0.4*klr+0.2*gdr", {"npo": 0.4, "klr": 0.4, "gdr": 0.2}),
        ("relearn", {"relearn": 1.0, "gdr": 1.0, "klr": 1.0}),
        ("relearn+gdr", {"relearn": 1.0, "gdr": 1.0}),
        ("relearn+0*gdr", {"relearn": 1.0}),
        ("2*relearn", {"relearn": 2.0}),
        ("rmu", {"rmu": 1.0, "rmu_retain": 1.0}),
        ("simnpo+gdr", {"simnpo": 0.125, "gdr": 1.0}),
        ("memflex", {"ga": 0.4, "gdr": 2.0}),
        ("memflex+npo+klr", {"npo": 0.4, "klr": 2.0}),
        ("memflex+npo+1*klr", {"npo": 0.4, "klr": 1.0}),
        ("sure", {"npo": 1.0, "gdr": 1.0}),
        (" npo + 1e-1 * gdr ", {"npo": 1.0, "gdr": 0.1}),
    ],
)
def test_terms_and_weights(text: str, terms: dict[str, float]) -> None:
    assert _terms(text) == pytest.approx(terms)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nop+gdr", "unknown method 'nop'"),
        ("npo+npo", "twice"),
        ("npo gdr", "cannot read"),
        ("1.2.3*npo", "not a weight"),
        ("0*npo", "no term"),
        ("sure+memflex+npo+gdr", "both change the step"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(text)


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UserError) as error:
        parse("relern")
    assert "relearn" in error.value.hint


def test_options_reach_their_term_and_are_checked() -> None:
    method = parse("sure+npo+gdr", {"npo": {"beta": 1}, "sure": {"percentile": 90}})
    assert method.term("npo").function_options == {"beta": 1.0}
    assert method.step_options == {"percentile": 90.0}
    with pytest.raises(UserError, match="option of npo 'gamma'"):
        parse("npo", {"npo": {"gamma": 1}})
    with pytest.raises(UserError, match="expected a number"):
        parse("npo", {"npo": {"beta": "high"}})
    with pytest.raises(UserError, match="not in method"):
        parse("npo", {"ga": {}})


def test_layer_is_a_setting_not_an_argument() -> None:
    method = parse("rmu", {"rmu": {"layer": 2}, "rmu_retain": {"layer": 2}})
    assert method.layer == 2
    assert "layer" not in method.term("rmu").function_options
    with pytest.raises(UserError, match="different layers"):
        _ = parse("rmu", {"rmu": {"layer": 2}}).layer


def test_recipes_are_found() -> None:
    assert RECIPES.names() == ["merge", "retrain", "task_vector", "whp"]


def test_presets_hold_the_papers_values() -> None:
    # ReLearn, tables 4-6: adapters of rank 8, 1e-5, batch 1 x 4; 3 epochs on KnowUnDo, 2 on TOFU.
    for name, epochs in (("knowundo", 3), ("tofu", 2)):
        settings = preset_settings(name, "relearn")
        assert (settings["lora"].r, settings["lora"].alpha, settings["lora"].dropout) == (8, 16, 0.1)
        assert settings["learning_rate"] == 1e-5
        assert (settings["batch_size"], settings["accumulate"], settings["epochs"]) == (1, 4, epochs)
    assert preset_settings("knowundo", "npo+gdr")["epochs"] == 10
    assert preset_settings("tofu", "retrain")["lora"] is None
    with pytest.raises(UserError, match="unknown preset"):
        preset_settings("tufo", "ga")


def test_every_preset_is_a_valid_configuration() -> None:
    from unlearn_bench.trainers.config import build

    for name, methods in presets().items():
        for method in methods:
            build({"preset": name, "method": method.replace("*", "ga"), "model": "m", "output": "o"})
