"""The server as a worker in the same process sees it (`vedette.model.work.Source`)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from vedette.metadata.store import MetadataStore
from vedette.model.errors import Corrupt, VedetteError
from vedette.model.ids import ObjectId, object_hasher
from vedette.model.work import Code, Result, Task
from vedette.objects.store import ObjectStore
from vedette.scheduling import leasing
from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Worker
from vedette.versioning import contents
from vedette.versioning.contents import Prepared
from vedette.worker.pieces import PIECE, pieces, write

MOST_BYTES = 1 << 62


class Rounds(Protocol):
    """What the source needs of the loop."""

    store: MetadataStore
    objects: ObjectStore

    def enter(self, work: Callable[[Round], Any], durable: bool = False) -> Future[Any]:
        """Do something in the next round."""

    def claim(self, worker: str, room: int) -> Future[list[Task]]:
        """Ask for tasks."""

    def beat(self, worker: str) -> list[int] | None:
        """A worker says that it lives."""

    def revoked(self, worker: str) -> list[int]:
        """Leases whose datums nobody needs any more."""

    def code(self, key: str) -> Code:
        """The pipeline version that a task names."""


class LocalSource:
    """A source over the loop and the stores of this process."""

    def __init__(self, loop: Rounds) -> None:
        self._loop = loop
        # One for each time that bytes were put: datums may write the same, and end differently.
        self._put: dict[bytes, list[Prepared]] = {}
        self._lock = threading.Lock()

    def register(self, worker: str, pool: str) -> None:
        """Make a worker known."""

        def work(round: Round) -> None:
            round.memory.workers[worker] = Worker(worker, pool, round.now)

        self._loop.enter(work)

    def claim(self, worker: str, room: int) -> Future[list[Task]]:
        """Ask for up to `room` tasks."""
        return self._loop.claim(worker, room)

    def report(self, worker: str, results: Sequence[Result]) -> Future[list[int]]:
        """Hand in results. What they bring along is hashed and written here, in this thread.

        What cannot be written (the disk is full) is run again when the pipeline is tried again.
        """
        taken, stored = [], []
        for result in results:
            try:
                stored.append(self._prepare(result))
                taken.append(result)
            except VedetteError as error:
                stored.append([])
                taken.append(
                    Result(datum=result.datum, lease=result.lease, state="crash", tries=0,
                           reason=f"its output could not be stored: {error.message}")
                )  # fmt: skip
        return self._loop.enter(
            lambda round: leasing.report(round, worker, taken, stored), durable=True
        )

    def _prepare(self, result: Result) -> list[Prepared]:
        found = []
        for output in result.outputs:
            if output.data is not None:
                found.append(contents.prepare(self._loop.objects, output.data))
            else:
                with self._lock:
                    kept = self._put.get(output.object, [])
                    found += kept[:1]
                    del kept[:1]
                    if not kept:
                        self._put.pop(output.object, None)
        return found

    def heartbeat(self, worker: str) -> Future[list[int]]:
        """Say that the worker lives."""
        self._loop.beat(worker)
        future: Future[list[int]] = Future()
        future.set_result(self._loop.revoked(worker))
        return future

    def release(self, worker: str, reason: str) -> Future[None]:
        """The worker has gone."""
        return self._loop.enter(lambda round: leasing.release(round, worker, reason))

    def code(self, key: str) -> Code:
        """The pipeline version that a task names."""
        return self._loop.code(key)

    def read(self, object_id: bytes) -> bytes:
        """An object's bytes, verified."""
        with self._loop.store.read() as rows:
            return contents.read(rows, self._loop.objects, ObjectId(object_id))

    def fetch(self, object_id: bytes, size: int, descriptor: int) -> None:
        """Write an object's bytes, verified, to an open file."""
        hasher = object_hasher()
        for offset in range(0, size, PIECE):
            with self._loop.store.read() as rows:
                name = ObjectId(object_id)
                piece = contents.read(rows, self._loop.objects, name, offset, PIECE)
            hasher.update(piece)
            write(descriptor, piece)
        if hasher.digest() != object_id:
            raise Corrupt(f"object {object_id.hex()} is not what it should be: restore it")

    def put_file(self, descriptor: int) -> tuple[bytes, int]:
        """Store all bytes of an open file."""
        kept = contents.prepare_stream(self._loop.objects, pieces(descriptor), MOST_BYTES)
        self._keep(kept)
        return kept.id, kept.size

    def put(self, data: bytes) -> bytes:
        """Store a large output."""
        kept = contents.prepare(self._loop.objects, data)
        self._keep(kept)
        return kept.id

    def _keep(self, kept: Prepared) -> None:
        with self._lock:
            self._put.setdefault(kept.id, []).append(kept)
