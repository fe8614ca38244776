"""However many ask for the line of truth, and however often, it is counted now and then."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from vedette.client import Client
from vedette_cameras.alert.ledger import Ledger
from vedette_cameras.counts import follow
from vedette_cameras.counts.follow import Counts
from vedette_cameras.counts.tally import Summary


class _Silent:
    def listen(self, callback: object) -> None:
        """Nothing will be told."""


class _Counted(Counts):
    """Counts how often it is counted; an answer holds how many there were when it began."""

    def __init__(self) -> None:
        super().__init__(cast(Client, None), cast(Ledger, _Silent()))
        self.times: list[float] = []
        self.news = 0

    async def now(self) -> Summary:
        self.times.append(asyncio.get_running_loop().time())
        seen = self.news
        await asyncio.sleep(0)
        return Summary(received=seen, **dict.fromkeys(
            ("invalid", "clean", "suppressed", "alerted", "failed", "in_flight"), 0
        ))  # fmt: skip


def test_those_who_ask_at_once_share_an_answer() -> None:
    async def ask() -> None:
        counts = _Counted()
        await asyncio.gather(*(counts.summary() for _ in range(100)))
        assert len(counts.times) == 1

    asyncio.run(ask())


def test_an_answer_knows_what_was_there_when_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(follow, "REST", 0.0)
    monkeypatch.setattr(follow, "_LONGEST_REST", 0.0)

    async def ask() -> None:
        counts = _Counted()

        async def one() -> None:
            for _ in range(20):
                counts.news += 1
                mine = counts.news
                assert (await counts.summary()).received >= mine
                await asyncio.sleep(0)

        await asyncio.gather(*(one() for _ in range(5)))

    asyncio.run(ask())


def test_between_two_answers_is_a_rest() -> None:
    async def ask() -> None:
        counts = _Counted()
        for _ in range(3):
            await counts.summary()
        first, second, third = counts.times
        assert min(second - first, third - second) > follow.REST / 2

    asyncio.run(ask())


def test_who_no_longer_waits_takes_nobody_s_answer_along() -> None:
    async def ask() -> None:
        counts = _Counted()
        first, second = (asyncio.ensure_future(counts.summary()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).received == 0

    asyncio.run(ask())
