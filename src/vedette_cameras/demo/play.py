"""The play itself: set up, pictures in, alerts as they happen, until nothing is left to do."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import httpx2
import msgspec

from vedette.client.http import error_of
from vedette.model.errors import Invalid, TooLarge, Unavailable
from vedette_cameras.clock import rfc3339
from vedette_cameras.demo.figures import Alert, Counts
from vedette_cameras.demo.screen import Screen
from vedette_cameras.demo.sources import OwnPictures, Source, Upload
from vedette_cameras.ingest.intake import Receipt

_AT_ONCE = 2
_LOOK = 0.2
_STALLED = 120.0
_PAGE = 500
_PACE = 0.15


class Site:
    """The routes of the application that the demo reads."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._http = httpx2.AsyncClient(base_url=address, timeout=60.0, trust_env=False)

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.aclose()

    async def send(self, upload: Upload) -> Receipt:
        """Hand a picture in, as a camera does; returns when it is durable."""
        query = {"filename": upload.name}
        if upload.taken is not None:
            query["captured_at"] = rfc3339(upload.taken)
        path = f"/v1/devices/{upload.device}/images"
        answer = await self._call("POST", path, query, upload.data)
        return msgspec.json.decode(answer, type=Receipt)

    async def counts(self) -> Counts:
        """What has become of every picture so far."""
        return msgspec.json.decode(await self._call("GET", "/v1/cameras/summary"), type=Counts)

    async def alerts(self, after: int) -> list[Alert]:
        """The alerts that follow one, oldest first."""
        query = {"after": str(after), "limit": str(_PAGE)}
        answer = await self._call("GET", "/v1/cameras/alerts", query)
        return msgspec.json.decode(answer, type=list[Alert])

    async def _call(
        self, method: str, path: str, query: dict[str, str] | None = None, body: bytes | None = None
    ) -> bytes:
        try:
            answer = await self._http.request(method, path, params=query, content=body)
        except httpx2.TransportError as error:
            reason = str(error) or type(error).__name__
            raise Unavailable(f"the server at {self.address} went away: {reason}") from None
        if answer.status_code >= 400:
            raise error_of(answer.status_code, answer.content)
        return answer.content


class Play:
    """One run over a server that is up."""

    def __init__(self, site: Site, screen: Screen, source: Source) -> None:
        self.alerts: list[Alert] = []
        self.played: set[str] = set()
        self.refused = 0
        self.before = Counts()
        self.counts = Counts()
        self.seconds = 0.0
        self._site = site
        self._screen = screen
        self._source = source
        self._sent = 0
        self._known: list[str] = []
        self._newest = 0

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
        while page := await self._site.alerts(self._newest):
            self.alerts += page
            self._newest = page[-1].number

    async def _earlier(self) -> Counts:
        """What earlier runs left, once the last of it is decided."""
        counts = await self._site.counts()
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
        try:
            receipt = await self._site.send(upload)
        except (TooLarge, Invalid) as error:
            self.refused += 1
            self._screen.say(f"refused at the door: {upload.name}: {error.message}", "yellow")
            return
        self._sent += 1
        if receipt.duplicate and receipt.path not in self.played:
            self._known.append(receipt.path)
        self.played.add(receipt.path)

    async def _look(self) -> None:
        self.counts = await self._site.counts() - self.before
        for alert in await self._site.alerts(self._newest):
            self.alerts.append(alert)
            self._newest = alert.number
            self._screen.alert(alert, self._site.address)
        self._screen.advance(self._sent, self._source.total, self.counts)

    async def _settle(self) -> None:
        """Until nothing is in flight; gives up when nothing has moved for two minutes."""
        moved = time.monotonic()
        while True:
            last = self.counts
            await self._look()
            if self.counts.in_flight <= 0:
                return
            if self.counts != last:
                moved = time.monotonic()
            if time.monotonic() - moved > _STALLED:
                return
            await asyncio.sleep(_LOOK)
