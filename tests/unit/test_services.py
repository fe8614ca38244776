"""Services of applications are kept going, and what they have to do is counted."""

from __future__ import annotations

import asyncio

import pytest

from vedette.server import services
from vedette.server.services import Supervisor


class Faulty:
    name = "faulty"

    def __init__(self, faults: int) -> None:
        self.faults = faults
        self.runs = 0
        self.steady = asyncio.Event()

    async def run(self) -> None:
        self.runs += 1
        if self.runs <= self.faults:
            raise ValueError("no network")
        self.steady.set()
        await asyncio.Event().wait()

    async def pending(self) -> int:
        return 3


class Silent(Faulty):
    async def pending(self) -> int:
        raise OSError("cannot look")


def test_a_service_that_raises_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "FIRST_DELAY", 0.001)

    async def story() -> None:
        service, supervisor = Faulty(3), Supervisor()
        supervisor.add("app", [service])
        supervisor.start()
        await service.steady.wait()
        (state,) = await supervisor.states()
        assert (state.restarts, state.state, state.pending) == (3, "running", 3)
        assert "no network" in state.error
        await supervisor.stop()

    asyncio.run(story())


def test_a_service_that_cannot_count_is_not_taken_to_be_done() -> None:
    async def story() -> None:
        supervisor = Supervisor()
        supervisor.add("app", [Silent(0)])
        assert await supervisor.pending() == 1
        (state,) = await supervisor.states()
        assert "cannot look" in state.error

    asyncio.run(story())


class Stubborn(Faulty):
    async def run(self) -> None:
        self.runs += 1
        self.steady.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("the rows are gone")


def test_a_service_that_fails_as_it_is_cancelled_is_not_started_again() -> None:
    """Else a server that leads no more would wait for its end for ever."""

    async def story() -> None:
        service, supervisor = Stubborn(0), Supervisor()
        supervisor.add("app", [service])
        supervisor.start()
        await service.steady.wait()
        async with asyncio.timeout(20):
            await supervisor.stop()
        assert service.runs == 1

    asyncio.run(story())
