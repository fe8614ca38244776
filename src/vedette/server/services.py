"""Keeps the applications' background services going."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from vedette.client.application import Service
from vedette.model.api import ServiceState

FIRST_DELAY = 0.5
LONGEST_DELAY = 60.0
_log = structlog.get_logger("vedette.services")


@dataclass
class _Kept:
    application: str
    service: Service
    state: str = "starting"
    error: str = ""
    restarts: int = 0


class Supervisor:
    """Runs services; one that raises is started again, each time later, up to a minute."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    def add(self, application: str, services: Sequence[Service]) -> None:
        """Take services on; they begin with `start`."""
        self._kept.extend(_Kept(application, service) for service in services)

    def start(self) -> None:
        """Begin, from within the event loop."""
        self._tasks = [asyncio.create_task(self._keep(kept)) for kept in self._kept]

    async def stop(self) -> None:
        """Cancel all and wait for their ends."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def pending(self) -> int:
        """How many things the services have still to do."""
        return sum(state.pending for state in await self.states())

    async def states(self) -> tuple[ServiceState, ...]:
        """How each service is."""
        return tuple([await self._state(kept) for kept in self._kept])

    async def _state(self, kept: _Kept) -> ServiceState:
        pending, error = 0, kept.error
        try:
            pending = await kept.service.pending()
        except Exception as failure:  # noqa: BLE001  an application's fault is shown, not ours
            # Unknown is not nothing: who waits for idle must not be told that all is done.
            pending, error = 1, f"cannot say what is pending: {failure}"
        return ServiceState(
            application=kept.application,
            name=kept.service.name,
            state=kept.state,
            pending=pending,
            restarts=kept.restarts,
            error=error,
        )

    async def _keep(self, kept: _Kept) -> None:
        delay = FIRST_DELAY
        clock = asyncio.get_running_loop()
        while True:
            kept.state = "running"
            began = clock.time()
            try:
                await kept.service.run()
            except Exception as failure:  # noqa: BLE001  a service may fail in any way; others go on
                kept.state, kept.restarts = "failed", kept.restarts + 1
                kept.error = f"{type(failure).__name__}: {failure}"
                if self._stopping:
                    return  # what failed as it was cancelled has not been told of that
                _log.warning("service failed", service=kept.service.name, error=kept.error)
            else:
                kept.state, kept.error = "ended", ""
                return
            if clock.time() - began > LONGEST_DELAY:
                delay = FIRST_DELAY
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY)
