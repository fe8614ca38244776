"""The way to a server over HTTP."""

from __future__ import annotations

import asyncio
import os
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
from vedette.client.transport import Body, Endpoint
from vedette.model.errors import Invalid, InvalidName, Unavailable, VedetteError, subclasses
from vedette.model.events import Event
from vedette.model.paths import clean

PATIENCE_SECONDS = 20.0
DEFAULT_ADDRESS = "http://127.0.0.1:7650"
MSGPACK = "application/msgpack"
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

        An answer that says that nothing was done and when to ask again (a server that stops, or
        hands over to another) is followed for up to PATIENCE_SECONDS.
        """
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                async with self._answer(endpoint, params, query, body) as response:
                    content = await response.aread()
                break
            except Unavailable as error:
                pause = float(error.fields.get("retry_after", 0))
                again = body is None or isinstance(body, bytes | msgspec.Struct | Mapping)
                if not pause or not again or time.monotonic() + pause > until:
                    raise
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
    ) -> AsyncIterator[httpx2.Response]:
        content: bytes | AsyncIterator[bytes] | None
        headers = {"accept": f"{MSGPACK}, {endpoint.media}"}
        if isinstance(body, msgspec.Struct | Mapping):
            content = msgspec.msgpack.encode(body)
            headers["content-type"] = MSGPACK
        else:
            content = body
            if body is not None:
                headers["content-type"] = endpoint.media
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
