"""Kept answers are served to the same question of the same model only, and a broken store is no answer."""

import json

import pytest
from lm_eval.api.instance import Instance

from unlearn_bench.harness.observations import AnswerStore


def _requests(count: int, **settings: object) -> list[Instance]:
    return [Instance("generate_until", {}, (f"question {'x' * i}", {"until": [], **settings}), i) for i in range(count)]


class _Model:
    def __init__(self, die_after: int | None = None) -> None:
        self.calls: list[int] = []
        self.die_after = die_after

    def __call__(self, requests):
        if self.die_after is not None and len(self.calls) >= self.die_after:
            raise KeyboardInterrupt
        self.calls.append(len(requests))
        return [f"answer to {r.args[0]}" for r in requests]


def _run(folder, model, requests, identity="a", chunk=4):
    store = AnswerStore(folder, {"weights": identity})
    return store.answers(requests, model, chunk), store


def test_answers_come_back_in_the_order_of_the_requests(tmp_path):
    answers, _ = _run(tmp_path, _Model(), _requests(10))
    assert answers == [f"answer to question {'x' * i}" for i in range(10)]


def test_killed_run_goes_on_with_the_same_chunks(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path, _Model(die_after=2), _requests(10))
    model = _Model()
    answers, store = _run(tmp_path, model, _requests(10))
    assert model.calls == [2]
    assert store.reused == 8
    assert answers == _run(None, _Model(), _requests(10))[0]


@pytest.mark.parametrize("change", ["weights", "prompt", "settings"])
def test_other_weights_prompts_or_settings_are_never_served(tmp_path, change):
    _run(tmp_path, _Model(), _requests(4))
    requests = _requests(4, max_gen_toks=7) if change == "settings" else _requests(4)
    if change == "prompt":
        requests[0].arguments = ("another question", {"until": []})
    _, store = _run(tmp_path, _Model(), requests, identity="b" if change == "weights" else "a")
    assert store.reused == 0


@pytest.mark.parametrize("content", ["", "[", '["one"]', '{"a": 1}', "[1, 2, 3, 4]"])
def test_broken_store_is_made_again(tmp_path, content):
    expected, _ = _run(tmp_path, _Model(), _requests(4))
    next(tmp_path.glob("*.json")).write_text(content)
    answers, store = _run(tmp_path, _Model(), _requests(4))
    assert answers == expected
    assert store.reused == 0
    assert json.loads(next(tmp_path.glob("*.json")).read_text()) != content
