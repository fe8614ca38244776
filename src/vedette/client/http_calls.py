"""What is the same for every way to a server over HTTP: keys, sending again, errors, addresses.

Whoever imports this has not paid for an HTTP library or an event loop.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from vedette.client.endpoints import EVENTS
from vedette.client.lines import lines
from vedette.client.transport import KEY_HEADER, TIME_DIGITS, Body, Endpoint
from vedette.model.errors import Invalid, InvalidName, Unavailable, VedetteError, subclasses
from vedette.model.events import Event
from vedette.model.paths import clean

PATIENCE_SECONDS = 20.0
DEFAULT_ADDRESS = "http://127.0.0.1:7650"
MSGPACK = "application/msgpack"
_PAUSE = 0.2
_AGAIN = (bytes, msgspec.Struct, Mapping)
_LOOK = "What was sent cannot be read a second time: see whether it has arrived"
T = TypeVar("T")
Content = bytes | AsyncIterator[bytes] | None


class WireError(Exception):
    """The way to the server broke; the text says how, or is a whole line for the user."""


class UnreachedError(WireError):
    """There was no connection. The text is a whole line for the user."""


class LostError(WireError):
    """The connection ended after the call was sent, or while it was: it may have been done."""


class Answer(Protocol):
    """What a server answers. Its bytes can be read once, in one of two ways."""

    @property
    def status_code(self) -> int:
        """200, 404, ..."""

    async def aread(self) -> bytes:
        """All bytes."""

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        """The bytes in pieces, as they come."""


class HttpCalls(ABC):
    """Calls over HTTP. How bytes travel and how one pauses is up to those who inherit."""

    def __init__(self, address: str | None, token: str | None) -> None:
        address = (address or default_address()).rstrip("/")
        self.address = address if "://" in address else f"http://{address}"
        token = token if token is not None else os.environ.get("VEDETTE_TOKEN", "")
        if not (token.isascii() and token.isprintable()):
            raise Invalid("the token holds what no token has: copy it again (VEDETTE_TOKEN)")
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    @abstractmethod
    def _send(
        self,
        method: str,
        target: str,
        query: dict[str, str],
        headers: dict[str, str],
        content: Content,
    ) -> AbstractAsyncContextManager[Answer]:
        """Send a request and give the answer; its rest is let go of at the end.

        Raises WireError, also out of reading the answer.
        """

    @abstractmethod
    async def _sleep(self, seconds: float) -> None:
        """Pause before a call is sent again."""

    async def call(
        self,
        endpoint: Endpoint[T],
        params: Mapping[str, str],
        query: Mapping[str, Any] | None = None,
        body: Body = None,
    ) -> T:
        """Send one call and read its answer whole.

        What is safe to send again is, for up to PATIENCE_SECONDS: where the server says that
        nothing was done and when to ask again (it stops, or hands over to another); and where the
        answer was lost, for what changes something has a key that keeps it from being done twice.
        Not a stream that can be read only once.
        """
        key = _new_key() if endpoint.once and endpoint.method != "GET" else ""
        again = body is None or callable(body) or isinstance(body, _AGAIN)
        lost: Unavailable | None = None
        until = 0.0
        while True:
            try:
                async with self._answer(endpoint, params, query, body, key) as response:
                    content = await response.aread()
                break
            except Unavailable as error:
                until = until or time.monotonic() + PATIENCE_SECONDS
                if key and isinstance(error.__cause__, LostError):
                    lost = error if again else Unavailable(f"{error.message}. {_LOOK}")
                # Who does not answer at all is waited for only where a call may be under way.
                unreached = isinstance(error.__cause__, WireError)
                pause = _PAUSE if lost and unreached else _pause_of(error)
                if not pause or not again or time.monotonic() + pause > until:
                    raise lost or error from error.__cause__
                await self._sleep(pause)
        if endpoint.answer is bytes:
            return content  # type: ignore[return-value]
        if response.status_code == 204:
            return None  # type: ignore[return-value]
        return msgspec.msgpack.decode(content, type=endpoint.answer)

    @asynccontextmanager
    async def stream(
        self,
        endpoint: Endpoint[bytes],
        params: Mapping[str, str],
        query: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Send one call and read its answer in pieces."""
        async with self._answer(endpoint, params, query, None) as response:
            yield response.aiter_bytes()

    async def events(self) -> AsyncGenerator[list[Event], None]:
        """Server-sent events, as values. The first batch is empty: the server listens from then."""
        decoder = msgspec.json.Decoder(list[Event])
        async with self.stream(EVENTS, {}) as chunks:
            async for line in lines(chunks):
                if line == b": listening":
                    yield []
                if line.startswith(b"data:"):
                    yield decoder.decode(line[5:])

    @asynccontextmanager
    async def _answer(
        self,
        endpoint: Endpoint[Any],
        params: Mapping[str, str],
        query: Mapping[str, Any] | None,
        body: Body,
        key: str = "",
    ) -> AsyncIterator[Answer]:
        content: Content
        headers = {**self._headers, "accept": f"{MSGPACK}, {endpoint.media}"}
        if isinstance(body, msgspec.Struct | Mapping):
            content = msgspec.msgpack.encode(body)
            headers["content-type"] = MSGPACK
        else:
            content = body() if callable(body) else body
            if body is not None:
                headers["content-type"] = endpoint.media
        if key:
            headers[KEY_HEADER] = key
        target = url(endpoint, params)
        try:
            async with self._send(
                endpoint.method, target, _text(query), headers, content
            ) as response:
                if response.status_code >= 400:
                    raise error_of(response.status_code, await response.aread())
                yield response
        except UnreachedError as error:
            raise Unavailable(str(error)) from error
        except WireError as error:
            raise Unavailable(f"the server at {self.address} went away: {error}") from error


def default_address() -> str:
    """VEDETTE_ADDRESS, or this machine's port 7650."""
    return os.environ.get("VEDETTE_ADDRESS") or DEFAULT_ADDRESS


def not_an_address(address: str, reason: object) -> Unavailable:
    """What cannot be the address of a server."""
    return Unavailable(f"address {address!r} is not a URL: {reason}")


def nobody_at(address: str) -> str:
    """The line for a server that does not run."""
    return f"no server answers at {address}: start one with `vedette serve`"


def _new_key() -> str:
    return f"{time.time_ns() // 1_000_000:0{TIME_DIGITS}x}{os.urandom(10).hex()}"


def _pause_of(error: Unavailable) -> float:
    return float(error.fields.get("retry_after", 0))


def url(endpoint: Endpoint[Any], params: Mapping[str, str]) -> str:
    """The path of a call, each parameter quoted once.

    Raises InvalidPath or InvalidName for what an address cannot hold: dots and nothing would be
    taken for steps in the address itself.
    """
    quoted: dict[str, str] = {}
    for name, value in params.items():
        if name == "path":
            quoted[name] = quote(clean(value).lstrip("/"))
        elif value in ("", ".", ".."):
            raise InvalidName(f"{name} {value!r}: give a name")
        else:
            quoted[name] = quote(value, safe="")
    return endpoint.path.format(**quoted)


def error_of(status: int, content: bytes) -> VedetteError:
    """The error that a problem+json answer tells of."""
    try:
        problem = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = content[:200].decode(errors="replace").strip()
        return VedetteError(f"the server answered {status}: {text or 'nothing else'}")
    kinds = subclasses()
    kind = kinds.get(str(problem.get("kind")), VedetteError)
    pause = problem.get("retry_after")
    fields = {"retry_after": pause} if isinstance(pause, int) else {}
    return kind(
        str(problem.get("detail") or problem.get("title") or f"the server answered {status}"),
        **fields,
    )


def _text(query: Mapping[str, Any] | None) -> dict[str, str]:
    given = {
        name: value for name, value in (query or {}).items() if value is not None and value != ""
    }
    return {
        name: ("true" if value else "false") if isinstance(value, bool) else str(value)
        for name, value in given.items()
    }
