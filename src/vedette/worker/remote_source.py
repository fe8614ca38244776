"""The server as a worker on another host sees it (`vedette.model.work.Source`), over HTTP.

Everything that is said runs in one event loop of a thread of its own; the agents' threads call in
and are given futures. What the server forgot (it was restarted, or thought this host dead) is said
again: the host joins anew and registers its workers, and learns which leases it holds in vain.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

import structlog

from vedette.client import worker_endpoints as at
from vedette.client.transport import Endpoint
from vedette.model.errors import (
    Forbidden,
    NotJoined,
    Unauthorized,
    Unavailable,
    VedetteError,
)
from vedette.model.hosts import Beat, Join, Release
from vedette.model.ids import object_id
from vedette.model.work import Code, Result, Task
from vedette.worker.connection import Line
from vedette.worker.disk_cache import DiskCache
from vedette.worker.exchange import Exchange
from vedette.worker.transfer import MOVING, Transfer

T = TypeVar("T")
UPLOADING = 64 << 20
"""Bytes of outputs that wait in memory to be uploaded."""

_FAULTS = ("the worker failed", "the agent failed")
_log = structlog.get_logger("vedette.worker")


class RemoteSource:
    """A source over HTTP. `begin` it, hand it to agents, and `close` it when they have ended."""

    def __init__(
        self, line: Callable[[], Line], join: Callable[[], Join], cache: int, kept: DiskCache
    ) -> None:  # fmt: skip
        self._make_line = line
        self._make_join = join
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vedette-line")
        self._session, self._lease = "", 0.0
        self._joining = asyncio.Lock()
        self._talks: dict[str, Exchange] = {}
        self._ending: set[asyncio.Future[None]] = set()
        self._pools: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._codes: dict[str, Code] = {}
        self._cache, self._kept = cache, kept
        self._upload_room = threading.Semaphore(UPLOADING >> 20)
        self._beats: dict[str, list[Future[list[int]]]] = {}
        self._beating: asyncio.Task[None] | None = None
        self.fatal: Future[VedetteError] = Future()
        self._given_up = asyncio.Event()

    # the host's side

    def begin(self) -> Future[float]:
        """Join the server: tried until it answers, with the seconds that a lease lasts. The future
        raises what it refuses."""
        self._line = self._make_line()
        self._moving = Transfer(
            self._line, self.ask, lambda: self._session, self._cache, self._kept
        )
        self._thread.start()

        async def join() -> float:
            await self._join("")
            return self._lease

        return self._run(join())

    def serve(self, pools: dict[str, tuple[str, tuple[str, ...]]]) -> None:
        """Say which pipelines of which pool of the server each pool of this host serves."""

        def change() -> None:
            changed = {key for key, value in pools.items() if self._pools.get(key) != value}
            self._pools = {**self._pools, **pools}
            for talk in self._talks.values():
                if talk.pool in changed:
                    self._keep(talk.register())

        self._loop.call_soon_threadsafe(change)

    def run(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run something of the host's in the loop of this source."""
        return self._run(work)

    def give_up(self) -> None:
        """Whoever waits for bytes to move, now or later, is told Unavailable; from any thread."""
        self._loop.call_soon_threadsafe(self._given_up.set)
        self._upload_room.release(UPLOADING >> 20)

    def close(self, seconds: float = 10.0) -> None:
        """Let what is said end, for some seconds at most, and leave."""
        if not self._thread.is_alive():  # it could not even begin
            self._loop.close()
            return
        self._run(self._leave(seconds)).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # Source

    def register(self, worker: str, pool: str) -> None:
        """Make a worker known; what it asks and reports from now on follows after that."""

        def begin() -> None:
            talk = self._talks[worker] = Exchange(worker, pool, self)
            talk.begin()

        self._loop.call_soon_threadsafe(begin)

    def claim(self, worker: str, room: int) -> Future[list[Task]]:
        """Ask for up to `room` tasks."""
        future: Future[list[Task]] = Future()
        self._with(worker, lambda talk: talk.claim(room, future))
        return future

    def report(self, worker: str, results: Sequence[Result]) -> Future[list[int]]:
        """Hand in results; they are said until the server has taken them."""
        future: Future[list[int]] = Future()
        self._with(worker, lambda talk: talk.report(results, future))
        return future

    def heartbeat(self, worker: str) -> Future[list[int]]:
        """Say that the worker lives."""
        future: Future[list[int]] = Future()

        def beat() -> None:
            self._beats.setdefault(worker, []).append(future)
            if self._beating is None or self._beating.done():
                self._beating = asyncio.ensure_future(self._beat())

        self._loop.call_soon_threadsafe(beat)
        return future

    def release(self, worker: str, reason: str) -> Future[None]:
        """The worker has gone: what it reported is handed in, then its leases are free."""
        future: Future[None] = Future()

        async def release() -> None:
            talk = self._talks.get(worker)
            if talk is not None:
                await talk.finish(MOVING)
                body = Release(
                    workers=(worker,), reason=reason, fault=reason.startswith(_FAULTS)
                )  # fmt: skip
                try:
                    await self.ask(at.RELEASE, {}, lambda: body)
                except VedetteError as error:  # then its leases lapse
                    _log.warning("worker not released", worker=worker, reason=error.message)
                self._talks.pop(worker, None)
            future.set_result(None)

        self._loop.call_soon_threadsafe(lambda: self._keep(release()))
        return future

    def code(self, key: str) -> Code:
        """The pipeline version that a task names."""
        found = self._codes.get(key)
        return found if found is not None else self._moved(self._code(key))

    def read(self, object_id: bytes) -> bytes:
        """An object's bytes, verified."""
        found = self._moving.known(object_id)
        return found if found is not None else self._moved(self._moving.get(object_id))

    def put(self, data: bytes) -> bytes:
        """Upload a large output in the background; the result that names it waits for that."""
        name = object_id(data)
        weight = min(len(data) >> 20, UPLOADING >> 20)
        for _ in range(weight):
            self._upload_room.acquire()

        def done(_: object) -> None:
            for _ in range(weight):
                self._upload_room.release()

        self._loop.call_soon_threadsafe(self._moving.upload, name, data, done)
        return name

    def fetch(self, object_id: bytes, size: int, descriptor: int) -> None:
        """Write an object's bytes, verified, to an open file."""
        self._moved(self._moving.fetch_to(object_id, size, descriptor))

    def put_file(self, descriptor: int) -> tuple[bytes, int]:
        """Upload all bytes of an open file."""
        return self._moved(self._moving.upload_file(descriptor))

    # what talks ask of the session

    async def ask(
        self, endpoint: Endpoint[T], params: dict[str, str], body: Callable[[], Any],
        *, each: float | None = None, deadline: float | None = None,
    ) -> T:  # fmt: skip
        """Ask until it is answered; joins and registers anew when the server has forgotten us."""
        while True:
            session = self._session
            try:
                return await self._line.call(
                    endpoint, {"session": session, **params}, None, body,
                    each=each, deadline=deadline,
                )  # fmt: skip
            except NotJoined:
                if endpoint is at.REGISTER or "worker" not in params:
                    await self._join(session)
                elif (talk := self._talks.get(params["worker"])) is not None:
                    await talk.register()
                else:
                    raise
            except Unauthorized as error:
                self._fail(error)
                raise

    def serves(self, pool: str) -> tuple[str, tuple[str, ...]]:
        """The server's name of a pool, and the pipelines of it that this host serves."""
        return self._pools.get(pool, (pool, ()))

    async def arrived(self, tasks: Sequence[Task]) -> list[Task]:
        """Fetch the code and the small inputs of tasks; those whose code can be had.

        An input that fails is asked for again when it is needed.
        """
        codes = {task.code for task in tasks} - self._codes.keys()
        await asyncio.gather(
            self._moving.prepare(tasks), *map(self._code, codes), return_exceptions=True
        )
        return [task for task in tasks if task.code in self._codes]

    async def uploaded(self, result: Result) -> Result:
        """A result whose outputs are at the server."""
        return await self._moving.uploaded(result)

    # within

    def _moved(self, work: Coroutine[Any, Any, T]) -> T:
        """What work in the loop gives, unless it is given up before."""

        async def until_given_up() -> T:
            moving, end = asyncio.ensure_future(work), asyncio.ensure_future(self._given_up.wait())
            await asyncio.wait({moving, end}, return_when=asyncio.FIRST_COMPLETED)
            end.cancel()
            if not moving.done():
                moving.cancel()
                await asyncio.wait({moving})
                raise Unavailable("the worker is told to stop, and nothing moves")
            return moving.result()

        return self._run(until_given_up()).result()

    def _run(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._ending.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Future[None]) -> None:
        self._ending.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("not said to the server", reason=str(error))

    def _with(self, worker: str, act: Callable[[Exchange], None]) -> None:
        def call() -> None:
            talk = self._talks.get(worker)
            if talk is not None:
                act(talk)

        self._loop.call_soon_threadsafe(call)

    def _fail(self, error: VedetteError) -> None:
        if not self.fatal.done():
            self.fatal.set_result(error)

    async def _join(self, old: str) -> None:
        """Begin a session, unless that has been done since `old` was the one."""
        async with self._joining:
            if self._session != old:
                return
            try:
                joined = await self._line.call(at.JOIN, {}, None, self._make_join)
            except (Unauthorized, Forbidden) as error:
                self._fail(error)
                raise
            self._session, self._lease = joined.session, joined.lease
            await self._moving.reach(direct=joined.direct)
            if old:
                _log.info("joined the server anew", address=self._line.address)
        for talk in list(self._talks.values()) if old else ():
            self._keep(talk.register())

    async def _beat(self) -> None:
        while self._beats:
            beats, self._beats = self._beats, {}
            held = {w: tuple(t.held) for w in beats if (t := self._talks.get(w)) is not None}
            body = Beat(workers=held)
            try:
                found = await self.ask(at.BEAT, {}, lambda: body, each=5.0, deadline=8.0)  # noqa: B023 - called at once
            except VedetteError as error:
                _log.warning("no sign of life given", reason=error.message)
                found = None
            for worker, futures in beats.items():
                leases = list(found.abandon.get(worker, ())) if found is not None else []
                talk = self._talks.get(worker)
                if talk is not None:
                    talk.drop(leases)
                    if found is not None and worker in found.unknown:
                        self._keep(talk.register())
                for future in futures:
                    if future.set_running_or_notify_cancel():
                        future.set_result(leases)

    async def _code(self, key: str) -> Code:
        found = await self.ask(at.CODE, {"key": key}, lambda: None, deadline=MOVING)
        if len(self._codes) > 1024:
            self._codes.clear()
        self._codes[key] = found
        return found

    async def _leave(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while self._ending:
                    await asyncio.wait(set(self._ending))
                if self._session:
                    params = {"session": self._session}
                    await self._line.call(at.LEAVE, params, None, lambda: None, deadline=seconds)
        except (TimeoutError, VedetteError) as error:
            _log.warning("left without a word", reason=str(error) or "the server does not answer")
        for talk in list(self._talks.values()):
            await talk.end()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self._moving.reach(direct=False)
        await self._line.close()
