"""Read what a spout emits: tar streams on the named pipe `/pfs/out` (ENGINE R10).

Each tar archive becomes one commit when its end has come; one that ends early is dropped whole. A
spout may open the pipe anew for each archive, or write one after the other while it is open.
"""

from __future__ import annotations

import asyncio
import os
import select
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path

from vedette.client.tar import BLOCK, Bytes, Entries
from vedette.model.errors import Invalid, TooLarge, VedetteError
from vedette.model.work import Emitted

MAX_FILES = 10_000
MAX_FILE_BYTES = 1 << 30
SMALL = 1 << 20
MAX_SMALL_BYTES = 64 << 20
"""Bytes of an archive's small files, which are held until it has ended."""

_EMPTY = bytes(BLOCK)

Store = Callable[[str, Iterator[bytes]], Emitted]
Emit = Callable[[list[Emitted]], None]
Remark = Callable[[str], None]


class Emitting:
    """Takes in one spout's archives by a thread of its own, from `start` to `finish`.

    `store` keeps a file's bytes, `emit` commits an archive's files and returns when that is
    durable, `remark` tells of what was dropped.
    """

    def __init__(self, pipe: Path, scratch: Path, store: Store, emit: Emit, remark: Remark) -> None:
        self._path = pipe
        self._scratch = scratch
        self._store = store
        self._emit = emit
        self._remark = remark
        self._pipe = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        # Under its number, for the spout may put something else in the place of the name.
        self._again = f"/proc/self/fd/{self._pipe}"
        self._wake_read, self._wake_write = os.pipe()
        self._finishing = False
        self._thread = threading.Thread(target=self._run, name="vedette-spout", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def finish(self) -> None:
        """The spout has ended: take in what it wrote until then, and end."""
        self._finishing = True
        os.write(self._wake_write, b"x")
        self._thread.join()
        for descriptor in (self._pipe, self._wake_read, self._wake_write):
            os.close(descriptor)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        while self._wait():
            session = self._session()
            stream = Bytes(session)
            try:
                while await _begins(stream):
                    await self._archive(stream)
            except VedetteError as error:
                more = await stream.drain()
                also = f"; {more:,} bytes that followed at once went with it" if more else ""
                self._remark(f"an archive on /pfs/out was dropped: {error.message}{also}")
            await session.aclose()

    def _wait(self) -> bool:
        """Whether somebody writes; sleeps until then, or until the spout has ended."""
        waiting = select.poll()
        waiting.register(self._pipe, select.POLLIN)
        if not self._finishing:
            waiting.register(self._wake_read, select.POLLIN)
        while True:
            ready = dict(waiting.poll(0 if self._finishing else None))
            if self._pipe in ready:
                return True
            if self._finishing:
                return False

    async def _session(self) -> AsyncGenerator[bytes, None]:
        """What comes until nobody has the pipe open for writing."""
        waiting = select.poll()
        waiting.register(self._pipe, select.POLLIN)
        while True:
            waiting.poll(1000)
            try:
                data = os.read(self._pipe, 1 << 16)
            except BlockingIOError:
                continue
            if not data:
                break
            yield data
        # A reader opened anew says nothing of writers that have gone. It is opened before the old
        # one is closed, so that at no time a writer meets a pipe without a reader.
        fresh = os.open(self._again, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.dup2(fresh, self._pipe, inheritable=False)
        os.close(fresh)

    async def _archive(self, stream: Bytes) -> None:
        entries = Entries(stream, MAX_FILE_BYTES, drain=False)
        found: list[Emitted] = []
        small = 0
        while True:
            entry = await entries.next()
            if entry is None:
                break
            name, size = entry
            small += size if size <= SMALL else 0
            if len(found) >= MAX_FILES or small > MAX_SMALL_BYTES:
                raise TooLarge(
                    f"it holds more than {MAX_FILES:,} files or {MAX_SMALL_BYTES:,} bytes of small "
                    "ones: write several archives"
                )
            found.append(await self._file(stream, name, size))
        if found:
            self._emit(found)

    async def _file(self, stream: Bytes, name: str, size: int) -> Emitted:
        if size <= SMALL:
            return self._store(name, iter([await stream.exactly(size)]))
        with tempfile.TemporaryFile(dir=self._scratch) as spool:
            async for piece in stream.pieces(size):
                spool.write(piece)
            spool.seek(0)
            return self._store(name, iter(lambda: spool.read(1 << 20), b""))


async def _begins(stream: Bytes) -> bool:
    """Whether an archive follows; the zeros after the one before are skipped.

    Raises Invalid for what is not even a header.
    """
    while True:
        try:
            first = await stream.exactly(1)
        except Invalid:  # nothing came before the pipe was closed
            return False
        block = first + await stream.exactly(BLOCK - 1)
        if block != _EMPTY:
            stream.unread(block)
            return True
