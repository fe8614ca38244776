"""DirectStore to the object store and back, by links that the server signed; no keys are needed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import structlog

from vedette.model.hosts import Direct
from vedette.worker.pieces import pieces

PATIENCE = 30.0
REST = 60.0
"""Seconds for which the store is left alone after it could not be reached."""

_log = structlog.get_logger("vedette.worker")


class DirectStore:
    """The store as this host reaches it. Whatever fails here goes through the server instead."""

    def __init__(self) -> None:
        self._http = httpx2.AsyncClient(timeout=PATIENCE, trust_env=False)
        self._not_before = 0.0

    async def get(self, link: Direct, take: Callable[[bytes], Awaitable[None]]) -> bool:
        """Read an object's bytes; False if they did not all come."""
        if time.monotonic() < self._not_before:
            return False
        last = link.offset + link.length - 1
        count = 0
        try:
            headers = {"range": f"bytes={link.offset}-{last}"}
            async with self._http.stream("GET", link.url, headers=headers) as answer:
                if answer.status_code != 206:
                    return self._failed(f"it answered {answer.status_code}")
                async for piece in answer.aiter_bytes():
                    await take(piece)
                    count += len(piece)
        except httpx2.HTTPError as error:
            return self._failed(str(error) or type(error).__name__)
        return count == link.length

    async def put(self, url: str, descriptor: int, size: int) -> bool:
        """Write a file's bytes; False if they were not taken."""
        if time.monotonic() < self._not_before:
            return False

        async def content() -> AsyncIterator[bytes]:
            found = pieces(descriptor)
            while (piece := await asyncio.to_thread(next, found, None)) is not None:
                yield piece

        try:
            headers = {"content-length": str(size)}
            answer = await self._http.put(url, content=content(), headers=headers)
        except httpx2.HTTPError as error:
            return self._failed(str(error) or type(error).__name__)
        if answer.status_code >= 300:
            return self._failed(f"it answered {answer.status_code}")
        return True

    def _failed(self, reason: str) -> bool:
        # The address is not told: its signature would let whoever reads the log in.
        self._not_before = time.monotonic() + REST
        _log.warning("the object store is not reached: through the server", reason=reason)
        return False

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
