"""The background service `alerts`: from verdicts to messages."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog
from msgspec import structs

from vedette.client import Client
from vedette.model.errors import Conflict, NotFound, VedetteError
from vedette_cameras.alert.failures import Failures
from vedette_cameras.alert.follow import Follower
from vedette_cameras.alert.ledger import Ledger
from vedette_cameras.alert.picture import Studio
from vedette_cameras.alert.post import PostOffice
from vedette_cameras.alert.record import REPO, Record
from vedette_cameras.alert.rules import RuleBook
from vedette_cameras.alert.sender import Sender
from vedette_cameras.alert.verdict import PIPELINE
from vedette_cameras.clock import Clock
from vedette_cameras.devices import Devices
from vedette_cameras.settings import Settings

_CHECK = 5.0
_PAUSE = 0.05
_WAITED = frozenset(("queued", "sending", "gathering"))
_log = structlog.get_logger("vedette.cameras.alert")


class AlertService:
    """Follows what is judged, keeps the ledger, sends. One of them may write at a time."""

    name = "alerts"

    def __init__(
        self,
        client: Client,
        data_dir: Path,
        settings: Settings,
        devices: Devices,
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        self.ledger = ledger
        self._client = client
        self._settings = settings
        self._clock = clock
        self._studio = Studio()
        rules = RuleBook(client)
        self._office = PostOffice(client, settings, data_dir, self._studio)
        self._follower = Follower(client, ledger, rules, devices, settings, clock)
        self._failures = Failures(client, ledger, rules, self._follower, settings, clock)
        self._sender = Sender(client, ledger, self._office, self._studio, settings, clock)
        self._devices = devices
        self._happened = asyncio.Event()
        self._failed = True
        ledger.listen(self._told)

    async def run(self) -> None:
        """Work until cancelled. Waits for the pipeline `threat-detect`, and makes the ledger."""
        await self._wait_for_repo()
        await self.ledger.take_over()
        self._follower.begin()
        self._failures.begin()
        await self._say_channel()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen())
                tasks.create_task(self._follow())
                tasks.create_task(self._sender.run())
        except* Exception as group:  # noqa: BLE001  the supervisor shows one error, not a group
            raise group.exceptions[0] from None
        finally:
            self.ledger.ready.clear()
            await self._office.close()

    async def pending(self) -> int:
        """Deliveries that are queued, after a look at all that has been judged by now."""
        if not self.ledger.ready.is_set():
            return 1 if await self._has_verdicts() else 0
        await self._look()
        return sum(record.state in _WAITED for record in self.ledger.open.values())

    async def channel(self) -> str:
        """The name of the channel that messages leave by now; empty when there is none."""
        channel = await self._office.channel()
        return channel.name if channel else ""

    async def _has_verdicts(self) -> bool:
        try:
            return bool((await self._client.inspect_commit(PIPELINE, "master")).number)
        except NotFound:
            return False

    async def _wait_for_repo(self) -> None:
        while True:
            for repo in (REPO, PIPELINE):
                try:
                    await self._client.inspect_repo(repo)
                except NotFound:
                    continue
                if repo != REPO:
                    await self._make_repo()
                return
            await asyncio.sleep(1.0)

    async def _make_repo(self) -> None:
        try:
            await self._client.create_repo(REPO, "Who was told of what: one file an alert")
        except Conflict:
            return  # somebody else has made it at the same moment

    async def _say_channel(self) -> None:
        channel = await self._office.channel()
        if channel is None:
            _log.warning("no channel: alerts are recorded, nobody is told")
        elif channel.name == "file":
            folder = getattr(channel, "folder", "")
            _log.info("no mail is set up: messages are written to files", folder=str(folder))

    def _told(self, records: Sequence[Record]) -> None:
        if any(record.state == "queued" for record in records):
            self._sender.wake.set()

    async def _listen(self) -> None:
        """Wake up when something was committed or has failed."""
        while True:
            try:
                async for event in self._client.events():
                    if event.kind == "datum":
                        self._failed = True
                        self._happened.set()
                    elif event.kind == "commit" and event.repo == PIPELINE:
                        self._happened.set()
                    elif event.kind == "commit" and event.repo == "devices":
                        await self._devices.refresh()
            except VedetteError as error:
                _log.warning("events are not told", reason=error.message)
            await asyncio.sleep(1.0)

    async def _follow(self) -> None:
        checked = -_CHECK
        clock = asyncio.get_running_loop()
        while True:
            self._happened.clear()
            failures = self._failed or clock.time() - checked >= _CHECK
            if failures:
                self._failed, checked = False, clock.time()
            await self._look(failures=failures)
            await self._close_summaries()
            # Under load commits come by the dozen a second: the next look takes in several.
            await asyncio.sleep(_PAUSE)
            gathering = any(r.state == "gathering" for r in self.ledger.open.values())
            wait = min(_CHECK, self._settings.late_gather / 2) if gathering else _CHECK
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._happened.wait()

    async def _look(self, *, failures: bool = True) -> None:
        await self._follower.look()
        if failures:
            await self._failures.look()

    async def _close_summaries(self) -> None:
        """Queue the summaries to which nothing was added for a while."""
        async with self._follower.lock:
            now = self._clock.now()
            closed: list[Record] = []
            for record in self.ledger.open.values():
                if record.state == "gathering":
                    quiet = (now - record.decided_at).total_seconds()
                    if quiet >= self._settings.late_gather:
                        closed.append(structs.replace(record, state="queued"))
            if closed:
                await self.ledger.write(closed)


def holder() -> str:
    """Who this process is, for the writer's record."""
    return f"{socket.gethostname()}:{os.getpid()}"
