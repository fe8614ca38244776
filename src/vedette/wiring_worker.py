"""Where the parts of a host that runs workers for a server are put together."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct

from vedette import __version__
from vedette.launchers import runtimes
from vedette.launchers.processes import ProcessLauncher
from vedette.leading import bounded
from vedette.model.hosts import Join
from vedette.wiring import applications
from vedette.worker.agents import agent_for
from vedette.worker.connection import Line
from vedette.worker.disk_cache import DiskCache
from vedette.worker.host import Host, host_name
from vedette.worker.remote_source import RemoteSource
from vedette.worker.settings import Settings as WorkerSettings

GRACE = 20.0
"""Seconds that a datum which runs may still take when the host is told to stop."""

LAST_WORDS = 5.0
"""Seconds beyond that for what it wrote to reach the store; then its lease lapses."""

BEATS = 0.3
"""Between two signs of life, as a part of a lease (ENGINE C2: 3 s of 10 s)."""


class Work(Struct, frozen=True, kw_only=True):
    """How a host is to work. `cache` is in bytes; `slots` None: as many as there are cores."""

    servers: tuple[str, ...]
    token: str = ""
    pipelines: str = "*"
    slots: int | None = None
    runtimes: Path | None = None
    data: Path | None = None
    ca_file: str = ""
    cache: int = 256 << 20


async def work(settings: Work, stop: asyncio.Event) -> None:
    """Work until told to stop. Raises what the server refuses for good."""
    known: dict[str, Any] = {}
    for app in applications():
        known.update(app.runtimes())
    images = runtimes.load(settings.runtimes, known)
    slots = settings.slots or runtimes.cores()
    with _folder(settings.data) as data:
        source = RemoteSource(
            lambda: Line(settings.servers, settings.token, ca_file=settings.ca_file,
                         connections=3 * slots + 32),
            lambda: Join(name=host_name(), host=_here(), slots=slots,
                         pipelines=settings.pipelines, version=__version__),
            settings.cache, DiskCache(data / "objects"),
        )  # fmt: skip
        try:
            joining = asyncio.wrap_future(source.begin())
            await _until(stop, joining)
            if joining.done():
                folders = WorkerSettings(
                    scratch=data / "workers", runtime_of=images.of, hidden=(str(data),),
                    grace=GRACE, heartbeat=joining.result() * BEATS,
                )  # fmt: skip
                await _serve(settings, folders, images, source, stop)
        finally:
            await asyncio.to_thread(source.close)
    if source.fatal.done():
        raise source.fatal.result()


async def _serve(
    settings: Work, folders: WorkerSettings, images: runtimes.Runtimes, source: RemoteSource,
    stop: asyncio.Event,
) -> None:  # fmt: skip
    """Have the workers that the server wants, until told to stop or refused."""
    launcher = ProcessLauncher(
        partial(agent_for, settings=folders), partial(bounded, settings.slots)
    )
    launcher.start(source)
    following = source.run(Host(source, images, settings.pipelines, launcher.wanted).follow())
    try:
        await _until(stop, asyncio.wrap_future(following), asyncio.wrap_future(source.fatal))
    finally:
        following.cancel()
        giving_up = asyncio.get_running_loop().call_later(GRACE + LAST_WORDS, source.give_up)
        await asyncio.to_thread(launcher.stop)
        giving_up.cancel()


async def _until(stop: asyncio.Event, *others: asyncio.Future[Any]) -> None:
    """Wait until told to stop, or until one of the others ends."""
    asked = asyncio.ensure_future(stop.wait())
    await asyncio.wait({asked, *others}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()


def _here() -> str:
    return socket.gethostname()


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    """The folder for what workers need on disk; one that goes with the process by default."""
    if data is not None:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        yield data.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="vedette-worker-") as made:
        yield Path(made)
