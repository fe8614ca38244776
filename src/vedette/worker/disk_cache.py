"""Large objects that this host has fetched, in files, so that each is fetched once and not a datum.

    ab/cdef...        one object, named by its id; read through its hash each time

Anything may happen to the files: what is torn or gone is fetched again, what cannot be written is
not kept. Nothing is synced.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections import OrderedDict
from pathlib import Path
from uuid import uuid4

from vedette.model.ids import object_hasher
from vedette.worker.pieces import pieces, write

LIMIT = 4 << 30
"""Bytes that are kept at most, by default; a quarter of the free disk if that is less."""
_PART = ".part"


class DiskCache:
    """Files by object id, at most `limit` bytes of them; the longest unused go first. Thread-safe.

    `limit` None: `LIMIT`, or a quarter of what is free. One that would fill a quarter of the room
    by itself is not kept.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._sizes: OrderedDict[bytes, int] = OrderedDict()
        self._total = 0
        self._limit = 0  # one that cannot be used is not needed
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            self._learn()
            free = shutil.disk_usage(folder).free + self._total
            self._limit = min(LIMIT, free // 4) if limit is None else limit
            self._make_room()

    def takes(self, size: int) -> bool:
        """Whether an object of this size would be kept."""
        return size <= self._limit // 4

    def copy(self, name: bytes, descriptor: int) -> bool:
        """Write an object to an open file; False leaves the file empty."""
        with self._lock:
            if name not in self._sizes:
                return False
            self._sizes.move_to_end(name)
        hasher = object_hasher()
        try:
            with self._path(name).open("rb") as file:
                os.utime(file.fileno())
                for piece in pieces(file.fileno()):
                    hasher.update(piece)
                    write(descriptor, piece)
            if hasher.digest() == name:
                return True
        except OSError:  # if it is the disk that is written to, the caller meets it soon
            pass
        self._forget(name)
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return False

    def begin(self, name: bytes, size: int) -> Keeping:
        """Somewhere for the bytes of an object that come now."""
        return Keeping(self, name, self._path(name) if self.takes(size) else None)

    def add(self, name: bytes, size: int) -> None:
        """Count an object whose file is there, and make room."""
        with self._lock:
            self._total += size - self._sizes.pop(name, 0)
            self._sizes[name] = size
        self._make_room()

    def _make_room(self) -> None:
        while True:
            with self._lock:
                if self._total <= self._limit:
                    return
                name, size = self._sizes.popitem(last=False)
                self._total -= size
            with contextlib.suppress(OSError):
                self._path(name).unlink(missing_ok=True)

    def _forget(self, name: bytes) -> None:
        with self._lock:
            self._total -= self._sizes.pop(name, 0)
        with contextlib.suppress(OSError):
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: bytes) -> Path:
        return self._folder / name.hex()[:2] / name.hex()[2:]

    def _learn(self) -> None:
        """Know what an earlier process left, in the order of its use."""
        found = []
        for path in self._folder.glob("??/*"):
            if path.name.endswith(_PART):
                path.unlink(missing_ok=True)
                continue
            said = path.stat()
            with contextlib.suppress(ValueError):  # no file of ours
                name = bytes.fromhex(path.parent.name + path.name)
                found.append((said.st_mtime, name, said.st_size))
        for _, name, size in sorted(found):
            self._sizes[name] = size
            self._total += size


class Keeping:
    """One object on its way to a file: `write` its pieces, then `done` or `drop`.

    No failure of the disk reaches the caller: then the object is not kept.
    """

    def __init__(self, kept: DiskCache, name: bytes, path: Path | None) -> None:
        self._kept, self._name, self._path = kept, name, path
        self._part, self._descriptor, self._size = Path(), -1, 0
        if path is not None:
            self._part = path.with_name(f"{path.name}.{uuid4().hex[:8]}{_PART}")
            with contextlib.suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._descriptor = os.open(self._part, flags, 0o600)

    def write(self, piece: bytes) -> None:
        """The next bytes."""
        if self._descriptor >= 0:
            try:
                write(self._descriptor, piece)
                self._size += len(piece)
            except OSError:
                self.drop()

    def done(self) -> None:
        """All bytes have come, and they are what the object's id says."""
        if self._descriptor >= 0 and self._path is not None:
            os.close(self._descriptor)
            self._descriptor = -1
            with contextlib.suppress(OSError):
                self._part.replace(self._path)
                self._kept.add(self._name, self._size)

    def drop(self) -> None:
        """Forget what has come; nothing after `done`."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            with contextlib.suppress(OSError):
                self._part.unlink(missing_ok=True)
