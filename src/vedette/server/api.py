"""The API over HTTP: requests to calls, answers to bytes. Written against ASGI, without layers.

This is the hot path: a request costs some tens of microseconds here, so there is no middleware and
no request object; the operations themselves know nothing of HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec
import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from vedette.model.errors import Invalid, NotFound, TooLarge, Unavailable, VedetteError
from vedette.server import idempotency, problem
from vedette.server.call import ADMIN, Call, Content
from vedette.server.site import Site
from vedette.server.table import Operation, Table

MSGPACK = b"application/msgpack"
_log = structlog.get_logger("vedette.server")
_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode
_QUERY_LIMIT = 16 << 10


class HungUpError(Exception):
    """The caller has hung up."""


class Api:
    """The operations of `table`; whatever it does not know goes to `other`."""

    def __init__(self, site: Site, table: Table, other: ASGIApp) -> None:
        self.site = site
        self.table = table
        self.other = other

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            raw_path = raw_path_of(scope)
            found = self.table.find(scope["method"], raw_path)
            if found is not None:
                await self._serve(*found, scope, receive, send)
                return
            joined = raw_path.startswith(("/v1/devices/", "/v1/cameras/"))
            if raw_path.startswith("/v1/") and not joined:
                raise NotFound(f"there is no operation at {raw_path}: see /openapi.json")
            await self.other(scope, receive, send)
        except HungUpError:
            return
        except VedetteError as error:
            await problem.send(send, error)
        except Exception as failure:  # noqa: BLE001  the request boundary: the server goes on
            _log.exception("request failed", path=scope["path"])
            name = type(failure).__name__
            await problem.send(send, VedetteError(f"unforeseen {name}: the server's log says more"))

    async def _serve(
        self,
        operation: Operation,
        params: dict[str, str],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        headers = dict(scope["headers"])
        call = Call(
            params,
            query=_query(operation, scope["query_string"]),
            chunks=_chunks(receive),
            scope=scope.get("vedette.scope", ADMIN),
            gone=partial(_hung_up, receive),
            media=headers.get(b"content-type", b"").decode("latin-1"),
            etag=headers.get(b"if-none-match", b"").decode("latin-1").strip('"'),
        )
        wanted = operation.endpoint.body
        if wanted is not None and wanted is not bytes:
            call.body = await self._decoded(wanted, call, headers)
        elif wanted is bytes:
            _check_length(headers, self.site.limits.stream)
        answer = await self._carried_out(operation, call, scope, headers)
        if isinstance(answer, Content):
            await _send_content(answer, call, scope["method"], receive, send)
        elif answer is None:
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await send_value(send, answer, headers.get(b"accept", b""))

    async def _carried_out(
        self, operation: Operation, call: Call, scope: Scope, headers: dict[bytes, bytes]
    ) -> Any:
        if idempotency.KEY not in headers:
            return await operation.handler(self.site, call)
        target = b"%b?%b" % (raw_path_of(scope).encode("latin-1"), scope["query_string"])
        key = idempotency.key_of(operation.endpoint, headers, target)
        if key is None:
            return await operation.handler(self.site, call)
        return await idempotency.carried_out(
            self.site, operation.endpoint, operation.handler, call, key
        )

    async def _decoded(self, wanted: Any, call: Call, headers: dict[bytes, bytes]) -> Any:
        limits = self.site.limits
        packed = call.media.startswith("application/msgpack")
        limit = limits.msgpack if packed else limits.json
        _check_length(headers, limit)
        data = await call.data(limit)
        if not isinstance(data, bytes):
            raise TooLarge(f"the body has more than {limit} bytes, the limit of this operation")
        decode = msgspec.msgpack.decode if packed else msgspec.json.decode
        try:
            return decode(data, type=wanted)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Invalid(f"the body cannot be understood: {error}") from None


def raw_path_of(scope: Scope) -> str:
    """The path of a request before percent-decoding."""
    raw = scope.get("raw_path")
    if raw is None:
        return cast(str, scope["path"])
    return cast(bytes, raw).partition(b"?")[0].decode("latin-1")


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUpError
        chunk = message.get("body", b"")
        if chunk:
            yield chunk
        if not message.get("more_body"):
            return


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _check_length(headers: dict[bytes, bytes], limit: int) -> None:
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > limit:
        raise TooLarge(f"a body of {int(length)} bytes: at most {limit} are taken here")


def _query(operation: Operation, text: bytes) -> Any:
    wanted = operation.endpoint.query
    if wanted is None:
        return None
    if not text:
        found: dict[str, str] = {}
    elif len(text) > _QUERY_LIMIT:
        raise TooLarge(f"the query has {len(text)} bytes: at most {_QUERY_LIMIT}")
    else:
        try:
            pairs = parse_qsl(
                text.decode("latin-1"), keep_blank_values=True, errors="strict", max_num_fields=50
            )
        except (UnicodeDecodeError, ValueError) as error:
            raise Invalid(f"the query cannot be understood: {error}") from None
        found = {
            name: "true" if value == "" and name in operation.flags else value
            for name, value in pairs
        }
    return as_query(wanted, found)


def as_query(wanted: Any, found: dict[str, Any]) -> Any:
    """The typed query of an operation from names and values."""
    try:
        return msgspec.convert(found, wanted, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(f"the query cannot be understood: {error}") from None


async def send_value(send: Send, answer: object, accept: bytes) -> None:
    """Answer with a value, as MessagePack where the caller takes it."""
    if MSGPACK in accept:
        await _send_whole(send, _to_msgpack(answer), MSGPACK)
    else:
        await _send_whole(send, _to_json(answer), b"application/json")


async def _send_whole(send: Send, content: bytes, media: bytes) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", media),
                (b"content-length", str(len(content)).encode()),
            ],
        }
    )
    await send({"type": "http.response.body", "body": content})


async def _send_content(
    content: Content, call: Call, method: str, receive: Receive, send: Send
) -> None:
    headers = [
        (b"content-type", content.media.encode()),
        (b"x-content-type-options", b"nosniff"),
        # Stored files are shown from the dashboard's own origin: none may act in its name.
        (b"content-security-policy", b"sandbox; default-src 'none'; style-src 'unsafe-inline'"),
        (b"cache-control", b"no-cache"),
    ]
    if content.etag:
        headers.append((b"etag", f'"{content.etag}"'.encode()))
    status = 304 if content.etag and content.etag == call.etag else 200
    if content.size is not None and status == 200:
        headers.append((b"content-length", str(content.size).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if status == 304 or method == "HEAD":
        await _close(content.chunks)
        await send({"type": "http.response.body", "body": b""})
    elif isinstance(content.chunks, bytes):
        await send({"type": "http.response.body", "body": content.chunks})
    else:
        pump = _pump(content.chunks, send)
        try:
            await (_until_gone(pump, receive) if content.live else pump)
        except VedetteError as error:
            # The answer has begun, so it can only break off: the caller sees an incomplete one.
            _log.error("an answer broke off", reason=error.message)


async def _pump(chunks: AsyncIterator[bytes], send: Send) -> None:
    try:
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        await _close(chunks)


async def _close(chunks: bytes | AsyncIterator[bytes]) -> None:
    close: Callable[[], Awaitable[None]] | None = getattr(chunks, "aclose", None)
    if close is not None:
        await close()


async def _until_gone(pump: Any, receive: Receive) -> None:
    """Run a stream that may never end by itself until the caller hangs up."""

    async def gone() -> None:
        message: MutableMapping[str, Any] = {"type": ""}
        while message["type"] != "http.disconnect":
            message = await receive()

    try:
        await first_end(pump, gone())
    except Exception as error:
        raise Unavailable(f"the stream broke: {error}") from error


async def first_end(*works: Awaitable[None]) -> None:
    """Run several until one ends, and cancel the others. Raises what it raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
