"""Chat servers on loopback that misbehave in every way that is known; each mode is a function of one request.

A mode gets the connection, the number of the request (from 0) and its body, and writes raw bytes: only so can a
server lie about lengths, drip, cut, and repeat itself. `Server.default` answers when no mode does.
"""

import gzip
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

Mode = Callable[["Exchange"], None]


@contextmanager
def nobody() -> Iterator[str]:
    """An address at which nothing listens, nor can begin to: the port is taken until the end."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def free_port() -> int:
    """A port for a server that must be told one: outside of those that are given to whoever asks for any."""
    for port in range(10_000 + os.getpid() % 10_000, 32_000):  # each process of the tests begins elsewhere
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")


def completion(content: object, **more: object) -> dict[str, Any]:
    """A body as endpoints send it: 7 prompt and 3 completion tokens."""
    finish = more.pop("finish_reason", "stop")
    message = {"role": "assistant", "content": content, **more}
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}


def echoed(model: Any, tokenizer: Any, top: bool = True) -> Callable[["Exchange"], dict[str, Any]]:
    """What a completions server replies for a checkpoint: token by token, without this project's code.

    Args:
        model, tokenizer: The checkpoint.
        top: Whether the most probable token of each place is named.
    """
    import torch

    def reply(exchange: "Exchange") -> dict[str, Any]:
        asked = exchange.body["prompt"]
        ids = tokenizer(asked)["input_ids"] if isinstance(asked, str) else asked
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0].float()
        best = int(logits[-1].argmax())
        if not exchange.body.get("echo"):
            choice = {"text": tokenizer.decode([best])}
        else:
            told = [row.log_softmax(-1) for row in logits]
            places = list(zip(told, [*ids[1:], best], strict=True))
            named = [{tokenizer.decode([int(row.argmax())]): row.max().item()} for row, _ in places]
            logprobs = {"token_logprobs": [None, *(row[token].item() for row, token in places)]}
            logprobs |= {"top_logprobs": [None, *named]} if top else {}
            choice = {"text": tokenizer.decode([*ids, best]), "logprobs": logprobs}
        return {"choices": [{"index": 0, "finish_reason": "length", **choice}]}

    return reply


class Exchange:
    """One request, and ways to reply to it."""

    def __init__(self, server: "Server", connection: socket.socket, number: int, head: str, body: bytes) -> None:
        self.server, self.connection, self.number = server, connection, number
        self.head, self.body = head, json.loads(body)

    @property
    def question(self) -> str:
        return self.body["messages"][-1]["content"]

    def raw(self, data: bytes) -> None:
        self.connection.sendall(data)

    def send(self, status: int, content: object, headers: Mapping[str, str] = {}, length: int | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        lines = {"Content-Type": "application/json", "Content-Length": str(len(data) if length is None else length)}
        head = "".join(f"{name}: {value}\r\n" for name, value in {**lines, **headers}.items())
        self.raw(f"HTTP/1.1 {status} Told\r\n{head}\r\n".encode("latin-1") + data)

    def pieces(self, piece: bytes, pause: float, head: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> None:
        """Send the same bytes again and again until the client has gone or the server stops."""
        self.raw(head)
        while not self.server.stopping.wait(pause):
            self.raw(piece)


class Server:
    """A server that plays one mode at a time.

    Attributes:
        mode: What answers; None answers with `default`.
        seen: Bodies of the requests; `heads` their first lines and headers.
    """

    def __init__(self, default: Callable[[Exchange], object]) -> None:
        self.default = default
        self.mode: Mode | None = None
        self.seen: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def play(self, mode: Mode | None) -> None:
        """Take this mode, and forget the requests so far."""
        with self._lock:
            self.mode, self.seen, self.heads = mode, [], []

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                head, body = _read(connection)
                with self._lock:
                    exchange = Exchange(self, connection, len(self.seen), head, body)
                    self.seen.append(exchange.body)
                    self.heads.append(head)
                    mode = self.mode
                if mode is None:
                    exchange.send(200, self.default(exchange))
                else:
                    mode(exchange)
            except (OSError, ValueError):  # nobody to answer
                return


def _read(connection: socket.socket) -> tuple[str, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65_536)
        if not piece or piece.startswith(b"\x16"):  # the client has gone, or speaks TLS
            raise ConnectionError
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    length = next((int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65_536)
    return "\n".join(lines), body


def reset(exchange: Exchange) -> None:
    """Cut the connection with an RST in the middle of the body."""
    exchange.send(200, completion("half"), length=10_000)
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def says(content: object, **more: object) -> Mode:
    """A whole completion with this content."""
    return lambda e: e.send(200, completion(content, **more))


def body(value: object, status: int = 200, headers: Mapping[str, str] = {}) -> Mode:
    """A reply with this body."""
    return lambda e: e.send(status, value, headers)


def once(mode: Mode) -> Mode:
    """The first request only; the server's default answers the others."""
    return lambda e: mode(e) if e.number == 0 else e.send(200, e.server.default(e))


def _deep(depth: int) -> bytes:
    return b'{"choices":' + b"[" * depth + b"]" * depth + b"}"


@cache
def _bomb(size: int) -> bytes:
    return gzip.compress(b" " * size)


def modes(key: str, elsewhere: str) -> dict[str, Mode]:
    """Every mode by its name; those that speak tell the key wherever they can.

    Args:
        key: The key that the client sends.
        elsewhere: Address of another server, for redirects.
    """
    told = f"Incorrect API key provided: {key}. See your account."
    choice = completion("fine")["choices"][0]
    found = {
        "error_object": body({"error": {"message": told, "type": "invalid_request_error", "code": key}}),
        "error_text": body({"error": told}),
        "null_content": says(None),
        "reasoning_only": says(None, reasoning_content=f"I think of {key}"),
        "refusal_field": says(None, refusal=told),
        "filtered": says("I", finish_reason="content_filter"),
        "no_choices": body({"id": key}),
        "empty_choices": body({"choices": [], "note": told}),
        "two_choices": body({"choices": [choice, {**choice, "index": 1}], "note": told}),
        "wrong_index": body({"choices": [{**choice, "index": 7}], "note": told}),
        "choices_object": body({"choices": {"0": choice}, "note": told}),
        "content_int": says(5),
        "content_list": says([{"type": "text", "text": told}]),
        "content_dict": says({"text": told}),
        "content_long": says("word " * 30_000 + key),
        "content_key": says(told),
        "no_message": body({"choices": [{"index": 0, "text": told}]}),
        "html": body(f"<html><body>{told}</body></html>".encode(), headers={"Content-Type": "text/html"}),
        "empty_body": body(b""),
        "no_content": body(b"", 204),
        "not_json": body(f"{{'choices': [{told}".encode()),
        "array": body([told]),
        "deep": body(_deep(20_000)),
        "nearly_deep": body(_deep(900)),
        "not_utf8": body(b'{"choices": "\xff\xfe' + key.encode() + b'"}'),
        "truncated": lambda e: e.send(200, completion("half"), length=10_000),
        "reset": reset,
        "nothing": lambda e: None,
        "no_http": lambda e: e.raw(f"220 {told}\r\n".encode()),
        "silence": lambda e: e.server.stopping.wait(5),
        "drip": lambda e: e.pieces(b" ", 0.05),
        "drip_headers": lambda e: e.pieces(b"X-Key: a\r\n", 0.05, b"HTTP/1.1 200 OK\r\n"),
        "giant_headers": lambda e: e.pieces(b"x" * 10_000, 0, b"HTTP/1.1 200 OK\r\nX-Long: "),
        "continue": lambda e: e.pieces(b"HTTP/1.1 100 Continue\r\n\r\n", 0.01, b""),
        "giant": lambda e: e.pieces(b" " * 1_000_000, 0),
        "endless_chunks": lambda e: e.pieces(
            b"10000\r\n" + b" " * 65_536 + b"\r\n", 0, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        ),
        "gzip_bomb": lambda e: e.send(200, _bomb(30_000_000), {"Content-Encoding": "gzip"}),
        "no_gzip": body(b"plain", headers={"Content-Encoding": "gzip"}),
        "brotli": body(b"\x0b\x02\x80", headers={"Content-Encoding": "br"}),
        "echo_headers": lambda e: e.send(500, {"error": {"message": e.head}}, {"X-Echo": key}),
        "429_superscript": body({"error": told}, 429, {"Retry-After": "\xb2"}),
        "429_huge": body({"error": told}, 429, {"Retry-After": "9" * 30}),
        "429_date": body({"error": told}, 429, {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}),
        "429_bad_date": body({"error": told}, 429, {"Retry-After": "Fri, 99 Foo 0 99:99:99"}),
        "429_no_money": body({"error": {"message": told, "code": "insufficient_quota"}}, 429),
        "401_basic": body({"error": f"Basic {key} of user:{key}@host?api_key={key}"}, 401),
    }
    usages = {"many": b'"many"', "inf": b"1e999", "nan": b"NaN", "list": b"[1]", "minus": b"-7"}
    opened = json.dumps({"choices": [choice]})[:-1].encode() + b', "usage": {"prompt_tokens": '
    found |= {f"usage_{name}": body(opened + said + b"}}") for name, said in usages.items()}
    found |= {f"401_at_{n}": body(f"{'x' * n} {key} refused".encode(), 401) for n in (0, 270, 285, 290, 295, 299)}
    found |= {str(s): body({"error": {"message": told}}, s) for s in (400, 403, 404, 408, 409, 413, 422, 500, 503)}
    away = {"Location": f"{elsewhere}/?key={key}"}
    return found | {f"redirect_{status}": body({"error": told}, status, away) for status in (301, 302, 307, 308)}
