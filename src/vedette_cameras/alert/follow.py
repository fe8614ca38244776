"""Follows threat-detect and puts what is new into the ledger (CAMERAS 6).

New is what was never judged before: the first verdict on a picture, whatever commit woke it. A
later one is noted as replayed and sends nothing. A first verdict long after receipt is late: those
are told together, one summary a recipient.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct, structs

from vedette.client import Client
from vedette.model.api import NumberedChange
from vedette.model.errors import Gone, NotFound
from vedette_cameras.alert import verdict as verdicts
from vedette_cameras.alert.ledger import Ledger
from vedette_cameras.alert.record import Record, Replay, alert_path
from vedette_cameras.alert.rules import RuleBook
from vedette_cameras.alert.verdict import PIPELINE, Verdict
from vedette_cameras.clock import Clock
from vedette_cameras.devices import Devices
from vedette_cameras.ingest.kinds import EXTENSIONS
from vedette_cameras.ingest.offer import ARRIVALS, IMAGES
from vedette_cameras.settings import Settings

_PAGE = 500
_REPLAYS = 20
_EXAMPLES = 20
_SUMMARY = 2000


class _Notes(Struct):
    """Later verdicts of a delivery, to be added to it."""

    base: Record
    replays: list[Replay]


class _Arrived(Struct, frozen=True):
    received_at: datetime


_arrived = msgspec.json.Decoder(_Arrived)


class Follower:
    """Reads what threat-detect's commits did, and writes deliveries."""

    def __init__(
        self,
        client: Client,
        ledger: Ledger,
        rules: RuleBook,
        devices: Devices,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._rules = rules
        self._devices = devices
        self._settings = settings
        self._clock = clock
        self.lock = asyncio.Lock()
        self._cursor = 0

    def begin(self) -> None:
        """Go on from where the ledger is."""
        self._cursor = self._ledger.cursor

    async def look(self) -> None:
        """Take in everything that there is; returns when it is durable."""
        async with self.lock:
            while True:
                try:
                    page = await self._client.changes(
                        PIPELINE, "master", after=self._cursor, limit=_PAGE
                    )
                except NotFound:
                    return
                if page.changes:
                    records = await self._records(page.changes)
                    if records:
                        await self._ledger.write(records, cursor=page.number)
                if page.number <= self._cursor:
                    return
                self._cursor = page.number

    async def _records(self, changes: Sequence[NumberedChange]) -> list[Record]:
        made: dict[str, Record] = {}
        notes: dict[str, _Notes] = {}
        for change in changes:
            if change.change.change == "deleted":
                await self._withdrawn(change, made, notes)
            else:
                await self._found(change, made, notes)
        # A delivery may have moved on meanwhile: notes are added to what it is now.
        for path, noted in notes.items():
            base = made.get(path) or self._ledger.latest(path) or noted.base
            made[path] = structs.replace(base, replays=(*base.replays, *noted.replays)[-_REPLAYS:])
        return list(made.values())

    async def _found(
        self, entry: NumberedChange, made: dict[str, Record], notes: dict[str, _Notes]
    ) -> None:
        path = entry.change.path
        data = await self._bytes(path, entry.commit)
        found = await verdicts.read(self._client, self._rules, data, path, entry.commit)
        try:
            there = await self._there(alert_path(found.image), made)
        except Gone:
            return  # it was told, and what was told was deleted for good
        if there is not None:
            if there.commit != entry.commit:
                self._note(there, found, entry.commit, notes)
            return
        first = entry.change.first or await self._has_sibling(found.image)
        record = await self._record(found, entry.commit)
        if not first:
            record = structs.replace(record, state="suppressed", reason="replayed")
        elif not record.recipients:
            record = structs.replace(record, state="recorded", reason="no recipient in the rules")
        elif self._is_late(record):
            record = await self.late(record, made)
        made[record.path] = record

    async def _bytes(self, path: str, commit: str) -> bytes:
        """A verdict; nothing of one that was deleted for good: a threat was found all the same."""
        try:
            return await self._client.get_file(PIPELINE, commit, path)
        except Gone:
            return b""

    async def _withdrawn(
        self, entry: NumberedChange, made: dict[str, Record], notes: dict[str, _Notes]
    ) -> None:
        """A picture is no threat any more: noted where it had been told."""
        parts = entry.change.path.strip("/").removesuffix(".json").split("/")
        if len(parts) != 2:
            return
        for extension in EXTENSIONS:
            path = alert_path(f"/{parts[0]}_{parts[1]}.{extension}")
            try:
                there = await self._there(path, made)
            except Gone:
                return
            if there is not None:
                gone = Verdict(
                    image=there.key, device=there.device, captured_at=there.captured_at,
                    threats=(), model="", rules="",
                )  # fmt: skip
                self._note(there, gone, entry.commit, notes)
                return

    async def _there(self, path: str, made: dict[str, Record]) -> Record | None:
        return made.get(path) or await self._ledger.find(path)

    def _note(self, there: Record, found: Verdict, commit: str, notes: dict[str, _Notes]) -> None:
        noted = notes.setdefault(there.path, _Notes(there, []))
        if not _differs(there, noted.replays or there.replays, found):
            return
        top = found.threats[0] if found.threats else None
        replay = Replay(
            at=self._clock.now(),
            commit=commit,
            label=top.label if top else "",
            score=top.score if top else 0.0,
            model=found.model,
            rules=found.rules,
        )
        noted.replays.append(replay)

    async def _record(self, found: Verdict, commit: str) -> Record:
        held = await self._rules.of(found.rules, found.device) if found.rules else None
        top = found.threats[0] if found.threats else None
        key = found.image
        return Record(
            key=key,
            number=self._ledger.next_number(),
            state="queued",
            device=found.device,
            captured_at=found.captured_at,
            received_at=await self.received(key),
            decided_at=self._clock.now(),
            label=top.label if top else "",
            score=top.score if top else 0.0,
            threats=found.threats,
            model=found.model,
            rules=found.rules,
            commit=commit,
            time_zone=await self.time_zone(found.device),
            sender=(held.from_email if held else "") or self._settings.from_email,
            recipients=held.to_email if held else (),
            message_id=message_id(key, commit),
        )

    async def received(self, image: str) -> datetime | None:
        """When a picture arrived; for one put without a record, when its commit began."""
        try:
            data = await self._client.get_file(ARRIVALS, "master", f"{image}.json")
            return _arrived.decode(data).received_at
        except (NotFound, Gone, msgspec.MsgspecError):
            pass
        try:
            info = await self._client.inspect_file(IMAGES, "master", image)
            if not info.commit:  # it was squashed: when it began nobody knows any more
                return None
            return (await self._client.inspect_commit(IMAGES, info.commit)).started
        except NotFound:
            return None

    async def time_zone(self, device: str) -> str:
        """The time zone that a device's times are told in."""
        known = await self._devices.known(device)
        return (known.time_zone if known else "") or self._settings.time_zone

    def _is_late(self, record: Record) -> bool:
        return is_late(record, self._settings.max_age)

    async def late(self, record: Record, made: dict[str, Record]) -> Record:
        """Add a record to the growing summary of each of its recipients."""
        told = []
        for recipient in record.recipients:
            summary = self._gathering(record, recipient, made)
            told.append(summary.key)
            moment = record.captured_at or record.received_at or record.decided_at
            made[summary.path] = structs.replace(
                summary,
                count=summary.count + 1,
                first=min(summary.first or moment, moment),
                last=max(summary.last or moment, moment),
                decided_at=record.decided_at,
                examples=(*summary.examples, record.key)[:_EXAMPLES],
            )
        return structs.replace(record, state="late", reason="decided late", summaries=tuple(told))

    def _gathering(self, record: Record, recipient: str, made: dict[str, Record]) -> Record:
        for known in (*made.values(), *self._ledger.open.values()):
            if (
                known.kind == "summary"
                and known.state == "gathering"
                and known.recipients == (recipient,)
                and known.reason == record.kind
                and known.count < _SUMMARY
            ):
                return made.get(known.path, known)
        number = self._ledger.next_number()
        key = f"/{number:09d}"
        return Record(
            key=key,
            number=number,
            kind="summary",
            state="gathering",
            reason=record.kind,
            decided_at=record.decided_at,
            time_zone=record.time_zone,
            sender=record.sender,
            recipients=(recipient,),
            message_id=message_id(key, record.message_id),
        )

    async def _has_sibling(self, image: str) -> bool:
        """Whether another picture of this device and second shares the file of its verdict.

        The verdict of the one may then be taken for a later one of the other.
        """
        stem, _, own = image.rpartition(".")
        for extension in EXTENSIONS:
            if extension != own:
                try:
                    await self._client.inspect_file(IMAGES, "master", f"{stem}.{extension}")
                except NotFound:
                    continue
                return True
        return False


def is_late(record: Record, max_age: float) -> bool:
    """Whether a verdict came longer than `max_age` seconds after the picture."""
    if record.received_at is None:
        return False
    return record.decided_at - record.received_at > timedelta(seconds=max_age)


def message_id(key: str, commit: str) -> str:
    """The Message-ID of an alert: the same however often it is sent, and whoever sends it."""
    digest = hashlib.sha256(f"{key}\n{commit}".encode()).hexdigest()
    return f"<{digest[:40]}@vedette.invalid>"


def _differs(there: Record, replays: Sequence[Replay], found: Verdict) -> bool:
    """Whether a verdict says something else than the newest that is on record."""
    top = found.threats[0].label if found.threats else ""
    newest = replays[-1] if replays else there
    return (newest.label, newest.model, newest.rules) != (top, found.model, found.rules)
