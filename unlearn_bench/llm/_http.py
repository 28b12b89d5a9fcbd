"""One HTTP exchange that ends: limits of time and of size, no redirects, and a separate connection per request.

Every request has its own connection, so the reply to one question can never be read as the reply to another. The key
is sent to the address that was given and to no other.
"""

import asyncio
import json
import logging
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from unlearn_bench import __version__
from unlearn_bench.errors import UserError
from unlearn_bench.llm._types import Fault, extra
from unlearn_bench.redact import brief

if TYPE_CHECKING:
    import ssl

    import httpx

Value = TypeVar("Value")
_TICK = 0.25  # seconds between looks at the stop signal


@dataclass(frozen=True)
class Limits:
    """When an exchange is given up.

    Attributes:
        connect: Seconds until there is a connection.
        silence: Seconds without a byte from the server.
        total: Seconds for the whole exchange, however steadily bytes drip in.
        grace: Seconds that an exchange still has when the run is stopped: its answer may be paid for.
        size: Bytes of the body, unpacked.
    """

    connect: float = 10.0
    silence: float = 120.0
    total: float = 600.0
    grace: float = 5.0
    size: int = 2 * 2**20


class Reply(NamedTuple):
    """A whole reply."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def post(url: str, body: Mapping[str, Any], key: str | None, limits: Limits, stopped: Callable[[], bool]) -> Reply:
    """Send a JSON body; must not be called from a thread with a running event loop.

    Raises:
        Fault: if no complete reply arrives within the limits.
        UserError: if the environment's proxies or certificates cannot be used.
    """
    httpx = extra("httpx")
    # httpcore logs headers, and servers echo keys in headers
    logging.getLogger("httpcore").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
    headers |= {"Connection": "close", "User-Agent": f"unlearn-bench/{__version__}"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    content = json.dumps(body, allow_nan=False).encode()
    try:
        return asyncio.run(_bounded(_exchange(url, content, headers, limits), limits, stopped))
    except httpx.TimeoutException as error:
        unreachable = isinstance(error, httpx.ConnectTimeout)
        seconds = limits.connect if unreachable else limits.silence
        raise Fault("timeout", f"no byte in {seconds:g} s", retriable=True, unreachable=unreachable) from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        said = str(error) or type(error).__name__
        raise Fault("connection", said, retriable=True, unreachable=isinstance(error, httpx.ConnectError)) from None


async def _bounded(exchange: Awaitable[Value], limits: Limits, stopped: Callable[[], bool]) -> Value:
    task = asyncio.ensure_future(exchange)
    now = asyncio.get_running_loop().time
    end, stopping = now() + limits.total, False
    while not task.done() and now() < end:
        await asyncio.wait({task}, timeout=min(_TICK, max(0.0, end - now())))
        if stopped() and not stopping:
            end, stopping = min(end, now() + limits.grace), True
    if task.done():
        return task.result()
    task.cancel()
    raise Fault("timeout", f"no whole answer in {limits.total:g} s", retriable=False)


async def _exchange(url: str, content: bytes, headers: Mapping[str, str], limits: Limits) -> Reply:
    async with (
        _client(limits) as client,
        client.stream("POST", url, content=content, headers=headers) as response,
    ):
        return Reply(response.status_code, response.headers, await _body(response, limits.size))


def _client(limits: Limits) -> "httpx.AsyncClient":
    """A client that follows no redirects and honours the environment's proxies and authorities.

    Raises:
        UserError: if the environment's are none.
    """
    httpx = extra("httpx")
    patience = httpx.Timeout(limits.silence, connect=limits.connect)
    try:
        return httpx.AsyncClient(verify=_tls(), timeout=patience, follow_redirects=False)
    except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
        raise UserError(
            f"the environment's settings of proxies or certificates cannot be used: {brief(error)}",
            hint="look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY and SSL_CERT_FILE",
        ) from None


@cache
def _tls() -> "ssl.SSLContext":
    """The system's or certifi's authorities: read once, not for every request."""
    return extra("httpx").create_ssl_context()


async def _body(response: "httpx.Response", size: int) -> bytes:
    """The body, unpacked where the server packed it though it was asked not to."""
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise Fault("malformed_body", f"the body is packed as {coding}", retriable=False)
    unpack = zlib.decompressobj(47) if coding not in ("", "identity") else None  # 47: gzip or zlib, by its header
    body = bytearray()
    async for chunk in response.aiter_raw(65_536):
        try:
            body += unpack.decompress(chunk, size + 1 - len(body)) if unpack else chunk
        except zlib.error as error:
            raise Fault("malformed_body", f"the body cannot be unpacked: {error}", retriable=True) from None
        if len(body) > size:
            raise Fault("too_large", f"the body is longer than {size} bytes", retriable=False)
    return bytes(body)
