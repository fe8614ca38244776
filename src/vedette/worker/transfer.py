"""Bytes that move between this host and the server: inputs in, outputs out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from msgspec import structs

from vedette.client import worker_endpoints as at
from vedette.model.errors import Forbidden, NotFound, Unavailable, VedetteError
from vedette.model.hosts import AskLinks, AskUpload
from vedette.model.ids import object_hasher, object_id
from vedette.model.work import Result, Task
from vedette.worker.connection import Line
from vedette.worker.direct import DirectStore
from vedette.worker.disk_cache import DiskCache
from vedette.worker.gather import INLINE_BYTES
from vedette.worker.memory_cache import MemoryCache
from vedette.worker.pieces import pieces, write

EAGER_BYTES = 1 << 20
EAGER_TOTAL = 32 << 20
"""Objects up to the first are fetched before their task begins, up to the second a task."""

MOVING = 300.0
"""Seconds for which moving one object is tried in vain before its datum is given back."""

Take = Callable[[bytes], Awaitable[None]]


class Transfer:
    """Moves objects. All of it belongs to one event loop, but for `known`.

    `ask` asks the server within the session of the moment, whose key `session` gives. `cache` is
    how many bytes of objects are kept in memory, `kept` keeps large ones on the disk.
    """

    def __init__(
        self, line: Line, ask: Callable[..., Awaitable[Any]], session: Callable[[], str],
        cache: int, kept: DiskCache,
    ) -> None:  # fmt: skip
        self._line = line
        self._ask = ask
        self._session = session
        self._fetched = MemoryCache(cache)
        self._kept = kept
        self._turns: dict[bytes, tuple[asyncio.Lock, int]] = {}
        self.store: DirectStore | None = None
        self._fetching: dict[bytes, asyncio.Task[bytes]] = {}
        self._uploads: dict[bytes, list[asyncio.Task[None]]] = {}

    async def reach(self, *, direct: bool) -> None:
        """Whether the store itself may be asked."""
        if self.store is not None and not direct:
            await self.store.close()
            self.store = None
        elif self.store is None and direct:
            self.store = DirectStore()

    def known(self, name: bytes) -> bytes | None:
        """An object that is here already; from any thread."""
        return self._fetched.get(name)

    async def prepare(self, tasks: Sequence[Task]) -> None:
        """Fetch the small inputs of tasks. What fails is asked for again when it is needed."""
        wanted: dict[bytes, bool] = {}
        room = EAGER_TOTAL
        for task in tasks:
            for file in (file for given in task.inputs for file in given.files):
                if file.size <= EAGER_BYTES and room > file.size and file.object not in wanted:
                    wanted[file.object] = file.size <= INLINE_BYTES
                    room -= file.size
        lacking = [name for name in wanted if self._fetched.get(name) is None]
        await asyncio.gather(
            *(self.get(name, small=wanted[name]) for name in lacking), return_exceptions=True
        )

    def upload(self, name: bytes, data: bytes, done: Callable[[object], None]) -> None:
        """Begin to upload an output; the result that names it waits for that."""
        task = asyncio.ensure_future(self._upload(name, data))
        task.add_done_callback(done)
        self._uploads.setdefault(name, []).append(task)

    async def uploaded(self, result: Result) -> Result:
        """A result whose outputs are at the server, or the news that they could not be moved."""
        for output in result.outputs:
            tasks = self._uploads.get(output.object)
            if output.data is not None or not tasks:
                continue
            task = tasks.pop(0)
            if not tasks:
                del self._uploads[output.object]
            try:
                await asyncio.shield(task)
            except VedetteError as error:
                reason = f"an output could not be uploaded: {error.message}"
                return structs.replace(result, state="lost", reason=reason, outputs=(), tries=1)
        return result

    async def get(self, name: bytes, *, small: bool = False) -> bytes:
        """An object, fetched once however many ask for it at the same time.

        A small one lies with the rows: the store is not asked for it.
        """
        task = self._fetching.get(name)
        if task is None:
            task = self._fetching[name] = asyncio.ensure_future(self._get(name, small))
            task.add_done_callback(lambda _: self._fetching.pop(name, None))
        return await asyncio.shield(task)

    async def _get(self, name: bytes, small: bool) -> bytes:
        found = self._fetched.get(name)
        if found is not None:
            return found
        with _while_held():
            if not small and (found := await self._direct_from_store(name)) is not None:
                return found
            data = await self._line.call(
                at.READ_OBJECT, {"id": name.hex()}, {"session": self._session()}, deadline=MOVING
            )
        if object_id(data) != name:
            raise Unavailable(f"object {name.hex()[:16]} did not arrive as it should")
        self._fetched.add(name, data)
        return data

    async def fetch_to(self, name: bytes, size: int, descriptor: int) -> None:
        """Write an object to an open file, in pieces. Raises Unavailable.

        It is fetched once however many ask for it, if it is small enough to be kept.
        """
        if not self._kept.takes(size):
            await self._fetch_to(name, size, descriptor)
            return
        async with self._turn(name):
            if not await asyncio.to_thread(self._kept.copy, name, descriptor):
                await self._fetch_to(name, size, descriptor)

    @asynccontextmanager
    async def _turn(self, name: bytes) -> AsyncIterator[None]:
        """Only one at a time fetches an object; the others find it here."""
        lock, waiting = self._turns.get(name, (asyncio.Lock(), 0))
        self._turns[name] = lock, waiting + 1
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._turns.pop(name)
            if waiting > 1:
                self._turns[name] = lock, waiting - 1

    async def _fetch_to(self, name: bytes, size: int, descriptor: int) -> None:
        with _while_held():
            if await self._store_to(name, size, descriptor):
                return
        with _while_held(), self._taking(name, size, descriptor) as (hasher, take):
            await self._line.receive(
                at.READ_OBJECT, {"id": name.hex()}, {"session": self._session()}, size, take,
                quiet=MOVING,
            )  # fmt: skip
            if hasher.digest() != name:
                raise Unavailable(f"object {name.hex()[:16]} did not arrive as it should")

    @contextmanager
    def _taking(self, name: bytes, size: int, descriptor: int) -> Iterator[tuple[Any, Take]]:
        """The hash of what came, and what takes pieces; they are kept if they are what they should
        be."""
        hasher, keeping = object_hasher(), self._kept.begin(name, size)

        def write_piece(piece: bytes) -> None:
            hasher.update(piece)
            write(descriptor, piece)
            keeping.write(piece)

        try:
            yield hasher, lambda piece: asyncio.to_thread(write_piece, piece)
            if hasher.digest() == name:
                keeping.done()
        finally:
            keeping.drop()

    async def _direct_from_store(self, name: bytes) -> bytes | None:
        """A whole object by a link; None where there is none, or it did not work."""
        found = bytearray()

        async def take(piece: bytes) -> None:
            found.extend(piece)

        if not await self._by_link(name, take) or object_id(bytes(found)) != name:
            return None
        data = bytes(found)
        self._fetched.add(name, data)
        return data

    async def _store_to(self, name: bytes, size: int, descriptor: int) -> bool:
        """Write an object to an open file by a link; False leaves the file as it was."""
        with self._taking(name, size, descriptor) as (hasher, take):
            if await self._by_link(name, take) and hasher.digest() == name:
                return True
        await asyncio.to_thread(os.ftruncate, descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return False

    async def _by_link(self, name: bytes, take: Callable[[bytes], Awaitable[None]]) -> bool:
        if self.store is None:
            return False
        body = AskLinks(objects=(name,))
        link = (await self._ask(at.LINKS, {}, lambda: body, deadline=MOVING)).links[0]
        return link is not None and await self.store.get(link, take)

    async def _file_to_store(self, descriptor: int) -> tuple[bytes, int] | None:
        """Send a file to the store itself; None: it must go through the server."""
        if self.store is None:
            return None
        name, size = await asyncio.to_thread(_named, descriptor)
        ask = AskUpload(object=name, size=size)
        url = (await self._ask(at.UPLOAD, {}, lambda: ask, deadline=MOVING)).url
        if not url or not await self.store.put(url, descriptor, size):
            return None
        sent = AskUpload(object=name, size=size, sent=True)
        while not (state := (await self._ask(at.UPLOAD, {}, lambda: sent, deadline=MOVING)).state):
            pass  # the server is still reading it
        return (name, size) if state == "there" else None

    async def _upload(self, name: bytes, data: bytes) -> None:
        stored = await self._ask(at.PUT_OBJECT, {}, lambda: data, deadline=MOVING)
        if stored.object != name:
            raise Unavailable("other bytes arrived at the server than were sent")

    async def upload_file(self, descriptor: int) -> tuple[bytes, int]:
        """Upload all bytes of an open file, in pieces; id and size. Raises Unavailable."""
        if (sent := await self._file_to_store(descriptor)) is not None:
            return sent
        hashers = []

        async def content() -> AsyncIterator[bytes]:
            hasher = object_hasher()
            hashers.append(hasher)
            found = pieces(descriptor)
            while (piece := await asyncio.to_thread(next, found, None)) is not None:
                hasher.update(piece)
                yield piece

        stored = await self._ask(at.PUT_OBJECT, {}, content, deadline=MOVING)
        if stored.object != hashers[-1].digest():
            raise Unavailable("other bytes arrived at the server than were sent")
        return stored.object, stored.size


def _named(descriptor: int) -> tuple[bytes, int]:
    hasher, size = object_hasher(), 0
    for piece in pieces(descriptor):
        hasher.update(piece)
        size += len(piece)
    return hasher.digest(), size


@contextmanager
def _while_held() -> Iterator[None]:
    """Who may not read any more has lost the lease: no fault of the datum."""
    try:
        yield
    except (Forbidden, NotFound) as error:
        raise Unavailable(f"an input is not given out any more: {error.message}") from error
