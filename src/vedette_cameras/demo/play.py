"""The play itself: set up, pictures in, alerts as they happen, until nothing is left to do."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from vedette.client import Client
from vedette.model.errors import Invalid, TooLarge
from vedette_cameras.alert.record import Alert
from vedette_cameras.api import ALERTS, DECISION, POST_IMAGE, SUMMARY
from vedette_cameras.clock import rfc3339
from vedette_cameras.counts.tally import Summary
from vedette_cameras.demo.figures import NONE, added, taken_off
from vedette_cameras.demo.screen import Screen
from vedette_cameras.demo.sources import OwnPictures, Source, Upload

_AT_ONCE = 2
_LOOK = 0.2
_STALLED = 120.0
_PAGE = 500
_PACE = 0.15


class Play:
    """One run over a server that is up. `counts` are of this run alone."""

    def __init__(self, client: Client, address: str, screen: Screen, source: Source) -> None:
        self.alerts: list[Alert] = []
        self.played: set[str] = set()
        self.known: list[str] = []
        self.before = NONE
        self.counts = NONE
        self.seconds = 0.0
        self._call = client.transport.call
        self._address = address
        self._screen = screen
        self._source = source
        self._sent = 0
        self._newest = 0

    @property
    def finished(self) -> bool:
        """Whether every picture that was new has been counted, and is decided."""
        new = len(self.played) - len(self.known)
        return self.counts.received >= new and self.counts.in_flight <= 0

    async def run(self) -> None:
        """Send all, and return when every picture is decided (or nothing moves any more)."""
        await self._skip_old_alerts()
        self.before = await self._earlier()
        begin = time.monotonic()
        with self._screen.progress(self._source.total):
            sending = asyncio.create_task(self._send())
            try:
                while not sending.done():
                    await self._look()
                    await asyncio.wait([sending], timeout=_LOOK)
                await sending
                await self._settle()
            finally:
                sending.cancel()
                with suppress(asyncio.CancelledError):
                    await sending
        self.seconds = time.monotonic() - begin

    async def _skip_old_alerts(self) -> None:
        while page := await self._newer():
            self.alerts += page
            self._newest = page[-1].number

    async def _newer(self) -> list[Alert]:
        return await self._call(ALERTS, {}, {"after": self._newest, "limit": _PAGE})

    async def _earlier(self) -> Summary:
        """What earlier runs left, once the last of it is decided."""
        counts = await self._call(SUMMARY, {})
        if counts.in_flight > 0:
            self._screen.say(f"First the {counts.in_flight} pictures that an earlier run left")
            await self._settle()
            counts = self.counts
        return counts

    async def _send(self) -> None:
        uploads = self._source.uploads()
        pace = _PACE if self._screen.live and isinstance(self._source, OwnPictures) else 0.0

        async def lane() -> None:
            for upload in uploads:
                await self._send_one(upload)
                await asyncio.sleep(pace)

        lanes = [asyncio.create_task(lane()) for _ in range(_AT_ONCE)]
        try:
            await asyncio.gather(*lanes)
        finally:
            for task in lanes:
                task.cancel()

    async def _send_one(self, upload: Upload) -> None:
        query = {"filename": upload.name}
        if upload.taken is not None:
            query["captured_at"] = rfc3339(upload.taken)
        try:
            receipt = await self._call(POST_IMAGE, {"device": upload.device}, query, upload.data)
        except (TooLarge, Invalid) as error:
            self._screen.say(f"refused at the door: {upload.name}: {error.message}", "yellow")
            return
        self._sent += 1
        if receipt.duplicate and receipt.path not in self.played:
            self.known.append(receipt.path)
        self.played.add(receipt.path)

    async def _look(self) -> None:
        self.counts = taken_off(await self._call(SUMMARY, {}), self.before)
        for alert in await self._newer():
            self.alerts.append(alert)
            self._newest = alert.number
            self._screen.alert(alert, self._address)
        self._screen.advance(self._sent, self._source.total, self.counts)

    async def _settle(self) -> None:
        """Until nothing is in flight; gives up when nothing has moved for two minutes."""
        moved = time.monotonic()
        while True:
            last = self.counts
            await self._look()
            if self.finished:
                return
            if self.counts != last:
                moved = time.monotonic()
            if time.monotonic() - moved > _STALLED:
                return
            await asyncio.sleep(_LOOK)

    async def close(self) -> None:
        """Count pictures that an earlier run had brought as this run's too: it played them."""
        for image in self.known:
            found = await self._call(DECISION, {"path": image})
            self.counts = added(self.counts, found.outcome)
            self.before = taken_off(self.before, added(NONE, found.outcome))
