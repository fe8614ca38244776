"""Answers that go on until the reader leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class Stream(Response):
    """Server-sent events out of a generator, which is closed at once when the reader leaves.

    Starlette's own streaming answer notices a reader that left with the next thing it sends, and
    leaves the generator to the garbage collector: until then somebody would seem to be watching.
    """

    def __init__(self, messages: AsyncGenerator[str, None], headers: Mapping[str, str]) -> None:
        super().__init__(headers={**headers, "content-type": "text/event-stream"})
        del self.headers["content-length"]
        self._messages = messages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the generator ends or the reader leaves."""
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        tasks = [asyncio.create_task(self._send(send)), asyncio.create_task(_left(receive))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            failures = await asyncio.gather(*tasks, return_exceptions=True)
            await self._messages.aclose()
        for failure in failures:
            if isinstance(failure, Exception) and not isinstance(failure, OSError):
                raise failure

    async def _send(self, send: Send) -> None:
        async for message in self._messages:
            await send({"type": "http.response.body", "body": message.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
