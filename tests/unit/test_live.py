"""Live pages: one look for all who watch, and only what changed is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from vedette.client import Client
from vedette.dashboard import graph
from vedette.dashboard.live import Live
from vedette.model.events import Event
from vedette.model.pipeline import PipelineInfo

ROUND = Event(kind="round")


class Happening:
    """A client whose events a test makes happen."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self.listening = 0

    async def events(self) -> AsyncIterator[Event]:
        self.listening += 1
        try:
            while (event := await self.queue.get()) is not None:
                yield event
        finally:
            self.listening -= 1


class Sheet:
    """A page with two blocks, one of which changes, and how often it was drawn."""

    def __init__(self) -> None:
        self.drawn = 0
        self.count = 0

    async def draw(self) -> Mapping[str, str]:
        self.drawn += 1
        return {"live_still": "still", "live_count": str(self.count)}


def run(story: Callable[[Live, Happening, Sheet], Awaitable[Any]]) -> None:
    async def main() -> None:
        happening = Happening()
        await story(Live(cast(Client, happening), pause=0.0), happening, Sheet())

    asyncio.run(main())


def test_the_first_look_has_all_blocks_and_later_ones_what_changed() -> None:
    async def story(live: Live, happening: Happening, sheet: Sheet) -> None:
        watch = live.watch("/", sheet.draw)
        assert set(await anext(watch)) == {"live_still", "live_count"}
        sheet.count = 1
        await happening.queue.put(ROUND)
        assert await anext(watch) == {"live_count": "1"}
        await watch.aclose()

    run(story)


def test_who_watches_the_same_page_shares_one_look() -> None:
    async def story(live: Live, happening: Happening, sheet: Sheet) -> None:
        watchers = [live.watch("/", sheet.draw) for _ in range(5)]
        await asyncio.gather(*(anext(watch) for watch in watchers))
        assert sheet.drawn == 1
        sheet.count = 1
        await happening.queue.put(ROUND)
        assert (
            await asyncio.gather(*(anext(watch) for watch in watchers)) == [{"live_count": "1"}] * 5
        )
        assert sheet.drawn == 2
        for watch in watchers:
            await watch.aclose()

    run(story)


def test_pages_with_other_addresses_are_drawn_apart() -> None:
    async def story(live: Live, happening: Happening, sheet: Sheet) -> None:
        one, other = live.watch("/", sheet.draw), live.watch("/jobs", sheet.draw)
        await anext(one)
        await anext(other)
        assert sheet.drawn == 2
        await one.aclose()
        await other.aclose()

    run(story)


def test_nothing_is_listened_to_when_nobody_watches() -> None:
    async def story(live: Live, happening: Happening, sheet: Sheet) -> None:
        for _ in range(2):
            watch = live.watch("/", sheet.draw)
            await anext(watch)
            await asyncio.sleep(0)
            assert happening.listening == 1
            await watch.aclose()
            await asyncio.sleep(0)
            assert happening.listening == 0

    run(story)


def test_a_burst_is_seen_in_one_look() -> None:
    async def story(live: Live, happening: Happening, sheet: Sheet) -> None:
        watch = live.watch("/", sheet.draw)
        await anext(watch)
        sheet.count = 7
        for _ in range(50):
            await happening.queue.put(ROUND)
        assert await anext(watch) == {"live_count": "7"}
        assert sheet.drawn <= 3
        await watch.aclose()

    run(story)


def test_streams_end_with_the_server_and_begin_anew_with_the_next() -> None:
    async def story(live: Live, happening: Happening, sheet: Sheet) -> None:
        watch = live.watch("/", sheet.draw)
        await anext(watch)
        await happening.queue.put(None)
        assert [blocks async for blocks in watch] == []
        again = live.watch("/", sheet.draw)
        assert await anext(again)
        await again.aclose()

    run(story)


def test_a_clock_is_drawn_though_its_spec_names_no_repo() -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    ticking = PipelineInfo(
        name="tick", version=1, created=now, state="RUNNING", inputs=("tick_clock",),
        spec={"input": {"cron": {"name": "clock", "spec": "@daily"}}},
    )  # fmt: skip
    (link,) = graph.links_of(ticking)
    assert (link.source, link.target, link.reference) == ("tick_clock", "tick", False)
