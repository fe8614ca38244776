"""What a handler is given and what it may answer, free of HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct

from vedette.model.errors import Forbidden, TooLarge
from vedette.server.site import Site

ADMIN = "admin"
SERVICE = "service"
WORKER = "worker"


class Call:
    """One call of one operation.

    `query` and `body` are decoded to the types that the endpoint names; a raw body is read through
    `chunks` or `data`. `scope` is what the caller's token allows; `inside` is set for calls that
    come from within the server's own process.
    """

    __slots__ = ("_chunks", "_gone", "body", "etag", "inside", "media", "params", "query", "scope")

    def __init__(
        self,
        params: Mapping[str, str],
        query: Any = None,
        body: Any = None,
        chunks: AsyncIterator[bytes] | bytes = b"",
        *,
        scope: str = ADMIN,
        inside: bool = False,
        gone: Callable[[], Awaitable[None]] | None = None,
        media: str = "",
        etag: str = "",
    ) -> None:
        self.params = params
        self.query = query
        self.body = body
        self._chunks = chunks
        self.scope = scope
        self.inside = inside
        self._gone = gone
        self.media = media
        self.etag = etag

    def chunks(self) -> AsyncIterator[bytes]:
        """The raw body in pieces. Can be read once."""
        if isinstance(self._chunks, bytes):
            return _once(self._chunks)
        return self._chunks

    async def data(self, limit: int) -> bytes | tuple[bytes, AsyncIterator[bytes]]:
        """The raw body if it has at most `limit` bytes, else its start and the rest to come."""
        if isinstance(self._chunks, bytes):
            if len(self._chunks) <= limit:
                return self._chunks
            return b"", _once(self._chunks)
        held: list[bytes] = []
        size = 0
        async for chunk in self._chunks:
            held.append(chunk)
            size += len(chunk)
            if size > limit:
                return b"".join(held), self._chunks
        return held[0] if len(held) == 1 else b"".join(held)

    async def gone(self) -> None:
        """Return when the caller has hung up. The body must have been read before."""
        if self._gone is None:
            await asyncio.Event().wait()
        else:
            await self._gone()

    def need_admin(self, what: str) -> None:
        """Raise Forbidden for tokens that may not do this."""
        if self.scope != ADMIN:
            raise Forbidden(f"a token of scope {self.scope} may not {what}: use one of scope admin")


class Content(Struct, frozen=True, kw_only=True):
    """Raw content as an answer. `etag` names it; `size` is its number of bytes where known."""

    chunks: bytes | AsyncIterator[bytes]
    media: str
    etag: str = ""
    size: int | None = None
    live: bool = False


Handler = Callable[[Site, Call], Awaitable[Any]]


async def limited(chunks: AsyncIterator[bytes], limit: int, what: str) -> AsyncIterator[bytes]:
    """Pass pieces on until there are more than `limit` bytes: TooLarge then."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"{what} has more than {limit} bytes, the limit of this server")
        yield chunk


async def _once(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data
