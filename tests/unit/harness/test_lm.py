"""The one place where answers are generated: stored, seeded, counted; everything else is the model's own."""

import pytest
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from unlearn_bench.harness.lm import StoredLM
from unlearn_bench.harness.observations import AnswerStore
from unlearn_bench.harness.progress import Progress

pytestmark = pytest.mark.slow  # imports lm-eval


class Model(LM):
    tokenizer_name = "model's own"
    nan_prompts = 3

    def __init__(self) -> None:
        super().__init__()
        self._rank, self._world_size = 1, 2
        self.asked: list[tuple[str, dict]] = []

    def generate_until(self, requests, disable_tqdm=False):
        self.asked += [request.args for request in requests]
        return [f"answer to {request.args[0]}" for request in requests]

    def loglikelihood(self, requests):
        return [(-1.0, True)] * len(requests)

    loglikelihood_rolling = loglikelihood

    def apply_chat_template(self, chat_history, add_generation_prompt=True):
        return f"template of the model: {chat_history}"

    def gather_object(self, obj, dst=0):
        return [obj, "of the other"]


class Reporting(Model):
    on_finish = None

    def generate_until(self, requests, disable_tqdm=False):
        self.on_finish(len(requests))
        return super().generate_until(requests)


def _stored(model=None, folder=None, seed=0, **more):
    said: dict[str, list[int]] = {"total": [], "answers": []}
    progress = Progress(total=said["total"].append, answers=said["answers"].append)
    timing: dict[str, float] = {}
    store = AnswerStore(folder, {"model": "m"})
    lm = StoredLM(model or Model(), store, batch_size=1, seed=seed, progress=progress, timing=timing, **more)
    return lm, said, timing


def _requests(count, **settings):
    return [
        Instance("generate_until", {}, (f"question {i}", {"until": [], **settings}), 0, ("t", i, 1))
        for i in range(count)
    ]


@pytest.mark.parametrize("model", [Model, Reporting])
def test_answers_are_counted_once_and_timed(model):
    lm, said, timing = _stored(model())
    assert lm.generate_until(_requests(10)) == [f"answer to question {i}" for i in range(10)]
    lm.generate_until(_requests(2))
    assert said["total"] == [10, 12]
    assert sum(said["answers"]) == 12
    assert timing["generate"] > 0


def test_kept_answers_are_not_generated_again_and_are_counted(tmp_path):
    _stored(folder=tmp_path)[0].generate_until(_requests(10))
    model = Model()
    lm, said, _ = _stored(model, tmp_path)
    assert lm.generate_until(_requests(10))[3] == "answer to question 3"
    assert model.asked == []
    assert sum(said["answers"]) == 10


def test_only_sampled_requests_get_a_seed_and_each_its_own():
    model = Model()
    _stored(model)[0].generate_until(_requests(2) + _requests(3, do_sample=True, temperature=0.7))
    seeds = [settings.get("seed") for _, settings in model.asked]
    assert seeds.count(None) == 2
    assert len({seed for seed in seeds if seed is not None}) == 3
    own = Model()
    _stored(own, seed=None)[0].generate_until(_requests(2, do_sample=True, temperature=0.7))
    assert all("seed" not in settings for _, settings in own.asked)


def test_everything_else_is_the_models_own():
    model = Model()
    lm, _, _ = _stored(model)
    assert (lm.rank, lm.world_size, lm.tokenizer_name, lm.nan_prompts) == (1, 2, "model's own", 3)
    assert lm.loglikelihood([1, 2]) == [(-1.0, True)] * 2
    assert lm.gather_object("mine") == ["mine", "of the other"]
    assert lm.apply_chat_template(["hi"]).startswith("template of the model")
    with lm.asking_stock():
        assert model.as_stock
    assert not model.as_stock
    with pytest.raises(AttributeError):
        lm.no_such_thing  # noqa: B018


def test_a_given_template_takes_the_place_of_the_models():
    lm, _, _ = _stored(template=lambda history, generate: f"ours: {history}")
    assert lm.apply_chat_template(["hi"]) == "ours: ['hi']"
