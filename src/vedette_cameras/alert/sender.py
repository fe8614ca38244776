"""Sends what is queued: marked as being sent first, durably, and settled by the provider's answer.

A message that was being sent when the process died is sent again under the same Message-ID. That is
the one case in which somebody may get it twice: the provider's yes came, its record did not. While
the process lives, what the provider said is kept until it can be recorded: a full disk or a
database that is away ends this service, and it is started again, but nothing is told twice.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

import structlog
from msgspec import structs

from vedette.client import Client
from vedette.model.errors import Gone, NotFound
from vedette_cameras.alert.channels import Channel, LaterError, RefusedError
from vedette_cameras.alert.ledger import Ledger
from vedette_cameras.alert.picture import Studio
from vedette_cameras.alert.post import PostOffice
from vedette_cameras.alert.record import Record
from vedette_cameras.clock import Clock
from vedette_cameras.ingest.offer import IMAGES
from vedette_cameras.settings import Settings

_ERROR = 300
_DEFAULT_ADDRESS = "http://127.0.0.1:7650"
_DOUBLINGS = 30
_log = structlog.get_logger("vedette.cameras.alert")


class Sender:
    """Takes due deliveries from the ledger to the channel."""

    def __init__(
        self,
        client: Client,
        ledger: Ledger,
        office: PostOffice,
        studio: Studio,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._office = office
        self._studio = studio
        self._settings = settings
        self._clock = clock
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._heard: dict[str, Record] = {}
        self._failure: BaseException | None = None
        self.wake = asyncio.Event()

    async def run(self) -> None:
        """Send until cancelled; raises what the ledger raised."""
        try:
            await self._record_heard()
            while True:
                self.wake.clear()
                if self._failure is not None:
                    raise self._failure
                wait = await self._start_due()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self.wake.wait()
        finally:
            await self._end_busy()
            self._failure = None

    async def _end_busy(self) -> None:
        """Hear what the provider says to what is under way, as long as it may take to say it."""
        if tasks := list(self._busy.values()):
            await asyncio.wait(tasks, timeout=self._settings.retries.timeout)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._busy.clear()

    async def _record_heard(self) -> None:
        """Record what was heard before the ledger failed, where nobody else has sent since."""
        settled = []
        for path, heard in self._heard.items():
            record = self._ledger.latest(path)
            if record is not None and (record.state, record.tries) == ("sending", heard.tries):
                settled.append(structs.replace(heard, replays=record.replays))
        if settled:
            await self._ledger.write(settled)
        self._heard.clear()

    async def _start_due(self) -> float:
        """Begin what is due, as far as there is room; returns seconds until something is."""
        now = self._clock.now()
        wait = 60.0
        due: list[Record] = []
        for path, record in self._ledger.open.items():
            if record.state == "gathering" or path in self._busy:
                continue
            if record.next_try is not None and record.next_try > now:
                wait = min(wait, (record.next_try - now).total_seconds())
            else:
                due.append(record)
        room = self._settings.senders - len(self._busy)
        if not due or room <= 0:
            return wait
        channel = await self._office.channel()
        if channel is None:
            await self._ledger.write(
                [structs.replace(r, state="recorded", reason="no channel is set up") for r in due]
            )
            return 0.0
        due.sort(key=lambda record: record.number)
        chosen = [
            structs.replace(
                self._ledger.latest(record.path) or record,
                state="sending",
                tries=record.tries + 1,
                next_try=None,
                channel=channel.name,
            )
            for record in due[:room]
        ]
        for record in chosen:
            self._busy[record.path] = asyncio.create_task(self._send(record, channel))
        return wait

    async def _send(self, record: Record, channel: Channel) -> None:
        try:
            # Durable before anything leaves: after a crash it is known what may be under way.
            await self._ledger.write([record])
            settled = await self._try(record, channel)
            self._heard[record.path] = settled
            await self._ledger.write([settled])
            del self._heard[record.path]
        except Exception as error:  # noqa: BLE001  the service ends with it and is started again
            self._failure = error
        finally:
            self._busy.pop(record.path, None)
            self.wake.set()

    async def _try(self, record: Record, channel: Channel) -> Record:
        try:
            picture = await self._picture(record)
            message = await self._studio.compose(record, self._address(), picture)
            provider_id = await channel.send(message)
        except RefusedError as error:
            return self._dead(record, str(error))
        except LaterError as error:
            return self._later(record, str(error), error.after)
        except Exception as error:  # noqa: BLE001  whatever a message does, others go on
            return self._later(record, f"{type(error).__name__}: {error}", None)
        now = self._clock.now()
        return structs.replace(
            self._now(record),
            state="accepted",
            accepted_at=now,
            provider_id=provider_id,
            error="",
            reason="",
        )

    def _address(self) -> str:
        """What links start with: the settings' word, else where this server listens."""
        own = getattr(self._client.transport, "address", "")
        return (self._settings.address or own or _DEFAULT_ADDRESS).rstrip("/")

    async def _picture(self, record: Record) -> bytes:
        if record.kind == "summary":
            return b""
        try:
            return await self._client.get_file(IMAGES, "master", record.key)
        except (NotFound, Gone):
            return b""

    def _later(self, record: Record, reason: str, asked: float | None) -> Record:
        retries = self._settings.retries
        if record.tries >= retries.tries:
            return self._dead(record, f"given up after {record.tries} tries: {reason}")
        wait = min(retries.first * 2 ** min(record.tries - 1, _DOUBLINGS), retries.longest)
        wait = max(wait, asked or 0.0)
        _log.warning("message not accepted yet", picture=record.key, reason=reason, again_in=wait)
        return structs.replace(
            self._now(record),
            state="queued",
            error=reason[:_ERROR],
            next_try=self._after(wait),
        )

    def _dead(self, record: Record, reason: str) -> Record:
        _log.error("message is a dead letter", picture=record.key, reason=reason)
        return structs.replace(
            self._now(record), state="failed", error=reason[:_ERROR], next_try=None
        )

    def _now(self, record: Record) -> Record:
        """The record as it is by now: notes may have been added while it was being sent."""
        return self._ledger.latest(record.path) or record

    def _after(self, seconds: float) -> datetime:
        return self._clock.now() + timedelta(seconds=seconds)
