"""A loss brings its state and the parameters it trains: the trainer knows none by name."""

import ast
from pathlib import Path

import pytest

import unlearn_bench.trainers
from unlearn_bench.losses import LOSSES
from unlearn_bench.losses.base import State
from unlearn_bench.losses.pdu import DualVariable
from unlearn_bench.trainers.method import parse

FILES = sorted(Path(unlearn_bench.trainers.__file__).parent.glob("*.py"))
RECIPES = {"merge", "retrain", "task_vector", "whp"}  # each is made of methods that it names


@pytest.mark.parametrize("path", [p for p in FILES if p.stem not in RECIPES], ids=lambda p: p.name)
def test_no_loss_is_known_by_name(path):
    names = set(LOSSES.names()) - RECIPES
    said = {n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)}
    imported = {n.module for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)}
    assert not said & names
    assert not imported & {f"unlearn_bench.losses.{name}" for name in names}


def test_the_dual_variable_rests_moves_and_is_logged_as_it_was_used():
    weights = {"pdu": 1.0, "gdr": 2.0}
    state = DualVariable(epsilon=0.25, eta=2.0, warmup_epochs=1.0, retain_weight=1.0)
    assert state.after_step({"gdr": 0.75}, weights, 0.5) == {"dual": 2.0}
    assert weights["gdr"] == 2.0  # warm-up
    assert state.after_step({"gdr": 0.75}, weights, 1.0) == {"dual": 2.0}
    assert weights["gdr"] == 2.0 + 2.0 * (0.75 - 0.25)
    assert state.after_step({"pdu": 1.0}, weights, 1.0) == {}


def test_a_method_has_the_states_of_its_losses():
    states = parse("pdu+gdr", {"pdu": {"epsilon": 0.5}}).states()
    assert list(states) == ["pdu"]
    assert states["pdu"].epsilon == 0.5
    assert parse("npo+gdr").states() == {}


def test_a_state_keeps_nothing_until_it_says_so():
    state = State(beta=1.0)
    assert state.after_step({}, {}, 1.0) == {}
    assert state.state_dict() == {}
    assert state.warning(5.0) is None


def test_a_method_trains_what_its_losses_choose():
    (pattern,) = parse("rmu", {"rmu": {"layer": 1}, "rmu_retain": {"layer": 1}}).trainable
    assert pattern == r"layers\.(0|1)\.mlp\.down_proj\.weight"
    assert parse("npo+gdr").trainable == ()


def test_a_method_says_which_answers_it_forgets():
    assert parse("relearn_dpo").forgets_original
    assert not parse("dpo").forgets_original
