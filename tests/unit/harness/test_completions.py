"""Likelihoods of a model behind a completions server: those of the same checkpoint here, or a reason, or one error."""

import copy
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lm_eval.api.instance import Instance

from tests.servers import Exchange, Server, echoed
from tests.tiny import save_tiny, tiny_model, tiny_tokenizer
from tests.unit.harness.test_likelihood import ROWS, judged, plan
from unlearn_bench.errors import UserError
from unlearn_bench.harness import backends
from unlearn_bench.harness.completions_model import TOKENS_DIFFER, CompletionsServerLM
from unlearn_bench.harness.completions_model import load as load_server
from unlearn_bench.harness.observe import observe
from unlearn_bench.harness.spec import PromptSettings, RunSpec
from unlearn_bench.llm import Backoff
from unlearn_bench.schema import Likelihood
from unlearn_bench.tokens import Prompts

GIVEN = ROWS[:2]
CAN = backends.Capabilities(likelihood=True)


@pytest.fixture(scope="module")
def told() -> Callable[[Exchange], dict]:
    return echoed(tiny_model(), tiny_tokenizer())


@pytest.fixture(scope="module")
def server(told) -> Iterator[Server]:
    with Server(told) as server:
        yield server


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setattr(Backoff, "seconds", lambda self, n, retry_after: 0.0)
    server.play(None)


def remote(server: Server, kept: Path | None = None, **arguments: object) -> backends.JudgedModel:
    prompts = Prompts(tiny_tokenizer())
    arguments = {"base_url": server.url, "max_retries": 1, "max_missing": 1, "num_concurrent": 2} | arguments
    lm = load_server("m", arguments, prompts, seed=0, kept=kept)
    return backends.JudgedModel(lm, backends.ModelInfo(name="m", source="api"), CAN, prompts)


def changed(told, change: Callable[[dict], object], *, first: int = 0):
    """A mode: the reply of a good server with its log-probabilities changed, from a request's number on."""

    def reply(exchange: Exchange) -> None:
        value = copy.deepcopy(told(exchange))
        if exchange.number >= first:
            change(value["choices"][0])
        exchange.send(200, value)

    return reply


@pytest.mark.parametrize("form", ["ids", "text"])
def test_a_server_gives_what_the_checkpoint_gives(form, server):
    here, there = (observe(plan(GIVEN), model)["t"] for model in (judged(), remote(server, prompts=form)))
    for own, other in zip(here, there, strict=True):
        assert set(own.likelihoods) == set(other.likelihoods)
        for name, value in own.likelihoods.items():
            assert other.likelihoods[name].mean_logprob == pytest.approx(value.mean_logprob, abs=1e-5)
            assert other.likelihoods[name].tokens == value.tokens
        local, said = own.likelihoods["answer"], other.likelihoods["answer"]
        assert said.logprobs == pytest.approx(local.logprobs, abs=1e-5)
        assert said.hits == local.hits
        assert (said.ending, said.means, said.variances) == (local.ending, None, None)
    assert isinstance(server.seen[0]["prompt"], str if form == "text" else list)


def test_a_text_without_a_likelihood_has_the_reasons_of_a_checkpoint_or_the_servers(server):
    assert observe(plan(ROWS[2:3]), remote(server))["t"][0].no_likelihood == {"answer": "empty_continuation"}
    server.play(lambda e: e.send(400, {"error": "longer than the context"}) if len(e.body["prompt"]) > 200
                else e.send(200, e.server.default(e)))  # fmt: skip
    first, last = observe(plan([ROWS[0], ROWS[3]]), remote(server))["t"]
    assert first.no_likelihood is None
    assert last.no_likelihood == {"answer": "no_answer_from_server: http_400"}


def test_a_text_that_a_server_would_split_otherwise_is_not_sent_as_text(server, monkeypatch):
    model = remote(server, prompts="text")
    alone = model.prompts.ids
    monkeypatch.setattr(model.prompts, "ids", lambda text: [0] if text.endswith(" the") else alone(text))
    second = observe(plan(GIVEN), model)["t"][1]
    assert second.no_likelihood == {"choices.1": TOKENS_DIFFER}
    assert set(second.likelihoods) == {"answer", "choices.0"}
    assert not any(sent["prompt"].endswith(" the") for sent in server.seen)


def test_answers_are_kept_and_asked_for_once(server, tmp_path):
    first = observe(plan(GIVEN), remote(server, tmp_path))["t"]
    asked = len(server.seen)
    assert asked == len({str(sent["prompt"]) for sent in server.seen})
    assert observe(plan(GIVEN), remote(server, tmp_path))["t"] == first
    assert len(server.seen) == asked


def test_without_the_best_tokens_hits_are_unavailable_and_not_guessed(told, server):
    server.play(changed(told, lambda choice: choice["logprobs"].pop("top_logprobs")))
    answer = observe(plan(GIVEN), remote(server))["t"][0].likelihoods["answer"]
    assert answer.hits is None
    assert len(answer.logprobs) == answer.tokens == 8
    server.play(changed(told, lambda choice: choice["logprobs"]["top_logprobs"].__setitem__(4, None)))
    assert observe(plan(GIVEN), remote(server))["t"][0].likelihoods["answer"].hits is None


@pytest.mark.parametrize(
    "change",
    [
        lambda choice: choice.pop("logprobs"),
        lambda choice: choice.update(logprobs=None),
        lambda choice: choice.update(logprobs={"content": []}),
        lambda choice: choice["logprobs"].update(token_logprobs=[-1.0]),
    ],
)
def test_a_server_that_does_not_echo_is_refused_after_one_request(change, told, server):
    server.play(changed(told, change))
    with pytest.raises(UserError, match="gives no log-probabilities of a given text") as error:
        observe(plan(GIVEN), remote(server))
    assert "\n" not in error.value.message
    assert len(server.seen) == 1


def test_another_tokenizer_than_the_served_models_is_refused(told, server):
    server.play(changed(told, lambda choice: choice.update(text="something else")))
    with pytest.raises(UserError, match="the server reads another text than was sent"):
        observe(plan(GIVEN), remote(server))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda told: told.pop(), None),  # the generated token may be missing
        (lambda told: told.pop(1) and told.pop(1), "malformed_logprobs"),
        (lambda told: told.append(-1.0), "malformed_logprobs"),
        (lambda told: told.__setitem__(-2, None), "malformed_logprobs"),
        (lambda told: told.__setitem__(-2, "-1.0"), "malformed_logprobs"),
        (lambda told: told.__setitem__(-2, 0.5), "malformed_logprobs"),
        (lambda told: told.__setitem__(-2, math.inf), "malformed_logprobs"),
        (lambda told: told.__setitem__(-2, math.nan), "nan_logits"),
    ],
)
def test_log_probabilities_that_cannot_be_are_a_reason_and_the_others_stay(change, reason, told, server):
    server.play(changed(told, lambda choice: change(choice["logprobs"]["token_logprobs"]), first=1))
    first = observe(plan(ROWS[:1]), remote(server))["t"][0]
    gone = first.no_likelihood or {}
    assert {text.removeprefix("no_answer_from_server: ") for text in gone.values()} == ({reason} if reason else set())
    assert len(gone) + len(first.likelihoods) == 4


def test_a_probability_of_nothing_is_the_least_that_there_is(told, server):
    def to_nothing(choice):
        choice["logprobs"]["token_logprobs"][-2] = -math.inf
        choice["logprobs"]["token_logprobs"][-3] = -(10**400)

    server.play(changed(told, to_nothing))
    assert observe(plan(GIVEN), remote(server))["t"][0].likelihoods["answer"].logprobs[-2:] == [-1e4, -1e4]


def test_a_passing_fault_is_tried_again_and_too_many_end_the_run(told, server):
    server.play(lambda e: e.send(503, {}) if e.number == 2 else e.send(200, told(e)))
    assert observe(plan(GIVEN), remote(server))["t"][0].no_likelihood is None
    server.play(lambda e: e.send(200, told(e)) if e.number == 0 else e.send(400, {"error": "no"}))
    with pytest.raises(UserError, match="no answer to 6 of 7 texts: http_400 6"):
        observe(plan(GIVEN), remote(server, max_missing=0.1))


def test_stock_tasks_read_options_as_lm_eval_reads_them(server):
    requests = [Instance("loglikelihood", {}, (f"who was born in {a}", b), 0)
                for a, b in (("Oslo ", "?"), ("the city", " of an author"))]  # fmt: skip
    here, there = judged().lm.loglikelihood(requests, disable_tqdm=True), remote(server).lm.loglikelihood(requests)
    assert [value for value, _ in there] == pytest.approx([value for value, _ in here], abs=1e-5)
    assert [greedy for _, greedy in there] == [greedy for _, greedy in here]


def test_texts_are_continued(server):
    lm = remote(server).lm
    (made,) = lm.generate_until([Instance("generate_until", {}, ("who was born", {"until": [], "max_gen_toks": 1}), 0)])
    assert made == server.default(Exchange(server, None, 0, "", b'{"prompt": "who was born"}'))["choices"][0]["text"]
    assert server.heads[0].startswith("POST /v1/completions ")


@pytest.mark.parametrize(
    ("model_args", "more", "words"),
    [
        ({"endpoint": "completion"}, {}, "unknown endpoint 'completion'"),
        ({"endpoint": "completions"}, {}, "which tokens do the texts have"),
        ({"endpoint": "completions"}, {"tokenizer": "/no/such"}, "no such folder"),
        ({"endpoint": "completions", "prompts": "words"}, {"tokenizer": True}, "unknown form of prompts 'words'"),
        ({"prompts": "text"}, {}, "unknown argument of --backend api"),
        ({}, {"tokenizer": True}, "a chat server has its own"),
    ],
)
def test_impossible_settings_are_named(model_args, more, words, tmp_path):
    if more.get("tokenizer") is True:
        more = {"tokenizer": str(save_tiny(tmp_path / "m"))}
    spec = RunSpec(model="m", tasks=["t"], backend="api", model_args={"base_url": "http://localhost:1"} | model_args)
    with pytest.raises(UserError, match=words):
        backends.load_model(RunSpec(**{**vars(spec), **more}))


def test_a_tokenizer_makes_a_server_one_that_is_asked_like_a_checkpoint(server, tmp_path):
    folder = save_tiny(tmp_path / "m")
    model_args = {"base_url": server.url, "endpoint": "completions"}
    spec = RunSpec(model="m", tasks=["t"], backend="api", tokenizer=str(folder), model_args=model_args)
    model = backends.load_model(spec)
    assert isinstance(model.lm, CompletionsServerLM)
    assert model.can.likelihood
    assert model.prompt_info(PromptSettings()).chat_template
    assert model.info.tokenizer_sha256
    (found,) = observe(plan(GIVEN[:1]), model)["t"]
    assert isinstance(found.likelihoods["answer"], Likelihood)
