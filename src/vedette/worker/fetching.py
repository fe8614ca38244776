"""Inputs that are fetched when they are first opened (`lazy`).

Each file is a named pipe. The one who opens it first reads its bytes from the pipe, once and from
front to back; meanwhile the pipe's name becomes a plain file, which later ones open as usual.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import struct
import threading
from collections.abc import Callable
from types import TracebackType

from msgspec import Struct

from vedette.worker import syscalls

MAX_PIPES = 1000
"""Files of a datum that are pipes; each holds a descriptor. The others are plain files."""

_EVENT = struct.Struct("iIII")


class _Pipe(Struct):
    """A pipe that waits for its reader. `folder` is open, so that its name leads nowhere else."""

    descriptor: int
    folder: int
    name: str
    object: bytes
    left: memoryview | None = None


class Fetching:
    """The pipes of one datum, served by a thread of their own between `start` and the end.

    `fetched` counts bytes; `fault` is why a file could not be had, which fails the datum.
    """

    def __init__(self, read: Callable[[bytes], bytes]) -> None:
        self.fetched = 0
        self.fault: Exception | None = None
        self.remark = ""
        self._read = read
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
        if self._thread is not None and self._stop is not None:
            os.write(self._stop[1], b"x")
            self._thread.join()
        for pipe in self._pipes.values():
            os.close(pipe.descriptor)
        held = [*self._folders.values(), *(self._stop or ())]
        for descriptor in [*held, self._events] if self._events >= 0 else held:
            os.close(descriptor)

    def add(self, path: str, object_id: bytes) -> bool:
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
        self._pipes[number] = _Pipe(descriptor, self._folders[parent], name, object_id)
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
                    if pipe is not None and pipe.left is None:
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
        pipe.left = memoryview(b"")
        try:
            data = self._read(pipe.object)
            _replace(pipe, data)
        except Exception as error:  # noqa: BLE001 - whatever it is fails the datum, in its own thread
            self.fault = self.fault or error
            return
        self.fetched += len(data)
        pipe.left = memoryview(data)

    def _feed(self, number: int, waiting: select.poll) -> None:
        pipe = self._pipes[number]
        with contextlib.suppress(BlockingIOError):
            while pipe.left:
                pipe.left = pipe.left[os.write(pipe.descriptor, pipe.left) :]
        if not pipe.left:
            waiting.unregister(pipe.descriptor)
            os.close(pipe.descriptor)
            del self._pipes[number]


def _replace(pipe: _Pipe, data: bytes) -> None:
    """Put a plain file in the place of the pipe's name."""
    new = f".{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(new, flags, 0o644, dir_fd=pipe.folder)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)
    os.rename(new, pipe.name, src_dir_fd=pipe.folder, dst_dir_fd=pipe.folder)
