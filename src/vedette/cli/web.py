"""Web addresses as sources of `put-file`: fetched a few at a time, kept on disk meanwhile."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from typing import IO, TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from vedette.model.errors import Invalid, NotFound, VedetteError

if TYPE_CHECKING:
    import asyncio

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_IN_MEMORY = 4 << 20


def is_address(origin: str) -> bool:
    """Whether a source is on the web."""
    return origin.startswith(("http://", "https://"))


def local(origin: str) -> str:
    """A source as it is, but a file:// address as the path that it names.

    Raises Invalid for an address of another sort, unless a file is called so.
    """
    scheme, found, _ = origin.partition("://")
    if not found or is_address(origin) or not _SCHEME.fullmatch(scheme) or os.path.exists(origin):
        return origin
    parts = urlsplit(origin)
    if scheme.lower() != "file":
        raise Invalid(
            f"{origin}: only http, https and file addresses can be read; pipe it into put-file -f -"
        )
    if parts.netloc not in ("", "localhost"):
        raise Invalid(f"{origin} is on another machine: write file:///PATH for a file of this one")
    return unquote(parts.path, errors="surrogateescape")


async def fetched(address: str) -> AsyncGenerator[bytes, None]:
    """What is at an address, in pieces. Raises NotFound for any answer but 200."""
    import httpx2

    try:
        async with (
            httpx2.AsyncClient(follow_redirects=True, timeout=60.0) as web,
            web.stream("GET", address) as answer,
        ):
            if answer.status_code != 200:
                raise NotFound(f"{address} answers {answer.status_code} {answer.reason_phrase}")
            async for piece in answer.aiter_bytes():
                yield piece
    except httpx2.HTTPError as error:
        raise VedetteError(f"{address} cannot be read: {error or type(error).__name__}") from None


class Fetched(NamedTuple):
    """A document that was read whole: its size in bytes, and a file at its beginning."""

    size: int
    file: IO[bytes]


async def _keep(address: str) -> Fetched:
    import tempfile

    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - its reader closes it
    size = 0
    try:
        async for piece in fetched(address):
            size += len(piece)
            file.write(piece)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return Fetched(size, file)


class Ahead:
    """Reads addresses in their order, `parallel` of them at a time."""

    def __init__(self, addresses: Iterable[str], parallel: int) -> None:
        self._left = deque(addresses)
        self._parallel = parallel
        self._under_way: deque[asyncio.Task[Fetched]] = deque()

    async def next(self) -> Fetched:
        """The next document; who gets it closes its file."""
        import asyncio

        while self._left and len(self._under_way) < self._parallel:
            self._under_way.append(asyncio.create_task(_keep(self._left.popleft())))
        return await self._under_way.popleft()

    async def close(self) -> None:
        """Give up what nobody asked for."""
        if not self._under_way:
            return
        import asyncio

        for task in self._under_way:
            task.cancel()
        for task in self._under_way:
            with suppress(asyncio.CancelledError, VedetteError):
                (await task).file.close()
        self._under_way.clear()
