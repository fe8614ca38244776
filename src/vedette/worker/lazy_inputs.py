"""Inputs that are fetched when they are first opened (`lazy`).

Each file is a named pipe. When it is first opened its bytes are fetched to a plain file, which
takes the pipe's name for those who come later; the first reads them from the pipe, front to back.
Nothing is in memory but the piece under way.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import struct
import threading
from types import TracebackType
from typing import Protocol

from msgspec import Struct

from vedette.worker import syscalls
from vedette.worker.pieces import PIECE

MAX_PIPES = 1000
"""Files of a datum that are pipes; each holds a descriptor. The others are plain files."""

_EVENT = struct.Struct("iIII")


class _Pipe(Struct):
    """A pipe that waits for its reader. `folder` is open, so that its name leads nowhere else.

    `file` has the bytes once they are here, `sent` of which have gone into the pipe.
    """

    descriptor: int
    folder: int
    name: str
    object: bytes
    size: int
    opened: bool = False
    file: int = -1
    sent: int = 0

    def close(self) -> None:
        """Let go of the pipe; who reads from it meets the end."""
        os.close(self.descriptor)
        if self.file >= 0:
            os.close(self.file)


class Inputs(Protocol):
    """Where the bytes of inputs come from; see `vedette.model.work.Source`."""

    def fetch(self, object_id: bytes, size: int, descriptor: int) -> None:
        """Write an object's bytes to an open file."""


class Fetching:
    """The pipes of one datum, served by a thread of their own between `start` and the end.

    `fetched` counts bytes; `fault` is why a file could not be had, which fails the datum.
    """

    def __init__(self, source: Inputs) -> None:
        self.fetched = 0
        self.fault: Exception | None = None
        self.remark = ""
        self._source = source
        self._pipes: dict[int, _Pipe] = {}
        self._folders: dict[str, int] = {}
        self._events = -1
        self._thread: threading.Thread | None = None
        self._stop: tuple[int, int] | None = None

    def __enter__(self) -> Fetching:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def close(self) -> None:
        """Serve no more, and let go of the pipes."""
        if self._thread is not None and self._stop is not None:
            os.write(self._stop[1], b"x")
            self._thread.join()
        for pipe in self._pipes.values():
            pipe.close()
        held = [*self._folders.values(), *(self._stop or ())]
        for descriptor in [*held, self._events] if self._events >= 0 else held:
            os.close(descriptor)

    def add(self, path: str, object_id: bytes, size: int) -> bool:
        """Make a pipe at `path`; False when there are too many: then make it a file."""
        if len(self._pipes) >= MAX_PIPES:
            self.remark = (
                f"lazy: the first {MAX_PIPES:,} files are fetched when opened; "
                "the others were fetched at once"
            )
            return False
        if self._events < 0:
            self._events = syscalls.watch_opening()
        parent, _, name = path.rpartition("/")
        if parent not in self._folders:
            self._folders[parent] = os.open(parent, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        os.mkfifo(path, 0o644)
        # Held open at both ends: its reader neither waits for us nor meets an early end.
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        number = syscalls.watch(self._events, path)
        self._pipes[number] = _Pipe(descriptor, self._folders[parent], name, object_id, size)
        return True

    def start(self) -> None:
        """Begin to serve, when there is anything to serve."""
        if self._pipes:
            self._stop = os.pipe()
            self._thread = threading.Thread(target=self._serve, name="vedette-lazy", daemon=True)
            self._thread.start()

    def _serve(self) -> None:
        assert self._stop is not None
        waiting = select.poll()
        waiting.register(self._stop[0], select.POLLIN)
        waiting.register(self._events, select.POLLIN)
        by_descriptor: dict[int, int] = {}
        while True:
            for ready, _ in waiting.poll():
                if ready == self._stop[0]:
                    return
                if ready != self._events:
                    self._feed(by_descriptor[ready], waiting)
                    continue
                for number in self._opened():
                    pipe = self._pipes.get(number)
                    if pipe is not None and not pipe.opened:
                        by_descriptor[pipe.descriptor] = number
                        self._fetch(pipe)
                        waiting.register(pipe.descriptor, select.POLLOUT)

    def _opened(self) -> list[int]:
        numbers = []
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._events, 65536)
            while data:
                number, _, _, length = _EVENT.unpack_from(data)
                numbers.append(number)
                data = data[_EVENT.size + length :]
        return numbers

    def _fetch(self, pipe: _Pipe) -> None:
        pipe.opened = True
        try:
            pipe.file = self._replace(pipe)
        except Exception as error:  # noqa: BLE001 - whatever it is fails the datum, in its own thread
            self.fault = self.fault or error
            return
        self.fetched += pipe.size

    def _replace(self, pipe: _Pipe) -> int:
        """Put a plain file with the bytes in the place of the pipe's name; it is left open."""
        new = f".{secrets.token_hex(8)}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(new, flags, 0o644, dir_fd=pipe.folder)
        try:
            self._source.fetch(pipe.object, pipe.size, descriptor)
            os.rename(new, pipe.name, src_dir_fd=pipe.folder, dst_dir_fd=pipe.folder)
        except BaseException:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                os.unlink(new, dir_fd=pipe.folder)
            raise
        return descriptor

    def _feed(self, number: int, waiting: select.poll) -> None:
        pipe = self._pipes[number]
        piece = b""
        if pipe.file >= 0:
            with contextlib.suppress(BlockingIOError):
                while piece := os.pread(pipe.file, min(PIECE, pipe.size - pipe.sent), pipe.sent):
                    pipe.sent += os.write(pipe.descriptor, piece)
        if not piece:
            waiting.unregister(pipe.descriptor)
            pipe.close()
            del self._pipes[number]
