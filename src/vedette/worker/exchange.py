"""What one worker and the server say to each other over HTTP: tasks, results, signs of life."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import Protocol, TypeVar

import structlog
from msgspec import structs

from vedette.client import worker_endpoints as at
from vedette.client.transport import Endpoint
from vedette.model.errors import Conflict, Unavailable, VedetteError
from vedette.model.hosts import Given, NewWorker, Work
from vedette.model.work import Result, Task

T = TypeVar("T")
WAIT = 20.0
"""Seconds that a wish for tasks waits at the server."""

MESSAGE_BYTES = 4 << 20
_log = structlog.get_logger("vedette.worker")


class Session(Protocol):
    """What a talk needs of the session that it is part of."""

    async def ask(
        self, endpoint: Endpoint[T], params: dict[str, str], body: Callable[[], object]
    ) -> T:
        """Ask until it is answered, within the session of the moment."""

    def serves(self, pool: str) -> tuple[str, tuple[str, ...]]:
        """The server's name of a pool, and the pipelines of it that this host serves."""

    async def arrived(self, tasks: Sequence[Task]) -> list[Task]:
        """Fetch what tasks need before they are begun; those that can be begun."""

    async def uploaded(self, result: Result) -> Result:
        """A result whose outputs have all been uploaded."""


class Exchange:
    """One worker's side. All of it belongs to the event loop of the session.

    `held` are the tasks that it was given and whose results the server has not taken yet.
    """

    def __init__(self, name: str, pool: str, session: Session) -> None:
        self.name = name
        self.pool = pool
        self.held: dict[int, Task] = {}
        self._session = session
        self._wish: tuple[int, Future[list[Task]]] | None = None
        self._number = 0
        self._outbox: list[tuple[Sequence[Result], Future[list[int]]]] = []
        self._wished = asyncio.Event()
        self._reported = asyncio.Event()
        self._asking = asyncio.Lock()
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Register the worker, then talk."""
        self._tasks = [asyncio.ensure_future(each) for each in (self._ask_on(), self._report_on())]

    async def register(self) -> None:
        """Make the worker known, or tell what it serves now."""
        pool, names = self._session.serves(self.pool)
        body = NewWorker(name=self.name, pool=pool, pipelines=names)
        await self._session.ask(at.REGISTER, {}, lambda: body)

    def claim(self, room: int, future: Future[list[Task]]) -> None:
        """Wish for tasks."""
        self._wish = (room, future)
        self._wished.set()

    def report(self, results: Sequence[Result], future: Future[list[int]]) -> None:
        """Hand in results."""
        self._outbox.append((results, future))
        self._idle.clear()
        self._reported.set()

    def drop(self, leases: Sequence[int]) -> None:
        """Leases that count no more."""
        for lease in leases:
            self.held.pop(lease, None)

    async def finish(self, seconds: float) -> None:
        """Hand in what is left, for some seconds at most, and fall silent."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("results not handed in", worker=self.name)
        await self.end()

    async def end(self) -> None:
        """Fall silent. A wish that is open is answered with nothing: the worker ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _, future in self._outbox:
            future.cancel()
        if self._wish is not None:
            _settle(self._wish[1], [])
            self._wish = None

    async def _ask_on(self) -> None:
        await self._guarded(self.register)
        while True:
            await self._wished.wait()
            await asyncio.sleep(0)
            # Results that are ready take the wish along: one message for both (DESIGN 3.6).
            async with self._asking:
                if self._wish is not None:
                    await self._guarded(lambda: self._exchange((), wish=True, wait=WAIT))

    async def _report_on(self) -> None:
        while True:
            if not self._outbox:
                self._idle.set()
                self._reported.clear()
            await self._reported.wait()
            batch, self._outbox = self._outbox, []
            refused: set[int] = set()
            for message in await self._ready([r for results, _ in batch for r in results]):
                if self._wish is not None and not self._asking.locked():
                    async with self._asking:
                        refused |= await self._hand_in(message, wish=True)
                else:
                    refused |= await self._hand_in(message, wish=False)
            for results, future in batch:
                _settle(future, [r.lease for r in results if r.lease in refused])

    async def _ready(self, results: Sequence[Result]) -> list[list[Result]]:
        """Results whose outputs are at the server, in messages of bounded size."""
        messages: list[list[Result]] = [[]]
        size = 0
        for result in results:
            ready = await self._session.uploaded(result)
            weight = 1000 + sum(len(o.data or b"") + len(o.path) + 60 for o in ready.outputs)
            weight += sum(len(entry.text) + 40 for entry in ready.logs)
            if messages[-1] and size + weight > MESSAGE_BYTES:
                messages.append([])
                size = 0
            messages[-1].append(ready)
            size += weight
        return messages

    async def _hand_in(self, results: Sequence[Result], *, wish: bool) -> set[int]:
        """Report, whatever it takes; the leases that had lapsed."""
        try:
            given = await self._exchange(results, wish=wish, wait=0.0)
        except VedetteError as error:
            _log.error("results not taken", worker=self.name, error=error.message)
            reason = f"its result was refused: {error.message}"
            lost = [
                structs.replace(r, state="lost", reason=reason, outputs=(), logs=(), tries=1)
                for r in results
            ]
            try:
                given = await self._exchange(lost, wish=False, wait=0.0)
            except VedetteError:
                given = Given(refused=tuple(result.lease for result in results))
        self.drop([result.lease for result in results])
        return set(given.refused)

    async def _exchange(self, results: Sequence[Result], *, wish: bool, wait: float) -> Given:
        """One message and its answer."""
        wanted = self._wish if wish else None
        room = 0 if wanted is None else wanted[0]

        def message() -> Work:
            self._number += bool(room)
            return Work(
                number=self._number if room else 0, room=room, wait=wait,
                held=tuple(self.held), results=tuple(results),
            )  # fmt: skip

        given = await self._session.ask(at.WORK, {"worker": self.name}, message)
        if given.tasks and wanted is not None:
            self.held.update((task.lease, task) for task in given.tasks)
            ready = await self._session.arrived(given.tasks)
            # What is not held here any more is given to others at the next wish.
            self.drop([task.lease for task in given.tasks if task not in ready])
            if not ready:
                await asyncio.sleep(0.2)
            elif not _settle(wanted[1], ready):
                self.drop([task.lease for task in ready])
            if ready and self._wish is wanted:
                self._wish = None
                self._wished.clear()
        return given

    async def _guarded(self, act: Callable[[], Awaitable[object]]) -> None:
        """Do something that may be refused now, and will be asked again."""
        try:
            await act()
        except Conflict as error:
            _log.warning("refused", worker=self.name, error=error.message)
            await asyncio.sleep(0.2)
        except Unavailable as error:
            _log.warning("no answer", worker=self.name, error=error.message)
            await asyncio.sleep(1.0)
        except VedetteError as error:
            _log.error("refused", worker=self.name, error=error.message)
            await asyncio.sleep(1.0)


def _settle(future: Future[T], result: T) -> bool:
    if not future.set_running_or_notify_cancel():
        return False
    future.set_result(result)
    return True
