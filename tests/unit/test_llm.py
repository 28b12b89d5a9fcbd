"""The chat client against a real HTTP server on loopback that fails as told."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.servers import nobody
from unlearn_bench.errors import UserError
from unlearn_bench.llm import Backoff, ChatClient, LLMFailure, parse_json
from unlearn_bench.llm._ask import Ask

KEY = "sk-test-0123456789-secret"
SCHEMA = {
    "type": "object",
    "properties": {"verdict": {"enum": ["yes", "no"]}},
    "required": ["verdict"],
    "additionalProperties": False,
}


def completion(content: str | None, **more: object) -> dict[str, object]:
    """A body as the endpoint sends it: 7 prompt and 3 completion tokens."""
    finish = more.pop("finish_reason", "stop")
    message = {"role": "assistant", "content": content, **more}
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}


class Endpoint:
    """Plays a script: each request takes the next step; when the script is over, `default` is the answer.

    A step is a body (HTTP 200), (status, headers, body), or one of "cut", "half", "hang", "garbage".
    """

    def __init__(self) -> None:
        self.script: list[object] = []
        self.default: object = completion("fine")
        self.seen: list[dict[str, object]] = []
        self.authorizations: list[str | None] = []
        self.lock = threading.Lock()
        self.release = threading.Event()
        handler = type("Handler", (_Handler,), {"endpoint": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    endpoint: Endpoint

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.endpoint.lock:
            self.endpoint.seen.append(body)
            self.endpoint.authorizations.append(self.headers.get("Authorization"))
            step = self.endpoint.script.pop(0) if self.endpoint.script else self.endpoint.default
        if callable(step):
            step = step(body)
        if step == "hang":
            self.endpoint.release.wait(10)
        if step in ("cut", "hang"):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        status, headers, content = step if isinstance(step, tuple) else (200, {}, step)
        data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) * (2 if step == "half" else 1)))
        self.end_headers()
        self.wfile.write(data)
        if step == "half":  # promises twice the bytes that come
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(endpoint: Endpoint, waits: list[float], tmp_path: Path) -> ChatClient:
    backoff = Backoff(retries=3, sleep=waits.append, jitter=lambda: 1.0)
    return ChatClient("m", base_url=endpoint.url, backoff=backoff, cache_dir=tmp_path / "cache")


def ask(text: str = "hello") -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def one(client: ChatClient, messages: list[dict[str, str]], schema: dict | None = None) -> object:
    """The only answer of a request, or its failure."""
    asked = client.complete_many([messages]) if schema is None else client.complete_json_many([messages], schema=schema)
    return asked[0]


def key_of(client: ChatClient, messages: list[dict[str, str]], schema: dict | None = None) -> str:
    return client._key(Ask(messages, {}, schema))


def test_an_answer_and_what_it_took(client: ChatClient, endpoint: Endpoint) -> None:
    client.prices = (2.0, 10.0)
    assert one(client, ask()) == "fine"
    assert endpoint.seen == [{"model": "m", "messages": ask(), "temperature": 0.0}]
    assert endpoint.authorizations == [f"Bearer {KEY}"]
    usage = client.usage
    assert (usage.calls, usage.prompt_tokens, usage.completion_tokens) == (1, 7, 3)
    assert usage.cost == pytest.approx(44e-6)  # (7 * 2 + 3 * 10) / 1e6


@pytest.mark.parametrize(
    ("step", "waited"),
    [
        ((429, {"Retry-After": "17"}, "slow down"), [17.0]),
        ((429, {"retry-after-ms": "1500"}, "slow down"), [1.5]),
        ((429, {}, "slow down"), [1.0]),
        ((500, {}, "oops"), [1.0]),
        ((502, {}, "oops"), [1.0]),
        ((503, {"Retry-After": "2"}, "busy"), [2.0]),
        ((529, {}, "overloaded"), [1.0]),
        ("cut", [1.0]),
        ("half", [1.0]),
        ("hang", [1.0]),
        ("<html>gateway</html>", [1.0]),
        ({"error": "no choices"}, [1.0]),
        ([], [1.0]),
    ],
)
def test_a_passing_fault_is_tried_again(
    client: ChatClient, endpoint: Endpoint, waits: list[float], step: object, waited: list[float]
) -> None:
    if step == "hang":  # only the first try is given up soon

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            client.timeout = 60.0
            while not endpoint.seen:  # the second try must not come before it
                time.sleep(0.001)

        client.timeout, client.deadline, client.backoff = 0.2, 60.0, replace(client.backoff, sleep=sleep)
    endpoint.script = [step]
    assert one(client, ask()) == "fine"
    assert waits == waited
    assert (client.usage.calls, client.usage.retries, client.usage.failures) == (2, 1, 0)


def test_retry_after_as_a_date(client: ChatClient, endpoint: Endpoint, waits: list[float]) -> None:
    at = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 250))
    endpoint.script = [(429, {"Retry-After": at}, "")]
    assert one(client, ask()) == "fine"
    assert 100 < waits[0] <= 250


def test_back_off_doubles_up_to_its_cap_and_is_jittered() -> None:
    backoff = Backoff(base=1.0, cap=5.0, jitter=lambda: 0.5)
    assert [backoff.seconds(n, None) for n in (1, 2, 3, 4, 5)] == [0.5, 1.0, 2.0, 2.5, 2.5]
    assert backoff.seconds(4, 0.25) == 0.25
    assert len({Backoff().seconds(3, None) for _ in range(5)}) > 1


def test_when_tries_run_out_the_reason_is_told(client: ChatClient, endpoint: Endpoint, waits: list[float]) -> None:
    endpoint.script = [(500, {}, f"broken, by the way your key is {KEY}")] * 4
    failure = one(client, ask())
    assert (failure.reason, failure.detail[:6]) == ("http_500", "broken")
    assert waits == [1.0, 2.0, 4.0]
    assert len(endpoint.seen) == 4
    assert KEY not in str(failure)


def test_a_wait_too_long_is_a_failure_not_a_night(client: ChatClient, endpoint: Endpoint, waits: list[float]) -> None:
    endpoint.default = (429, {"Retry-After": "86400"}, "come back tomorrow")
    assert client.complete_many([ask()]) == [LLMFailure("rate_limited", "come back tomorrow")]
    assert waits == []


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (completion(None), "empty_content"),
        (completion("  "), "empty_content"),
        (completion(None, refusal="I can't help with that."), "refusal"),
        (completion("half an ans", finish_reason="length"), "truncated"),
        (completion(None, finish_reason="content_filter"), "content_filter"),
        ((400, {}, "context_length_exceeded"), "http_400"),
    ],
)
def test_what_no_retry_mends_fails_at_once(client: ChatClient, endpoint: Endpoint, step: object, reason: str) -> None:
    endpoint.default = step
    (failure,) = client.complete_many([ask()])
    assert isinstance(failure, LLMFailure)
    assert failure.reason == reason
    assert len(endpoint.seen) == 1
    assert client.usage.failures == 1


def test_a_failure_is_not_kept(client: ChatClient, endpoint: Endpoint) -> None:
    endpoint.script = [completion(None)]
    assert isinstance(client.complete_many([ask()])[0], LLMFailure)
    assert client.complete_many([ask()]) == ["fine"]


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_what_fails_for_every_request_stops_everything(client: ChatClient, endpoint: Endpoint, status: int) -> None:
    client.concurrency = 1
    endpoint.script = [completion("first")]
    endpoint.default = (status, {}, f"no: {KEY}")
    with pytest.raises(UserError, match=f"HTTP {status}") as caught:
        client.complete_many([ask(str(i)) for i in range(50)])
    assert KEY not in str(caught.value)
    assert len(endpoint.seen) == 2
    assert one(client, ask("0")) == "first"  # what had come is kept


def test_an_empty_account_is_not_retried(client: ChatClient, endpoint: Endpoint) -> None:
    endpoint.default = (429, {}, {"error": {"code": "insufficient_quota"}})
    with pytest.raises(UserError, match="insufficient_quota"):
        one(client, ask())
    assert len(endpoint.seen) == 1


def test_no_server_is_a_users_error_at_once(client: ChatClient, waits: list[float]) -> None:
    with nobody() as client.base_url, pytest.raises(UserError, match="nothing answers at"):
        one(client, ask())
    assert waits == []


def test_a_server_that_has_gone_is_waited_for(client: ChatClient, waits: list[float]) -> None:
    one(client, ask())
    with nobody() as client.base_url, pytest.raises(UserError, match=r"no connection to .* after 4 tries"):
        one(client, ask("other"))
    assert len(waits) == 3


def test_a_server_that_answers_nobody_ends_the_run(client: ChatClient, endpoint: Endpoint) -> None:
    endpoint.default = (503, {}, {"error": {"message": "loading the model"}})
    with pytest.raises(UserError, match="answers no request: http_503: loading the model"):
        client.complete_many([ask(str(i)) for i in range(60)])
    assert len(endpoint.seen) <= (8 + 7) * 4  # eight that failed, and what was under way beside the last of them


def test_a_server_that_stops_answering_ends_the_run_and_what_came_is_kept(
    client: ChatClient, endpoint: Endpoint
) -> None:
    requests = [ask(str(i)) for i in range(60)]
    client.complete_many(requests[:5])
    endpoint.default = (503, {}, "gone")
    with pytest.raises(UserError, match="answers no request any more: http_503: gone"):
        client.complete_many(requests)
    assert client.complete_many(requests[:5]) == ["fine"] * 5


def test_requests_that_are_refused_cost_only_themselves(client: ChatClient, endpoint: Endpoint) -> None:
    """Too long a prompt is refused however often it comes."""

    def refuse_long(body: dict[str, object]) -> object:
        return (400, {}, "too long") if body["messages"][0]["content"].startswith("long") else completion("fine")

    endpoint.default = refuse_long
    client.concurrency = 1
    answers = client.complete_many([ask("short"), *(ask(f"long {i}") for i in range(20))])
    assert answers == ["fine", *[LLMFailure("http_400", "too long")] * 20]


def test_waits_add_up_to_the_longest(client: ChatClient, endpoint: Endpoint, waits: list[float]) -> None:
    endpoint.default = (429, {"Retry-After": "130"}, "slow down")
    assert client.complete_many([ask()]) == [LLMFailure("rate_limited", "slow down")]
    assert waits == [130.0, 130.0]  # a third would make more than 300


def test_the_public_endpoint_wants_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match="OPENAI_API_KEY is not set"):
        ChatClient("m")


def test_json_is_checked_and_repaired_once(client: ChatClient, endpoint: Endpoint) -> None:
    endpoint.script = [completion('{"verdict": "perhaps"}'), completion('```json\n{"verdict": "no"}\n```')]
    assert one(client, ask(), SCHEMA) == {"verdict": "no"}
    first, second = endpoint.seen
    assert first["response_format"] == {"type": "json_object"}
    assert second["messages"][:2] == [*ask(), {"role": "assistant", "content": '{"verdict": "perhaps"}'}]
    assert "'perhaps' is not one of" in second["messages"][2]["content"]
    assert client.usage.repairs == 1
    assert one(client, ask(), SCHEMA) == {"verdict": "no"}  # the repaired answer is kept
    assert len(endpoint.seen) == 2


def test_json_that_stays_broken_fails_with_the_reason(client: ChatClient, endpoint: Endpoint) -> None:
    endpoint.default = completion('{"verdict": ')
    (failure,) = client.complete_json_many([ask()], schema=SCHEMA)
    assert failure.reason == "malformed_json"
    assert len(endpoint.seen) == 2


def test_a_refusal_in_words_is_not_sent_back(client: ChatClient, endpoint: Endpoint) -> None:
    endpoint.default = completion("I'm sorry, but I can't assist with that request.")
    (failure,) = client.complete_json_many([ask()], schema=SCHEMA)
    assert failure.reason == "refusal"
    assert len(endpoint.seen) == 1


def test_structured_output_sends_the_schema(client: ChatClient, endpoint: Endpoint) -> None:
    client.json_mode = "json_schema"
    endpoint.default = completion('{"verdict": "yes"}')
    one(client, ask(), SCHEMA)
    assert endpoint.seen[0]["response_format"]["json_schema"]["schema"] == SCHEMA


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1]", "schema_mismatch"),
        ("{}", "schema_mismatch"),
        ('{"verdict": NaN}', "malformed_json"),
        ("", "malformed_json"),
    ],
)
def test_parse_json_names_what_is_wrong(text: str, reason: str) -> None:
    assert parse_json(text, SCHEMA).reason == reason


def test_an_answer_is_paid_for_once(client: ChatClient, endpoint: Endpoint) -> None:
    assert one(client, ask()) == one(client, ask()) == "fine"
    again = ChatClient("m", base_url=endpoint.url, cache_dir=client.cache_dir)
    assert one(again, ask()) == "fine"
    assert len(endpoint.seen) == 1
    assert (again.usage.calls, again.usage.cached) == (0, 1)


def test_another_request_is_another_answer(client: ChatClient) -> None:
    key = key_of(client, ask())
    assert key_of(client, ask("other")) != key
    assert key_of(client, ask(), SCHEMA) != key
    for name, value in {"model": "n", "parameters": {"temperature": 1.0}, "base_url": "http://elsewhere/v1"}.items():
        before = getattr(client, name)
        setattr(client, name, value)
        assert key_of(client, ask()) != key
        setattr(client, name, before)
    assert key_of(client, ask()) == key


def test_a_damaged_cache_file_is_asked_for_again(client: ChatClient, endpoint: Endpoint) -> None:
    one(client, ask())
    (file,) = client.cache_dir.rglob("*.json")
    file.write_text(file.read_text()[:20])
    assert one(client, ask()) == "fine"
    assert len(endpoint.seen) == 2
    assert json.loads(file.read_text())["text"] == "fine"


def test_many_keep_their_order_and_lose_nothing_under_faults(client: ChatClient, endpoint: Endpoint) -> None:
    faults = [(429, {"Retry-After": "0"}, ""), (500, {}, ""), "cut", "half", "garbage", completion("{"), "hang"]

    def echo(body: dict[str, object]) -> dict[str, object]:
        text = body["messages"][0]["content"]
        return completion(None, refusal="no") if text == "13" else completion(json.dumps({"verdict": "yes", "n": text}))

    endpoint.default = echo
    endpoint.script = [step for fault in faults for step in (fault, echo, echo)]
    client.timeout, client.deadline = 0.5, 600.0  # for the one that hangs; who is late for another reason tries again
    client.backoff = replace(client.backoff, retries=50, base=0.0)
    seen: list[tuple[int, int]] = []
    client.progress = lambda done, wanted: seen.append((done, wanted))
    results = client.complete_json_many([ask(str(i)) for i in range(40)], schema={"required": ["verdict", "n"]})
    assert [r["n"] if isinstance(r, dict) else r.reason for r in results] == [
        "refusal" if i == 13 else str(i) for i in range(40)
    ]
    assert seen == [(i, 40) for i in range(1, 41)]
    assert client.usage.failures == 1


def test_equal_requests_are_asked_once(client: ChatClient, endpoint: Endpoint) -> None:
    client.cache_dir = None
    assert client.complete_many([ask("a"), ask("b"), ask("a")]) == ["fine"] * 3
    assert len(endpoint.seen) == 2


def test_a_killed_run_goes_on_where_it_was(client: ChatClient, endpoint: Endpoint) -> None:
    client.concurrency = 1

    def killed(done: int, _wanted: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    def answer(_body: object) -> dict[str, object]:
        if len(endpoint.seen) > 5:  # is under way until the run is stopped
            assert client._stop.wait(60)
        return completion("fine")

    client.progress, client.grace, endpoint.default = killed, 60.0, answer
    with pytest.raises(KeyboardInterrupt):
        client.complete_many([ask(str(i)) for i in range(20)])
    assert 5 <= len(endpoint.seen) <= 6  # what was under way is kept, the others are not begun
    client.progress, endpoint.default = None, completion("fine")
    assert client.complete_many([ask(str(i)) for i in range(20)]) == ["fine"] * 20
    assert len(endpoint.seen) == 20
    assert not list(client.cache_dir.rglob("*.part"))


def test_requests_run_at_the_same_time(client: ChatClient, endpoint: Endpoint) -> None:
    barrier = threading.Barrier(4, timeout=60)  # breaks unless four requests are under way together

    def meet(_body: object) -> dict[str, object]:
        barrier.wait()
        return completion("met")

    endpoint.default, client.concurrency = meet, 4
    assert client.complete_many([ask(str(i)) for i in range(4)]) == ["met"] * 4


def test_the_key_appears_nowhere(
    client: ChatClient, endpoint: Endpoint, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint.script = [(500, {}, f"key {KEY}"), "cut", (429, {}, KEY)]
    one(client, ask())
    endpoint.default = (400, {}, f"bad key {KEY}")
    failure = client.complete_many([ask("other")])[0]
    files = "".join(f.read_text() for f in client.cache_dir.rglob("*") if f.is_file())
    shown = capsys.readouterr()
    everything = [caplog.text, repr(client), str(vars(client)), repr(failure), files, shown.out, shown.err]
    assert "***" in failure.detail
    assert caplog.text
    assert not [text for text in everything if KEY in text]
    assert endpoint.authorizations[0] == f"Bearer {KEY}"  # and yet it was sent
