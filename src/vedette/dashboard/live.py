"""Pages that follow what happens: one look at the data for all who watch, at most once a second.

Each open page holds one stream of server-sent events. While there is at least one, a single
listener takes the server's events; after any, each kind of page that is watched is gathered and
drawn once, whoever watches it, and only the blocks that came out different are sent. With nobody
watching nothing is listened to and nothing drawn.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

import structlog

from vedette.client import Client
from vedette.model.errors import VedetteError

PAUSE = 1.0
HEARTBEAT = 15.0
Blocks = Mapping[str, str]
Draw = Callable[[], Awaitable[Blocks]]
_log = structlog.get_logger("vedette.dashboard")


class _Sheet:
    """A page that is watched: what was drawn of it last, for all who watch it."""

    def __init__(self) -> None:
        self.watchers = 0
        self.round = -1
        self.blocks: Blocks = {}
        self.drawing = asyncio.Lock()


class Live:
    """Tells watchers when to look again, and keeps what was drawn for the next one."""

    def __init__(self, client: Client, *, pause: float = PAUSE) -> None:
        self._client = client
        self._pause = pause
        self._round = 0
        self._ended = False
        self._news = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None
        self._sheets: dict[str, _Sheet] = {}

    async def watch(self, address: str, draw: Draw) -> AsyncGenerator[Blocks, None]:
        """The blocks of the page at `address`: all of them at first, then those that changed.

        An empty mapping says that nothing has changed for a while. Ends when the server stops.
        """
        seen, shown = -1, dict[str, str]()
        with self._watching(address) as sheet:
            while not self._ended:
                if self._round == seen:
                    await self._wait()
                    if self._round == seen:
                        yield {}
                    continue
                seen = self._round
                blocks = await self._blocks(sheet, draw)
                changed = {name: text for name, text in blocks.items() if shown.get(name) != text}
                shown.update(changed)
                if changed:
                    yield changed
                await asyncio.sleep(self._pause)

    async def _blocks(self, sheet: _Sheet, draw: Draw) -> Blocks:
        async with sheet.drawing:
            now = self._round
            if sheet.round != now:
                sheet.blocks = await draw()
                sheet.round = now
            return sheet.blocks

    async def _wait(self) -> None:
        news = self._news
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT):
                await news.wait()

    @contextmanager
    def _watching(self, address: str) -> Iterator[_Sheet]:
        if self._listener is None:
            # What happened before is seen by the first look, which comes after this.
            self._ended = False
            self._round += 1
            self._listener = asyncio.create_task(self._listen())
        sheet = self._sheets.setdefault(address, _Sheet())
        sheet.watchers += 1
        try:
            yield sheet
        finally:
            sheet.watchers -= 1
            if not sheet.watchers:
                del self._sheets[address]
            if not self._sheets:
                self._listener.cancel()
                self._listener = None

    async def _listen(self) -> None:
        try:
            async for _ in self._client.events():
                self._tell()
        except VedetteError as error:
            _log.warning("live pages stop", reason=error.message)
        finally:
            # Events end when the server stops: so do the streams of pages, which then try again.
            # A listener that was given up has a successor, whose streams are not to end.
            if self._listener is asyncio.current_task():
                self._ended = True
                self._tell()

    def _tell(self) -> None:
        self._round += 1
        news, self._news = self._news, asyncio.Event()
        news.set()
