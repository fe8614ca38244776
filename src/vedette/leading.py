"""What only the server that leads has: the scheduler, its workers, objects, pages and services."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog
from msgspec import structs
from starlette.types import ASGIApp

from vedette import __version__, backends
from vedette.client import Client
from vedette.client.application import Application
from vedette.config import Settings
from vedette.dashboard.routes import Dashboard
from vedette.dashboard.sessions import Sessions
from vedette.launchers import runtimes
from vedette.launchers.processes import ProcessLauncher
from vedette.metadata.store import MetadataStore
from vedette.model.work import Pool
from vedette.scheduling.egress import Carriers
from vedette.scheduling.history import Keep
from vedette.scheduling.long_running import StandingPipelines
from vedette.scheduling.loop import Loop
from vedette.scheduling.upkeep import Upkeep
from vedette.server import serving, tokens
from vedette.server.free_space import Bounds, Space
from vedette.server.local import LocalTransport
from vedette.server.site import Site
from vedette.versioning import backup
from vedette.versioning.collect import Policy
from vedette.worker.agents import agent_for
from vedette.worker.settings import Settings as WorkerSettings

_log = structlog.get_logger("vedette")


def clock() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def new_id() -> str:
    """32 random hex digits."""
    return uuid4().hex


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


class Leading:
    """A leader's parts over its rows. `open` them, `begin` the services, `end` both, `close`."""

    def __init__(
        self, settings: Settings, apps: Sequence[Application], store: MetadataStore,
        epoch: int | None,
    ) -> None:  # fmt: skip
        self.settings = settings
        self.apps = apps
        self.epoch = epoch
        self._held = ExitStack()
        self._begun = self._ended = False
        objects = backends.open_objects(settings, store)
        self._held.callback(objects.close)
        known: dict[str, Any] = {}
        for app in self.apps:
            known.update(app.runtimes())
        images = runtimes.load(settings.runtimes, known, idle=settings.workers == 0)
        self._workers = _workers(settings, images)
        launcher = ProcessLauncher(
            partial(agent_for, settings=self._workers),
            partial(bounded, settings.workers),
        )
        own = None if settings.workers == 0 else launcher
        self.loop = Loop(store, objects, own, images, clock, new_id)
        self.site = Site(self.loop, __version__, datetime.now(UTC))
        self.site.egress_roots = settings.egress_roots
        self.site.space = self._space()
        policy = Policy(grace=int(settings.grace * 1e6))
        self.site.upkeep = self.upkeep = Upkeep(
            self.loop, clock, policy,
            keep=Keep(jobs=settings.keep_jobs, failed=settings.keep_failed_jobs),
            deleting=partial(backup.deleting, settings.data), look=self.site.space.room,
        )  # fmt: skip
        self._local = LocalTransport(self.site)
        self.client = Client(self._local)

    def _space(self) -> Space:
        settings = self.settings
        folders = [settings.data]
        if settings.objects.startswith("/"):
            folders.append(Path(settings.objects))
        stored = 0
        if settings.quota_bytes:
            with self.loop.store.read() as rows:
                (stored,) = rows.one("stored_bytes") or (0,)
        bounds = Bounds(
            quota=settings.quota_bytes, reserve=settings.reserve_free_bytes,
            warn_bytes=settings.warn_free_bytes, warn_percent=settings.warn_free_percent,
        )  # fmt: skip
        return Space(folders, bounds, lambda: int(stored) + self.loop.stored)

    async def open(self, address: str, *, near: bool) -> None:
        """Begin to schedule. `near`: nobody off this machine can reach `address`."""
        self._local.address = address
        await asyncio.to_thread(self.loop.start)
        self._held.callback(self.loop.stop)
        self.upkeep.start()
        self._held.callback(self.upkeep.stop)
        carriers = Carriers(self.loop, self.settings.egress_roots, self.settings.data / "egress")
        carriers.start()
        self._held.callback(carriers.stop)
        if self.settings.workers != 0:
            standing = StandingPipelines(self.loop, self._workers)
            standing.start()
            self._held.callback(standing.stop)
        if not near:
            await self._first_token()
        for joined in self.apps:
            table = self.settings.apps.get(joined.name, {})
            services = joined.services(self.client, self.settings.data, table)
            self.site.services.add(joined.name, services)

    def application(self, key: bytes, *, near: bool) -> ASGIApp:
        """What answers requests. `key` signs the cookies of those who sign in."""
        sessions = Sessions(key, self.site.tokens)
        pages = Dashboard(self.client, self.apps, sessions).routes()
        routes = [route for app in self.apps for route in app.routes(self.client)]
        return serving.application(self.site, [*routes, *pages], loopback=near, sessions=sessions)

    def begin(self) -> None:
        """Let the services of the applications work, and streams tell what happens."""
        if not self._begun:
            self._begun = True
            self.site.hub.start()
            self.site.services.start()

    async def _first_token(self) -> None:
        """Off loopback nobody could ask for the first token: it is left in the data folder."""
        with self.site.read() as rows:
            if tokens.any_admin(rows):
                return
        made = await self.site.write(lambda tx: tokens.add(tx, "first", "admin"))
        path = self.settings.data / "admin.token"
        path.touch(mode=0o600)
        path.write_text(made.token + "\n", encoding="utf-8")
        _log.warning("every request needs a token", first_token_is_in=str(path))

    async def end(self) -> None:
        """End streams and services."""
        if not self._ended:
            self._ended = True
            self.site.hub.stop()
            self.site.hosts.stop()
            await self.site.services.stop()

    async def close(self) -> None:
        """End everything, let workers go, close the objects."""
        await self.end()
        await asyncio.to_thread(self._held.close)
