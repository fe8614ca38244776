"""The delivery ledger: who was told of what, durable before anything is sent.

One writer, by a fencing number: every commit is made on condition of the writer's own record, so
that one who was taken over can write nothing more. Every file is written on condition of what it
held. Changes that come while a commit is being made go together into the next.
"""

from __future__ import annotations

import asyncio
import tarfile
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from tempfile import SpooledTemporaryFile

import structlog
from msgspec import Struct, structs

from vedette.client import Client
from vedette.model.errors import Conflict, Corrupt, Gone, NotFound
from vedette.model.files import Write
from vedette.model.ids import object_id
from vedette_cameras.alert.record import (
    REPO,
    WRITER,
    Alert,
    Record,
    Writer,
    decode_record,
    decode_writer,
    encode,
    listed,
)
from vedette_cameras.clock import Clock

_SPOOL = 32 << 20
_RECENT = 10_000
_BATCH = 1000
_OBJECTS = 20_000
_log = structlog.get_logger("vedette.cameras.ledger")

Listener = Callable[[Sequence[Record]], None]


class FencedError(Conflict):
    """Another process writes the ledger now."""


class _Change(Struct):
    """Records to be written together, and the cursor that goes with them."""

    records: tuple[Record, ...]
    cursor: int | None
    done: asyncio.Future[None]


class Ledger:
    """The ledger as its one writer holds it: open deliveries and the newest alerts in memory."""

    def __init__(self, client: Client, clock: Clock, holder: str) -> None:
        self.open: dict[str, Record] = {}
        self.cursor = 0
        self.fence = 0
        self.ready = asyncio.Event()
        self._client = client
        self._clock = clock
        self._holder = holder
        self._number = 0
        self._writer: Writer | None = None
        self._writer_object = ""
        self._objects: OrderedDict[str, str] = OrderedDict()
        self._coming: dict[str, Record] = {}
        self._dead: dict[str, Record] = {}
        self._recent: deque[Alert] = deque(maxlen=_RECENT)
        self._place: dict[str, Alert] = {}
        self._queue: list[_Change] = []
        self._flushing: asyncio.Task[None] | None = None
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Be told of records after they are durable, and of all of them while loading."""
        self._listeners.append(listener)

    async def take_over(self) -> None:
        """Become the writer, and read what there is."""
        if self._flushing is not None:
            await asyncio.gather(self._flushing, return_exceptions=True)
        self.open.clear()
        self._coming.clear()
        self._objects.clear()
        self._recent.clear()
        self._dead.clear()
        self._place.clear()
        for _ in range(100):
            held, there = await self._held()
            writer = Writer(
                fence=(held.fence if held else 0) + 1,
                holder=self._holder,
                since=self._clock.now(),
                cursor=held.cursor if held else 0,
            )
            data = encode(writer)
            try:
                await self._client.transaction(
                    [Write(repo=REPO, path=WRITER, data=data, expect=there)]
                )
            except Conflict:
                continue
            self._writer, self._writer_object = writer, object_id(data).hex()
            self.fence, self.cursor = writer.fence, writer.cursor
            break
        else:
            raise Conflict(
                "the delivery ledger changes hands too often: is a second server running?"
            )
        await self._load()
        self.ready.set()

    async def _held(self) -> tuple[Writer | None, str]:
        try:
            data = await self._client.get_file(REPO, "master", WRITER)
        except NotFound:
            return None, ""
        return decode_writer(data), object_id(data).hex()

    async def _load(self) -> None:
        with SpooledTemporaryFile(_SPOOL) as spool:
            async with self._client.archive(REPO, "master", "/") as chunks:
                async for chunk in chunks:
                    spool.write(chunk)
            spool.seek(0)
            newest: list[Record] = []
            for n, (record, digest) in enumerate(_records(spool)):
                self._number = max(self._number, record.number)
                if record.open:
                    self.open[record.path] = record
                    self._objects[record.path] = digest
                if record.state == "failed":
                    self._dead[record.path] = record
                if record.alerted:
                    newest.append(record)
                self._tell([record])
                if n % 500 == 499:
                    await asyncio.sleep(0)
        newest.sort(key=lambda record: record.number)
        for record in newest[-_RECENT:]:
            self._remember(record)

    def next_number(self) -> int:
        """A number for a new record."""
        self._number += 1
        return self._number

    def latest(self, path: str) -> Record | None:
        """The record at a path as it is about to be, if it is open or being written."""
        return self._coming.get(path) or self.open.get(path)

    async def find(self, path: str) -> Record | None:
        """The record at a path, settled or not. Raises Gone when it was deleted for good."""
        if (record := self.latest(path)) is not None:
            return record
        try:
            data = await self._client.get_file(REPO, "master", path)
        except NotFound:
            return None
        self._note_object(path, object_id(data).hex())
        return decode_record(data, path)

    async def has(self, path: str) -> bool:
        """Whether there is a record at a path, or was one that was deleted for good."""
        try:
            return await self.find(path) is not None
        except Gone:
            return True

    async def write(self, records: Iterable[Record], cursor: int | None = None) -> None:
        """Make records durable, and move the cursor with them; returns when it is done.

        Raises `FencedError` when another process has taken over.
        """
        change = _Change(tuple(records), cursor, asyncio.get_running_loop().create_future())
        # Seen at once by those who change the same record next: commits keep this order, and when
        # one fails all is read again.
        self._coming.update((record.path, record) for record in change.records)
        self._queue.append(change)
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        await asyncio.shield(change.done)

    def alerts(self, after: int | None, limit: int) -> list[Alert]:
        """The newest alerts, newest first; with `after` those that follow it, oldest first."""
        if after is None:
            return [alert for alert, _ in zip(reversed(self._recent), range(limit), strict=False)]
        found: deque[Alert] = deque(maxlen=limit)
        for alert in reversed(self._recent):
            if alert.number <= after:
                break
            found.appendleft(alert)
        return list(found)

    def unsettled(self) -> list[Record]:
        """Messages that are under way and dead letters, by number."""
        found = [*self.open.values(), *self._dead.values()]
        return sorted(found, key=lambda record: record.number)

    async def _flush(self) -> None:
        while self._queue:
            taken: list[_Change] = []
            size = 0
            while self._queue and size < _BATCH:
                taken.append(self._queue.pop(0))
                size += len(taken[-1].records)
            try:
                await self._commit(taken)
            except Exception as error:  # noqa: BLE001  every waiter is told, whatever it was
                for change in taken:
                    if not change.done.done():
                        change.done.set_exception(error)
            else:
                for change in taken:
                    if not change.done.done():
                        change.done.set_result(None)

    async def _commit(self, changes: list[_Change]) -> None:
        assert self._writer is not None
        latest = {record.path: record for change in changes for record in change.records}
        cursors = [change.cursor for change in changes if change.cursor is not None]
        writer, there = self._writer, self._writer_object
        if cursors and max(cursors) > writer.cursor:
            writer = structs.replace(writer, cursor=max(cursors))
            data = encode(writer)
            writes = [Write(repo=REPO, path=WRITER, data=data, expect=there)]
            there = object_id(data).hex()
        else:
            writes = [Write(repo=REPO, path=WRITER, object=there, expect=there)]
        objects: dict[str, str] = {}
        for path, record in latest.items():
            data = encode(record)
            expect = self._objects.get(path, "")
            writes.append(Write(repo=REPO, path=path, data=data, expect=expect))
            objects[path] = object_id(data).hex()
        try:
            await self._client.transaction(writes)
        except Conflict as error:
            held, _ = await self._held()
            if held != self._writer:
                holder = held.holder if held else "nobody"
                raise FencedError(f"the delivery ledger is written by {holder} now") from None
            raise Conflict(f"a delivery was changed by hand: {error.message}") from None
        self._writer, self._writer_object, self.cursor = writer, there, writer.cursor
        for path, record in latest.items():
            self._note_object(path, objects[path])
            if self._coming.get(path) is record:
                del self._coming[path]
            if record.open:
                self.open[path] = record
            else:
                self.open.pop(path, None)
            if record.state == "failed":
                self._dead[path] = record
            if record.alerted:
                self._remember(record)
        self._tell(list(latest.values()))

    def _note_object(self, path: str, digest: str) -> None:
        self._objects[path] = digest
        self._objects.move_to_end(path)
        if len(self._objects) > _OBJECTS + len(self.open):
            for oldest in self._objects:
                if oldest not in self.open and oldest not in self._coming:
                    del self._objects[oldest]
                    break

    def _remember(self, record: Record) -> None:
        alert = listed(record)
        if (known := self._place.get(alert.image)) is not None:
            for n in range(len(self._recent) - 1, -1, -1):
                if self._recent[n] is known:
                    self._recent[n] = alert
                    break
        else:
            if len(self._recent) == _RECENT:
                self._place.pop(self._recent[0].image, None)
            self._recent.append(alert)
        self._place[alert.image] = alert

    def _tell(self, records: Sequence[Record]) -> None:
        for listener in self._listeners:
            listener(records)


def _records(spool: SpooledTemporaryFile[bytes]) -> Iterable[tuple[Record, str]]:
    """Every record of an archive, with the id of its bytes."""
    with tarfile.open(fileobj=spool, mode="r|") as tar:
        for member in tar:
            path = "/" + member.name.lstrip("/")
            if not member.isfile() or path.rpartition("/")[2].startswith("."):
                continue
            file = tar.extractfile(member)
            data = file.read() if file else b""
            try:
                yield decode_record(data, path), object_id(data).hex()
            except Corrupt as error:
                _log.warning("delivery cannot be read", reason=error.message)
