"""The way to a server over HTTP."""

from __future__ import annotations

import asyncio
import os
import secrets
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2
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
_LOST = (httpx2.ReadError, httpx2.WriteError, httpx2.CloseError, httpx2.RemoteProtocolError)
_LOOK = "What was sent cannot be read a second time: see whether it has arrived"
T = TypeVar("T")
_events = msgspec.json.Decoder(list[Event])


def default_address() -> str:
    """VEDETTE_ADDRESS, or this machine's port 7650."""
    return os.environ.get("VEDETTE_ADDRESS") or DEFAULT_ADDRESS


class HttpTransport:
    """Calls over HTTP, with connections kept open. Without arguments: as the environment says.

    The environment: VEDETTE_ADDRESS (http://127.0.0.1:7650) and VEDETTE_TOKEN. `ca_file` has the
    certificates to trust instead of the usual ones. `patience` is how many seconds the server may
    be silent (None: for ever, once it is reached).
    """

    def __init__(
        self,
        address: str | None = None,
        token: str | None = None,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        ca_file: str = "",
        patience: float | None = None,
        connections: int = 100,
    ) -> None:
        address = (address or default_address()).rstrip("/")
        self.address = address if "://" in address else f"http://{address}"
        token = token if token is not None else os.environ.get("VEDETTE_TOKEN", "")
        headers = {"authorization": f"Bearer {token}"} if token else {}
        try:
            self._http = httpx2.AsyncClient(
                base_url=self.address,
                headers=headers,
                timeout=httpx2.Timeout(patience or 60.0, read=patience, pool=None),
                limits=httpx2.Limits(max_connections=connections, keepalive_expiry=60.0),
                verify=_trusted(ca_file),
                transport=transport,
                trust_env=False,
            )
        except (httpx2.InvalidURL, ValueError) as error:
            raise Unavailable(f"address {self.address!r} is not a URL: {error}") from None

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
                if key and isinstance(error.__cause__, _LOST):
                    lost = error if again else Unavailable(f"{error.message}. {_LOOK}")
                # Who does not answer at all is waited for only where a call may be under way.
                unreached = isinstance(error.__cause__, httpx2.TransportError)
                pause = _PAUSE if lost and unreached else _pause_of(error)
                if not pause or not again or time.monotonic() + pause > until:
                    raise lost or error from error.__cause__
                await asyncio.sleep(pause)
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
        async with self.stream(EVENTS, {}) as chunks:
            async for line in lines(chunks):
                if line == b": listening":
                    yield []
                if line.startswith(b"data:"):
                    yield _events.decode(line[5:])

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    @asynccontextmanager
    async def _answer(
        self,
        endpoint: Endpoint[Any],
        params: Mapping[str, str],
        query: Mapping[str, Any] | None,
        body: Body,
        key: str = "",
    ) -> AsyncIterator[httpx2.Response]:
        content: bytes | AsyncIterator[bytes] | None
        headers = {"accept": f"{MSGPACK}, {endpoint.media}"}
        if isinstance(body, msgspec.Struct | Mapping):
            content = msgspec.msgpack.encode(body)
            headers["content-type"] = MSGPACK
        else:
            content = body() if callable(body) else body
            if body is not None:
                headers["content-type"] = endpoint.media
        if key:
            headers[KEY_HEADER] = key
        try:
            async with self._http.stream(
                endpoint.method,
                url(endpoint, params),
                params=_text(query),
                content=content,
                headers=headers,
            ) as response:
                if response.status_code >= 400:
                    raise error_of(response.status_code, await response.aread())
                yield response
        except httpx2.ConnectError as error:
            raise Unavailable(_not_reached(self.address, error)) from error
        except httpx2.TransportError as error:
            reason = str(error) or type(error).__name__
            raise Unavailable(f"the server at {self.address} went away: {reason}") from error


def _not_reached(address: str, error: BaseException) -> str:
    """Why there is no connection, in a line with the way out."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate of the server at {address} is not trusted "
                f"({cause.verify_message}): `vedette worker` takes the file of one with --ca-file"
            )
        if isinstance(cause, ssl.SSLError):
            return f"{address} does not speak TLS ({cause.reason}): try http:// in the address"
        cause = cause.__cause__ or cause.__context__
    return f"no server answers at {address}: start one with `vedette serve`"


def _new_key() -> str:
    return f"{time.time_ns() // 1_000_000:0{TIME_DIGITS}x}{secrets.token_hex(10)}"


def _pause_of(error: Unavailable) -> float:
    return float(error.fields.get("retry_after", 0))


def _trusted(ca_file: str) -> ssl.SSLContext | bool:
    if not ca_file:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise Invalid(f"--ca-file {ca_file}: {error.strerror or error}") from None


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


def _text(query: Mapping[str, Any] | None) -> dict[str, str] | None:
    if not query:
        return None
    given = {name: value for name, value in query.items() if value is not None and value != ""}
    return {
        name: ("true" if value else "false") if isinstance(value, bool) else str(value)
        for name, value in given.items()
    }
