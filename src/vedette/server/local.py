"""The way to the server for what runs inside it: handlers called directly, bytes not copied."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar, cast

import msgspec

from vedette.client.transport import Body, Endpoint
from vedette.model.events import Event
from vedette.server.api import as_query
from vedette.server.call import Call, Content
from vedette.server.hub import batches
from vedette.server.routes import handlers
from vedette.server.site import Site

T = TypeVar("T")


class LocalTransport:
    """Calls within the server's process and event loop, with the rights of a service.

    `address` is where the server can be asked from outside, empty until it listens.
    """

    def __init__(self, site: Site) -> None:
        self.address = ""
        self._site = site
        self._handlers = handlers()

    async def call(
        self,
        endpoint: Endpoint[T],
        params: Mapping[str, str],
        query: Mapping[str, Any] | None = None,
        body: Body = None,
    ) -> T:
        """Carry out one operation."""
        answer = await self._answer(endpoint, params, query, body)
        if not isinstance(answer, Content):
            return cast(T, answer)
        if isinstance(answer.chunks, bytes):
            return cast(T, answer.chunks)
        return cast(T, b"".join([chunk async for chunk in answer.chunks]))

    @asynccontextmanager
    async def stream(
        self,
        endpoint: Endpoint[bytes],
        params: Mapping[str, str],
        query: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Carry out one operation and hand its bytes over as they come."""
        answer: Content = await self._answer(endpoint, params, query, None)
        chunks = _once(answer.chunks) if isinstance(answer.chunks, bytes) else answer.chunks
        try:
            yield chunks
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()

    async def events(self) -> AsyncGenerator[list[Event], None]:
        """What happens, straight from the hub. The first batch is empty: it listens from then."""
        async with aclosing(batches(self._site.hub)) as told:
            async for batch in told:
                yield batch

    async def close(self) -> None:
        """Nothing is held."""

    async def _answer(
        self,
        endpoint: Endpoint[Any],
        params: Mapping[str, str],
        query: Mapping[str, Any] | None,
        body: Body,
    ) -> Any:
        typed = None
        if endpoint.query is not None:
            given = {k: v for k, v in (query or {}).items() if v is not None}
            typed = as_query(endpoint.query, given)
        struct = body if isinstance(body, msgspec.Struct | Mapping) else None
        chunks: Any = b"" if body is None or struct is not None else body
        if callable(chunks):
            chunks = chunks()
        call = Call(params, query=typed, body=struct, chunks=chunks, inside=True)
        return await self._handlers[endpoint.name](self._site, call)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
