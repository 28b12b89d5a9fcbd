"""Every way a chat server can misbehave, with a marked key, for everybody who talks to one: the judged model behind a
server, a language model that scores, and a writer of `augment`. What was not answered is unscored, the error is one
line, and no part of the key is in anything that was written.
"""

import base64
import json
import logging
import pickle
import threading
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from lm_eval.api.instance import Instance

from tests.servers import Exchange, Server, body, completion, modes, nobody, once, says
from unlearn_bench import redact
from unlearn_bench.augment.chat import ChatWriter
from unlearn_bench.augment.pipeline import AugmentSettings, augment
from unlearn_bench.augment.rows import SensitivePair
from unlearn_bench.augment.summary import write
from unlearn_bench.errors import UserError
from unlearn_bench.evidence.entities import LLMExtractor
from unlearn_bench.harness import api_model as lm_api
from unlearn_bench.llm import Backoff, ChatClient, _http
from unlearn_bench.scorers.base import Unscored
from unlearn_bench.text import answer

pytestmark = pytest.mark.slow

KEY = "sk-MARKED/Qx7+Zt2=Lw9-Vb4_Np6Rk8"
ANSWERED = {"usage_many", "usage_inf", "usage_nan", "usage_list", "usage_minus", "content_key"}
ENDLESS = {"silence", "drip", "drip_headers", "continue"}  # only a client that gives up ends these
PATIENT, HURRIED = {"timeout": 60.0, "deadline": 120.0}, {"timeout": 0.2, "deadline": 0.4}
GREEDY = {"until": [], "do_sample": False, "max_gen_toks": 16, "repetition_penalty": 1.0}


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Server]:
    with Server(lambda e: completion("from elsewhere")) as server:
        yield server


@pytest.fixture
def server() -> Iterator[Server]:
    """One for each test: what a request that was given up still does is not seen by the next."""
    with Server(lambda e: completion(f"answer to {e.question}")) as server:
        yield server


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, server: Server, elsewhere: Server) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(redact, "_registered", set())
    monkeypatch.setattr(Backoff, "seconds", lambda self, n, retry_after: retry_after or 0.0)
    server.play(None)
    elsewhere.play(None)


@pytest.fixture
def leaks(tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]):
    """Parts of the key in what was said, logged and written so far."""
    caplog.set_level(logging.DEBUG)

    def found(*said: object) -> list[str]:
        shown = capfd.readouterr()
        files = [f.read_text(errors="replace") for f in tmp_path.rglob("*") if f.is_file()]
        texts = [*map(str, said), *map(repr, said), caplog.text, shown.out, shown.err, *files]
        texts += [text for e in said if isinstance(e, Exception) for text in traceback.format_exception(e)]
        return [form for form in _forms() for text in texts if form in text]

    return found


def _forms() -> set[str]:
    coded = base64.b64encode(KEY.encode()).decode().rstrip("=")[:-1]
    plain = [KEY, quote(KEY, safe=""), coded]
    return {form[i : i + 8] for form in plain for i in range(len(form) - 7)}


def _requests(*questions: str, settings: Mapping[str, object] = GREEDY) -> list[Instance]:
    def one(number: int, question: str) -> Instance:
        chat = lm_api.Chat([{"role": "user", "content": question}])
        return Instance("generate_until", {}, (chat, dict(settings)), number)

    return [one(i, question) for i, question in enumerate(questions)]


def _judged(server: Server, kept: Path | None = None, **arguments: object) -> lm_api.ChatServerLM:
    given = {"base_url": server.url, "max_retries": 1, "max_missing": 1, **PATIENT}
    return lm_api.load("m", {**given, **arguments}, seed=7, kept=kept)


def _client(server: Server, kept: Path, **limits: float) -> ChatClient:
    limits = {**PATIENT, **limits}
    return ChatClient("m", server.url, backoff=Backoff(retries=1), cache_dir=kept, concurrency=4, **limits)


@pytest.mark.parametrize("name", modes(KEY, ""))
def test_whatever_a_server_does_nothing_is_invented_and_the_key_stays_hidden(name, server, elsewhere, tmp_path, leaks):
    server.play(modes(KEY, elsewhere.url)[name])
    limits = HURRIED if name in ENDLESS else PATIENT
    said = [consumer(server, tmp_path, name in ANSWERED, limits) for consumer in (_judge, _extract, _write)]
    for error in (s for s in said if isinstance(s, UserError)):
        assert "\n" not in error.message
        assert error.hint
    assert leaks(*said) == []
    assert all(f"Authorization: Bearer {KEY}" in head for head in server.heads)
    assert server.heads or name in ENDLESS  # which may read a request after it was given up
    assert len(server.seen) <= 7  # three requests, two tries each, and one to repair an answer that is no JSON
    assert elsewhere.heads == []  # a key is never sent on


def _judge(server: Server, folder: Path, answered: bool, limits: Mapping[str, float]) -> object:
    """The judged model: the answer is missing, with a reason, unless it came."""
    lm = _judged(server, folder / "judged", **limits)
    try:
        (generation,) = lm.generate_until(_requests("Who?"))
    except UserError as error:
        assert not answered
        return error
    found = answer.read(generation)
    assert (found.missing is None) == bool(found.text) == answered
    assert sum(lm.missing.values()) == len(lm.notes) == (not answered)
    return generation, found, lm.notes, vars(lm)


def _missing(generations: list[str]) -> list[str | None]:
    return [answer.read(generation).missing for generation in generations]


def _extract(server: Server, folder: Path, answered: bool, limits: Mapping[str, float]) -> object:
    """A language model that scores: what it does not say is unscored; none of the answers is the JSON that it asks."""
    try:
        (found,) = LLMExtractor(_client(server, folder / "scoring", **limits))(["Ann Lee lives in Oslo."])
    except UserError as error:
        return error
    assert isinstance(found, Unscored)
    return found


def _write(server: Server, folder: Path, answered: bool, limits: Mapping[str, float]) -> object:
    """`augment`: every text that is wanted is listed as failed, with a reason."""
    writer = ChatWriter(_client(server, folder / "writing", **limits), name="openai")
    sources, settings = (
        [SensitivePair("1", "Where does Ann Lee live?", "In Oslo.")],
        AugmentSettings((), tries=1, generic_ratio=0),
    )
    try:
        outcome = augment(sources, writer, (), settings)
    except UserError as error:
        return error
    write(folder / "rows.jsonl", outcome, sources, writer, settings, dataset="d")
    assert outcome.rows == []
    assert [bool(text.reasons[0]) for text in outcome.failed] == [True]
    return outcome


@pytest.mark.parametrize("name", sorted(set(modes(KEY, "")) - ANSWERED))
def test_after_a_passing_fault_each_question_has_its_own_answer(name, server, elsewhere, monkeypatch):
    """Or none; but never that of another question."""
    mode = modes(KEY, elsewhere.url)[name]
    server.play(once(mode))
    if name in ENDLESS:  # for one question, which alone is given up
        server.play(lambda e: (mode if e.question == "question 0" else says(f"answer to {e.question}"))(e))
        _hurry("question 0", monkeypatch)
    questions = [f"question {i}" for i in range(4)]
    lm = _judged(server, num_concurrent=2)
    try:
        answers = lm.generate_until(_requests(*questions))
    except UserError:
        return
    missing = _missing(answers)
    assert [q for q, a, m in zip(questions, answers, missing, strict=True) if not m and a != f"answer to {q}"] == []
    assert sum(map(bool, missing)) <= 1


def _hurry(question: str, monkeypatch: pytest.MonkeyPatch) -> None:
    post = _http.post

    def hurried(url, sent, key, limits, stopped):
        if sent["messages"][-1]["content"] == question:
            limits = replace(limits, silence=HURRIED["timeout"], total=HURRIED["deadline"])
        return post(url, sent, key, limits, stopped)

    monkeypatch.setattr(_http, "post", hurried)


def test_two_choices_to_one_and_none_to_the_next_shift_nothing(server):
    choices = {"a": 2, "b": 0}

    def uneven(e: Exchange) -> None:
        one = completion(f"answer to {e.question}")["choices"][0]
        e.send(200, {"choices": [{**one, "index": i} for i in range(choices.get(e.question, 1))]})

    server.play(uneven)
    answers = _judged(server, num_concurrent=1).generate_until(_requests("a", "b", "c", "d"))
    assert answers[2:] == ["answer to c", "answer to d"]
    assert _missing(answers[:2]) == ["no_answer_from_server: malformed_body"] * 2


def test_a_reply_too_many_is_not_read_as_the_next_answer(server):
    def twice(e: Exchange) -> None:
        for _ in range(2):
            e.send(200, completion(f"answer to {e.question}"))

    server.play(twice)
    questions = [f"question {i}" for i in range(10)]
    answers = _judged(server, num_concurrent=1).generate_until(_requests(*questions))
    assert answers == [f"answer to {q}" for q in questions]


def test_an_empty_answer_is_an_answer_and_one_cut_at_its_limit_too(server):
    server.play(lambda e: e.send(200, completion("" if e.question == "a" else "half", finish_reason="length")))
    assert _judged(server).generate_until(_requests("a", "b")) == ["", "half"]


def test_thinking_that_comes_apart_is_kept_apart(server, tmp_path):
    server.play(says("Oslo.", reasoning_content="It may be Oslo."))
    for _ in range(2):  # from the server, and from what was kept
        (generation,) = _judged(server, tmp_path).generate_until(_requests("Where?"))
        assert answer.read(generation) == answer.Answer("Oslo.", "It may be Oslo.", ("thinking",))
    assert len(server.seen) == 1


def test_thinking_without_an_answer_is_kept_and_is_no_answer(server):
    server.play(says(None, reasoning_content="It may be Oslo."))
    lm = _judged(server)
    (generation,) = lm.generate_until(_requests("Where?"))
    found = answer.read(generation)
    assert (found.text, found.thinking, found.missing) == ("", "It may be Oslo.", answer.NO_ANSWER)
    assert lm.notes == [f"the server gave no answer to 1 questions, unscored: {answer.NO_ANSWER} 1"]
    with pytest.raises(UserError, match="no answer to 1 of 1") as error:
        _judged(server, max_missing=0.1).generate_until(_requests("Where?"))
    assert "raise --max-gen-toks" in error.value.hint


def test_a_server_cannot_claim_that_an_answer_was_not_given(server):
    server.play(says(answer.not_given("prompt_too_long")))
    assert _missing(_judged(server).generate_until(_requests("Where?"))) == [None]


def test_what_is_sent(server):
    asked = {"until": ["\n", "", "a", "b", "c", "Q"], "do_sample": True, "temperature": 0.7, "top_p": 0.9, "top_k": 5}
    server.play(says("in Oslo Q: who"))
    (generation,) = _judged(server).generate_until(_requests("Where?", settings=asked))
    assert generation == "in Oslo "  # the fifth stop text is cut here: the API takes four
    assert server.seen == [
        {
            "model": "m",
            "messages": [{"role": "user", "content": "Where?"}],
            "max_tokens": 256,
            "temperature": 0.7,
            "top_p": 0.9,
            "top_k": 5,
            "seed": 7,
            "stop": ["\n", "a", "b", "c"],
        }
    ]


def test_strict_servers_get_no_field_that_only_restates_the_default(server):
    _judged(server).generate_until(_requests("Where?"))
    assert sorted(server.seen[0]) == ["max_tokens", "messages", "model", "seed", "temperature"]


def test_another_seed_is_another_draw_and_the_same_question_gets_the_same(server):
    def drawn(seed: int) -> list[int]:
        server.play(None)
        lm = lm_api.load("m", {"base_url": server.url, "num_concurrent": 1}, seed=seed, kept=None)
        first = _requests("a", "b")
        lm.generate_until([first[0], first[0], first[1]])  # as lm-eval asks for two repeats
        return [sent["seed"] for sent in server.seen]

    assert drawn(3) == [3, 4, 3]
    assert drawn(9) == [9, 10, 9]


def test_a_setting_that_the_server_does_not_take_is_left_out_and_said(server):
    lm = _judged(server, omit="seed+temperature", max_tokens_field="max_completion_tokens")
    lm.generate_until(_requests("Where?"))
    assert sorted(server.seen[0]) == ["max_completion_tokens", "messages", "model"]
    assert lm.notes == ["not sent to the server: seed, temperature (omit)"]


def test_a_server_that_refuses_a_setting_says_so_in_one_line(server):
    server.play(body({"error": {"message": "Unknown parameter: seed"}}, 422))
    with pytest.raises(UserError, match="answers no request: http_422: Unknown parameter: seed"):
        _judged(server).generate_until(_requests(*map(str, range(40))))
    assert len(server.seen) <= 8 + 7  # eight that failed, and what the other seven connections had under way
    with pytest.raises(UserError, match="3 of 3 questions: http_422 3") as error:
        _judged(server, max_missing=0.1).generate_until(_requests("a", "b", "c"))
    assert "omit=seed" in error.value.hint


def test_a_share_of_missing_answers_is_a_result_and_more_is_none(server, tmp_path):
    server.play(lambda e: e.send(200, completion(None if e.question < "c" else "here")))
    lm = _judged(server, max_missing=0.5)
    assert list(map(bool, _missing(lm.generate_until(_requests("a", "b", "c", "d"))))) == [True, True, False, False]
    assert lm.notes == ["the server gave no answer to 2 questions, unscored: empty_content 2"]
    with pytest.raises(UserError, match="no answer to 2 of 4 questions: empty_content 2"):
        _judged(server, tmp_path, max_missing=0.49).generate_until(_requests("a", "b", "c", "d"))
    server.play(None)
    answers = _judged(server, tmp_path, max_missing=0.49).generate_until(_requests("a", "b", "c", "d"))
    assert answers == ["answer to a", "answer to b", "here", "here"]  # the answers that came were kept
    assert sorted(sent["messages"][0]["content"] for sent in server.seen) == ["a", "b"]


def test_a_dead_server_is_found_by_the_first_request(monkeypatch):
    def late(futures):
        yield from wait(futures).done

    monkeypatch.setattr("unlearn_bench.llm.client.as_completed", late)  # whoever waits learns of it last of all
    with nobody() as url:
        lm = lm_api.load("m", {"base_url": url, "num_concurrent": 1}, seed=0, kept=None)
        with pytest.raises(UserError, match=rf"nothing answers at {url}/v1 \(") as error:
            lm.generate_until(_requests(*map(str, range(50))))
    assert error.value.hint == "start the server, or correct its address"
    assert lm._client.usage.calls == 1


def test_https_spoken_to_a_server_that_does_not(server):
    with pytest.raises(UserError, match="nothing answers at https://"):
        _judged(server, base_url=server.url.replace("http", "https")).generate_until(_requests("a"))


def test_the_time_of_a_whole_exchange_is_bounded_and_its_bytes_are(server):
    sent = threading.Event()

    def endless(e: Exchange) -> None:
        try:
            e.pieces(b" " * 1_000_000, 0)
        finally:
            sent.set()

    server.play(endless)
    assert _missing(_judged(server).generate_until(_requests("a"))) == ["no_answer_from_server: too_large"]
    assert sent.wait(60)  # the connection was closed, the server could not go on


@pytest.mark.parametrize(
    "base", ["{0}", "{0}/", "{0}/v1", "{0}/v1/", "{0}/v1/chat/completions", " {0}/v1/chat/completions/ "]
)
def test_an_address_may_be_written_in_every_usual_way(server, base):
    root = server.url.removesuffix("/v1")
    _judged(server, base_url=base.format(root)).generate_until(_requests("a"))
    assert server.heads[0].startswith("POST /v1/chat/completions HTTP/1.1")


def test_a_query_of_the_address_stays_at_its_end(server):
    lm = _judged(server, base_url=f"{server.url}/chat/completions?api-version=2024-06-01")
    lm.generate_until(_requests("a"))
    assert server.heads[0].startswith("POST /v1/chat/completions?api-version=2024-06-01 HTTP/1.1")


@pytest.mark.parametrize(
    "address",
    [f"http://user:{quote(KEY, safe='')}@localhost/v1", f"http://{quote(KEY, safe='')}@localhost/v1"]
    + [f"https://localhost/v1?{name}={quote(KEY)}" for name in ("key", "api_key", "api-key", "access_token", "sig")],
)
def test_a_key_in_the_address_is_refused_and_not_shown(address, leaks, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UserError, match="holds a password or a key") as error:
        ChatClient("m", address)
    assert leaks(error.value) == []


@pytest.mark.parametrize(
    "address", ["localhost", "ftp://localhost", "http://", "http://h:port", "http://[::1", "http://a b", "file:///x"]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(UserError, match="is not an http address"):
        ChatClient("m", address)


@pytest.mark.parametrize("around", ["{}\n", "  {}\t", "\r\n{}\r\n"])
def test_white_space_around_a_key_is_no_part_of_it(around, server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", around.format(KEY))
    _judged(server).generate_until(_requests("a"))
    assert f"\nAuthorization: Bearer {KEY}\n" in server.heads[0]


@pytest.mark.parametrize("inside", ["\n", "\r\n", "\t", " ", "\x7f", "ключ", "é", "\u200b"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(inside, leaks, monkeypatch):
    half = len(KEY) // 2
    monkeypatch.setenv("OPENAI_API_KEY", KEY[:half] + inside + KEY[half:])
    with pytest.raises(UserError, match="the key in OPENAI_API_KEY holds a character that no key has") as error:
        ChatClient("m", "http://localhost:1")
    assert leaks(error.value) == []


def test_a_key_in_place_of_a_variables_name_is_not_shown(leaks):
    with pytest.raises(UserError, match="named by its NAME") as error:
        ChatClient("m", "http://localhost:1", api_key_env=KEY)
    assert leaks(error.value) == []


@pytest.mark.parametrize("name", ["api_key", "header", "auth_token", "token", "password"])
def test_a_key_among_the_model_arguments_is_refused_and_not_shown(name, leaks, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UserError, match=f"--model-args {name}: a key on the command line") as error:
        lm_api.load("m", {"base_url": "http://localhost:1", name: KEY}, seed=0, kept=None)
    assert leaks(error.value) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "no server address"),
        ({"num_concurrent": 0}, "num_concurrent: expected int from 1 to 1024, got 0"),
        ({"max_missing": 2}, "max_missing: expected float from 0 to 1"),
        ({"timeout": "soon"}, "timeout: expected float"),
        ({"max_retries": True}, "max_retries: expected int"),
        ({"omit": "sead"}, "unknown setting to omit 'sead'"),
        ({"tokenizer": "x"}, "unknown argument of --backend api"),
    ],
)
def test_impossible_arguments_are_named(arguments, words):
    given = {"base_url": "http://localhost:1", **arguments} if arguments else {}
    with pytest.raises(UserError, match=words):
        lm_api.load("m", given, seed=0, kept=None)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALL_PROXY", "gopher://user:{}@localhost:1"), ("SSL_CERT_FILE", "/no/such/file")],
)
def test_proxies_and_certificates_that_cannot_be_used_are_named(name, value, server, monkeypatch, leaks):
    _http._tls.cache_clear()
    monkeypatch.setenv(name, value.format(quote(KEY, safe="")))
    with pytest.raises(UserError, match="settings of proxies or certificates") as error:
        _judged(server).generate_until(_requests("a"))
    assert leaks(error.value) == []
    _http._tls.cache_clear()


def test_half_characters_and_a_spelled_key_do_not_reach_a_file(server, tmp_path, leaks):
    spelled = "".join(f"\\u{ord(c):04x}" for c in KEY)  # only the reader of the JSON text in the content sees it
    server.play(says(f'{{"entities": [{{"name": "Ann \\ud800 {spelled}"}}], "answer": "\ud800"}}'))
    (generation,) = _judged(server, tmp_path / "kept").generate_until(_requests("a"))
    generation.encode()
    client = _client(server, tmp_path / "scoring")
    (value,) = client.complete_json_many([[{"role": "user", "content": "a"}]], schema={"type": "object"})
    assert value == {"entities": [{"name": "Ann ? ***"}], "answer": "?"}
    assert leaks(value) == []


def test_log_probabilities_are_refused(server):
    with pytest.raises(UserError, match="a chat server gives none"):
        _judged(server).loglikelihood(_requests("a"))


def test_a_stopped_run_is_not_held_up_by_a_slow_server(server):
    """One request is refused for all; the others, under way, are given only their grace."""
    server.play(lambda e: e.send(401, {}) if e.question == "a" else e.server.stopping.wait(30))
    lm = _judged(server, timeout=30, deadline=60)
    lm._client.grace = 0.2
    with pytest.raises(UserError, match="HTTP 401"):
        lm.generate_until(_requests("a", "b", "c"))


def test_a_conversation_survives_a_copy_between_processes():
    chat = pickle.loads(pickle.dumps(lm_api.Chat([{"role": "user", "content": "Who?"}])))
    assert json.loads(chat) == chat.messages == [{"role": "user", "content": "Who?"}]
