"""The one place where parts are put together into a running server."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog
from msgspec import structs

from vedette import __version__, backends
from vedette.client import Client
from vedette.client.application import ENTRY_POINT_GROUP, Application
from vedette.config import Settings, address_of
from vedette.dashboard.routes import Dashboard
from vedette.dashboard.sessions import Sessions, session_key
from vedette.launchers import runtimes
from vedette.launchers.processes import ProcessLauncher
from vedette.metadata.sqlite import SqliteStore
from vedette.model.errors import Conflict, Invalid, NoSpace
from vedette.model.work import Pool
from vedette.scheduling.loop import Loop
from vedette.scheduling.standing import StandingPipelines
from vedette.scheduling.upkeep import Upkeep
from vedette.server import serving, tokens
from vedette.server.local import LocalTransport
from vedette.server.site import Site
from vedette.versioning.collect import Policy
from vedette.worker.agents import agent_for
from vedette.worker.settings import Settings as WorkerSettings

_log = structlog.get_logger("vedette")


def applications() -> list[Application]:
    """The applications that are installed. One that cannot be loaded is told of and left out."""
    found: list[Application] = []
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            found.append(entry.load())
        except ImportError as error:
            _log.warning(
                "application left out", name=entry.name, reason=str(error),
                hint=f"pip install 'vedette[{entry.name}]'",
            )  # fmt: skip
    return found


def clock() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def new_id() -> str:
    """32 random hex digits."""
    return uuid4().hex


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Hold a data folder, made if missing, for this process alone. Raises Conflict or Invalid."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        held = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Invalid(f"data folder {data}: {error.strerror or error}") from None
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(held, 20, 0).decode(errors="replace").strip() or "unknown"
            raise Conflict(
                f"data folder {data} is held by another server (process {holder}): "
                "stop it, or choose another with --data"
            ) from None
        try:
            os.ftruncate(held, 0)
            os.pwrite(held, str(os.getpid()).encode(), 0)
        except OSError as error:
            raise NoSpace(f"data folder {data}: {error.strerror or error}") from None
        yield
    finally:
        os.close(held)


def bounded(workers: int | None, pool: Pool) -> Pool:
    """A pool with at most so many slots here (None: as it says).

    One that has a slot for each core follows the bound.
    """
    if workers is None:
        return pool
    free = pool.kind == "python" and pool.slots == runtimes.cores()
    slots = workers if free else min(pool.slots, workers)
    return structs.replace(pool, slots=slots)


def _workers(settings: Settings, images: runtimes.Runtimes) -> WorkerSettings:
    """Workers' folders are inside the data folder, which user code must not see (ENGINE R6)."""
    return WorkerSettings(
        scratch=settings.data / "workers", runtime_of=images.of, hidden=(str(settings.data),)
    )


class Installation:
    """A server with all its parts. `start` it in an event loop, then `stop` it there."""

    def __init__(self, settings: Settings, apps: Sequence[Application] | None = None) -> None:
        self.settings = settings
        self.apps = applications() if apps is None else list(apps)
        self.address = ""
        self._held = ExitStack()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Build everything and begin to answer; `address` says where."""
        try:
            self._build()
            await self._begin()
        except BaseException:
            self._held.close()
            raise

    def _build(self) -> None:
        settings = self.settings
        self._held.enter_context(locked(settings.data))
        self._socket = self._held.enter_context(serving.bound(*address_of(settings.listen)))
        store = SqliteStore(settings.data / "metadata.sqlite")
        self._held.callback(store.close)
        objects = backends.open_objects(settings, store)
        self._held.callback(objects.close)
        known: dict[str, Any] = {}
        for app in self.apps:
            known.update(app.runtimes())
        images = runtimes.load(settings.runtimes, known)
        self._workers = _workers(settings, images)
        launcher = ProcessLauncher(
            partial(agent_for, settings=self._workers),
            partial(bounded, settings.workers),
        )
        own = None if settings.workers == 0 else launcher
        self.loop = Loop(store, objects, own, images, clock, new_id)
        self.site = Site(self.loop, __version__, datetime.now(UTC))
        policy = Policy(grace=int(settings.grace * 1e6))
        self.site.upkeep = self.upkeep = Upkeep(self.loop, clock, policy)
        self._local = LocalTransport(self.site)
        self.client = Client(self._local)

    async def _begin(self) -> None:
        self.loop.start()
        self._held.callback(self.loop.stop)
        self.upkeep.start()
        self._held.callback(self.upkeep.stop)
        if self.settings.workers != 0:
            standing = StandingPipelines(self.loop, self._workers)
            standing.start()
            self._held.callback(standing.stop)
        await self._first_token()
        sessions = Sessions(session_key(self.settings.data), self.site.tokens)
        pages = Dashboard(self.client, self.apps, sessions).routes()
        routes = [route for app in self.apps for route in app.routes(self.client)]
        near = serving.is_near(self._socket)
        app = serving.application(self.site, [*routes, *pages], loopback=near, sessions=sessions)
        for joined in self.apps:
            table = self.settings.apps.get(joined.name, {})
            services = joined.services(self.client, self.settings.data, table)
            self.site.services.add(joined.name, services)
        self.address = self._local.address = serving.address_of(self._socket)
        self._http = serving.HttpServer(app)
        self._task = asyncio.create_task(self._http.serve(sockets=[self._socket]))
        while not self._http.started and not self._task.done():
            await asyncio.sleep(0.005)
        self.site.hub.start()
        self.site.services.start()

    async def _first_token(self) -> None:
        """Off loopback nobody could ask for the first token: it is left in the data folder."""
        if serving.is_near(self._socket):
            return
        with self.site.read() as rows:
            if tokens.any_admin(rows):
                return
        made = await self.site.write(lambda tx: tokens.add(tx, "first", "admin"))
        path = self.settings.data / "admin.token"
        path.touch(mode=0o600)
        path.write_text(made.token + "\n", encoding="utf-8")
        _log.warning("every request needs a token", first_token_is_in=str(path))

    async def wait(self) -> None:
        """Return when the server has ended by itself."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def stop(self) -> None:
        """End streams and services, answer what was asked, let workers go, close the stores."""
        self.site.hub.stop()
        self.site.hosts.stop()
        await self.site.services.stop()
        self._http.should_exit = True
        if self._task is not None:
            await self._task
        await asyncio.to_thread(self._held.close)


@contextmanager
def running_server(
    data: Path,
    listen: str = "127.0.0.1:0",
    *,
    apps: Sequence[Application] | None = None,
    settings: Settings | None = None,
) -> Iterator[str]:
    """A server in a thread of this process, for tests; gives its address."""
    settings = settings or Settings(data=data, listen=listen)
    started: list[str | BaseException] = []
    ready = threading.Event()
    ends: list[Callable[[], Any]] = []

    async def main() -> None:
        stopping = asyncio.Event()
        here = asyncio.get_running_loop()
        ends.append(partial(here.call_soon_threadsafe, stopping.set))
        server = Installation(settings, apps)
        try:
            await server.start()
            started.append(server.address)
        except BaseException as error:
            started.append(error)
            raise
        finally:
            ready.set()
        await stopping.wait()
        await server.stop()

    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001  handed to the thread that waits
            failed.append(error)

    thread = threading.Thread(target=run, name="server")
    thread.start()
    ready.wait()
    if isinstance(started[0], BaseException):
        thread.join()
        raise started[0]
    try:
        yield started[0]
    finally:
        ends[0]()
        thread.join()
    if failed:
        raise failed[0]
