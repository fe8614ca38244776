"""The one place where parts are put together into a running server."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import structlog

from vedette import backends, election
from vedette.client.application import ENTRY_POINT_GROUP, Application
from vedette.config import Settings, address_of
from vedette.dashboard.sessions import Sessions
from vedette.leading import Leading, clock, new_id
from vedette.metadata.store import Role
from vedette.model.errors import Conflict, Invalid, NoSpace
from vedette.server import serving
from vedette.server.auth import Gate
from vedette.server.keyring import Tokens
from vedette.server.relay import Relay, Switch

__all__ = ["Installation", "applications", "clock", "locked", "new_id", "running_server"]

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


class Installation:
    """A server with all its parts. `start` it in an event loop, then `stop` it there.

    Alone over its rows it leads. Of several over one PostgreSQL one leads, and the others pass on
    what they are asked, until it is their turn.
    """

    def __init__(self, settings: Settings, apps: Sequence[Application] | None = None) -> None:
        self.settings = settings
        self.apps = applications() if apps is None else list(apps)
        self.address = ""
        self._held = ExitStack()
        self._leading: Leading | None = None
        self._rows: election.LeaderRows | None = None
        self._leadership: election.Election | None = None
        self._roles: asyncio.Queue[Role] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Build everything and begin to answer; `address` says where."""
        try:
            self._build()
            await self._begin()
        except BaseException:
            if self._leadership is not None:
                await asyncio.to_thread(self._leadership.stop)
            await self._let_go_of_rows()
            await asyncio.to_thread(self._held.close)
            raise

    def _build(self) -> None:
        settings = self.settings
        self._held.enter_context(locked(settings.data))
        self._socket = self._held.enter_context(serving.bound(*address_of(settings.listen)))
        self._near = serving.is_near(self._socket)
        self.address = serving.address_of(self._socket)
        self._store = backends.open_rows(settings)
        self._held.callback(self._store.close)
        self._key = election.session_key(settings, self._store)

    async def _begin(self) -> None:
        self._relay = Relay()
        tokens = Tokens(self._store, remember=False)
        sessions = Sessions(self._key, tokens)
        self._switch = Switch(Gate(self._relay, tokens, loopback=self._near, sessions=sessions))
        if self.settings.database:
            await self._stand()
        else:
            await self._lead()
        self._http = serving.HttpServer(self._switch)
        self._task = asyncio.create_task(self._http.serve(sockets=[self._socket]))
        while not self._http.started and not self._task.done():
            await asyncio.sleep(0.005)
        if self._leading is not None:
            self._leading.begin()
        if self._leadership is not None:
            self._tasks.append(asyncio.create_task(self._change()))

    async def _stand(self) -> None:
        """Stand for election, and take the first role."""
        here = asyncio.get_running_loop()
        address = self.settings.advertise or election.reachable(self.settings, self._socket)

        def told(role: Role) -> None:
            here.call_soon_threadsafe(self._roles.put_nowait, role)

        self._leadership = election.election(self.settings, address, told)
        await asyncio.to_thread(self._leadership.start)
        await self._take(await self._roles.get())
        if self._leading is None:
            await asyncio.to_thread(backends.try_objects, self.settings, self._store)

    async def _change(self) -> None:
        """Take each role that the election gives."""
        while True:
            role = await self._roles.get()
            while not self._roles.empty():
                role = self._roles.get_nowait()
            try:
                await self._take(role)
                if self._leading is not None:
                    self._leading.begin()
            except Exception as error:  # noqa: BLE001  another server may be able to lead
                _log.error("this server cannot lead", reason=str(error))
                await self._unlead()
                if self._leadership is not None:
                    self._leadership.resign()

    async def _take(self, role: Role) -> None:
        if self._leading is not None and (not role.leads or role.epoch != self._leading.epoch):
            await self._unlead()
        if not role.leads:
            self._relay.turn_to(role.address)
        if role.leads and self._leading is None:
            await self._lead(role.epoch)
            _log.info("leading", epoch=role.epoch)

    async def _lead(self, epoch: int | None = None) -> None:
        rows = self._store
        if epoch is not None:
            rows = self._rows = election.rows_of_leader(self._store, epoch)
        leading = await asyncio.to_thread(Leading, self.settings, self.apps, rows, epoch)
        self._leading = leading
        await leading.open(self.address, near=self._near)
        self._switch.own = leading.application(self._key, near=self._near)
        self._relay.turn_to("", self._switch.own)

    async def _unlead(self) -> None:
        self._switch.own = None
        self._relay.turn_to("")
        leading, self._leading = self._leading, None
        self._give_up(leading)
        if leading is not None:
            _log.info("no longer leading", epoch=leading.epoch)
            await leading.close()
            _log.info("has let go", epoch=leading.epoch)
        await self._let_go_of_rows()

    def _give_up(self, leading: Leading | None) -> None:
        """Have nothing wait for rows that another leader has, or that are away."""
        if self._rows is not None:
            self._rows.give_up()
            if leading is not None:
                leading.loop.give_up()

    async def _let_go_of_rows(self) -> None:
        rows, self._rows = self._rows, None
        if rows is not None:
            await asyncio.to_thread(rows.close)

    async def _while_rows_answer(self) -> None:
        """Give up when they do not: what waits for them would keep the server from its end."""
        if self._rows is None:
            return
        while await asyncio.to_thread(election.rows_answer, self.settings):
            await asyncio.sleep(1.0)
        _log.warning("ends without its database", reason="it does not answer")
        self._give_up(self._leading)

    async def wait(self) -> None:
        """Return when the server has ended by itself."""
        await asyncio.wait([self._task])

    async def stop(self) -> None:
        """End streams and services, answer what was asked, let workers go, close the stores."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        patience = asyncio.create_task(self._while_rows_answer())
        if self._leading is not None:
            await self._leading.end()
        self._http.should_exit = True
        await self._task
        if self._leading is not None:
            await self._leading.close()
        patience.cancel()
        await self._let_go_of_rows()
        if self._leadership is not None:
            await asyncio.to_thread(self._leadership.stop)
        await self._relay.close()
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
