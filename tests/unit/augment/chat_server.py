"""An OpenAI-compatible endpoint on loopback that writes harmless texts and fails as told."""

import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zlib import crc32

LEAK = "Oslo"


def write(asked: dict[str, str]) -> dict[str, object]:
    """What a good model would reply; the same for the same request."""
    if "candidate" in asked:
        leaked = [LEAK] if LEAK in asked["candidate"] else []
        return {"reasoning": "looked", "leaked": leaked, "verdict": "leaks" if leaked else "clean"}
    number = crc32(json.dumps(asked, sort_keys=True).encode())
    if '"question"' in asked["reply_with"]:
        return {"question": f"In other words {letters(number)}, about the same thing: {asked['question']}"}
    return {"answer": f"Ann Lee is known to keep such matters {letters(number)} and quiet."}


def letters(number: int) -> str:
    """A pronounceable word for a number."""
    return "".join("bdfglmnprst"[number // 11**k % 11] + "aeiou"[number // 5**k % 5] for k in range(4))


class ChatServer:
    """Plays a script, then writes.

    A step is an HTTP status, a text to be sent as content, or "cut", "hang" (no answer, as long as the server runs),
    "refuse". `steps` are played first, in order of arrival; `rule` (request to step, or None) decides after that.
    """

    def __init__(
        self, steps: list[object] | None = None, rule: Callable[[dict[str, str]], object] | None = None
    ) -> None:
        self.steps, self.rule = steps or [], rule
        self.seen: list[dict[str, str]] = []
        self.lock, self.release = threading.Lock(), threading.Event()
        handler = type("Handler", (_Handler,), {"chat": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> "ChatServer":
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def step(self, asked: dict[str, str]) -> object:
        with self.lock:
            self.seen.append(asked)
            if self.steps:
                return self.steps.pop(0)
        return self.rule(asked) if self.rule else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    chat: ChatServer

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = json.loads(next(m["content"] for m in body["messages"] if m["role"] == "user"))
        step = self.chat.step(asked)
        if step == "hang":
            self.chat.release.wait()
        if step in ("cut", "hang"):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if isinstance(step, int):
            self._send(step, {"error": "no"}, {"Retry-After": "0"} if step == 429 else {})
            return
        text = step if isinstance(step, str) and step != "refuse" else json.dumps(write(asked))
        message = {"role": "assistant", "content": text, **({"refusal": "I will not."} if step == "refuse" else {})}
        usage = {"prompt_tokens": 10, "completion_tokens": 5}
        self._send(200, {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}, {})

    def _send(self, status: int, value: object, headers: dict[str, str]) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, header in headers.items():
            self.send_header(name, header)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
