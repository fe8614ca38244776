"""Objects on a local disk: small ones appended to packs, large ones in files of their own.

    packs/00000001.pack     objects one after the other, without headers: rows know the places
    objects/ab/cdef...      one object, named by its id
    objects/new/...         an object on its way

A crash can leave half an object at the end of a pack and files in `objects/new`. No row names
either, because rows are committed after `sync`: the first is skipped (each start opens a new
pack), the second are removed at the next start. Reasons: docs/design/002-objects-in-packs.md.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

from vedette.model.errors import NoSpace, TooLarge, Unavailable
from vedette.model.ids import ObjectId, object_hasher, object_id
from vedette.objects.store import Held, Near, Place, bounds, lost, verify

PACKED_LIMIT = 1024 * 1024
PACK_SIZE = 256 * 1024 * 1024
_OPEN_PACKS = 64
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class LocalObjects(Near):
    """Objects under a folder, which is made when it is missing.

    `packed_limit` and `pack_size` are in bytes. Only one process may have a folder open.
    """

    def __init__(
        self, folder: Path, packed_limit: int = PACKED_LIMIT, pack_size: int = PACK_SIZE
    ) -> None:
        self._packs, self._files = folder / "packs", folder / "objects"
        self._new = self._files / "new"
        self._packed_limit, self._pack_size = packed_limit, pack_size
        self._lock = threading.Lock()  # guards everything below but never a write or an fsync
        self._syncing = threading.Lock()
        self._naming = threading.Lock()  # between finding a file there and making it young
        self._readable: dict[int, int] = {}
        self._retired: list[int] = []
        self._pack: int | None = None
        self._descriptor = -1
        self._end = 0
        self._last = 0
        self._dirty_packs: set[int] = set()
        self._dirty_folders: set[Path] = set()
        self._lost = ""
        try:
            self._packs.mkdir(parents=True, exist_ok=True)
            self._new.mkdir(parents=True, exist_ok=True)
            if not (self._files / "ff").is_dir():
                # All at once: made one by one, two threads could miss each other's fsync.
                for first in range(256):
                    (self._files / f"{first:02x}").mkdir(exist_ok=True)
            for left in self._new.iterdir():
                left.unlink()
            for made in (folder, self._files):
                _sync_folder(made)
        except OSError as error:
            self._refuse(error)
        self._last = max((int(file.stem) for file in self._packs.glob("*.pack")), default=0)

    def stage(self, object_id: ObjectId, data: bytes) -> Place:
        """Write an object's bytes; see ObjectStore."""
        try:
            if len(data) <= self._packed_limit:
                return self._append(data)
            target = self._target(object_id)
            if not self._touch(target, len(data)):
                fresh = self._new / uuid4().hex
                self._keep([data], fresh)
                self._settle(fresh, target)
            self._changed(target.parent)
            return Place()
        except OSError as error:
            self._refuse(error)

    def stage_stream(self, chunks: Iterator[bytes], limit: int) -> tuple[ObjectId, int, Place]:
        """Write bytes that come in pieces; see ObjectStore."""
        head = bytearray()
        for chunk in chunks:
            head += chunk
            if len(head) > min(limit, self._packed_limit):
                break
        else:
            data = bytes(head)
            name = object_id(data)
            return name, len(data), self.stage(name, data)
        fresh = self._new / uuid4().hex
        hasher = object_hasher()
        size = 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for piece in _chain(bytes(head), chunks):
                size += len(piece)
                if size > limit:
                    raise TooLarge(f"the upload has more than {limit} bytes: send less")
                hasher.update(piece)
                yield piece

        try:
            self._keep(counted(), fresh)
            name = ObjectId(hasher.digest())
            target = self._target(name)
            if self._touch(target, size):
                fresh.unlink()
            else:
                self._settle(fresh, target)
            self._changed(target.parent)
        except OSError as error:
            self._refuse(error)
        return name, size, Place()

    def sync(self) -> None:
        """Make everything durable that was staged before this call."""
        # A second caller waits for the first: what it staged may be in the first one's hands.
        with self._syncing:
            with self._lock:
                if self._lost:
                    raise Unavailable(self._lost)
                packs, self._dirty_packs = self._dirty_packs, set()
                folders, self._dirty_folders = self._dirty_folders, set()
                descriptors = [self._readable[pack] for pack in packs]
            try:
                for descriptor in descriptors:
                    os.fdatasync(descriptor)
                for folder in folders:
                    _sync_folder(folder)
            except OSError as error:
                # The kernel may have dropped the pages and will call the next fsync good: nothing
                # that was staged and is not named yet can be trusted any more.
                self._lost = (
                    f"the disk could not keep what was written ({error.strerror}): "
                    "look at the disk, then restart the server"
                )
                raise Unavailable(self._lost) from error

    def read(
        self,
        object_id: ObjectId,
        size: int,
        place: Place,
        offset: int = 0,
        length: int | None = None,
    ) -> bytes:
        """An object's bytes from `offset` on, at most `length` of them; see ObjectStore."""
        first, count = bounds(size, offset, length)
        try:
            data = self._read(object_id, place, first, count)
        except FileNotFoundError:
            data = b""
        if len(data) != count:
            raise lost(object_id, len(data), count, "there")
        return verify(object_id, data) if count == size else data

    def holds(self, object_id: ObjectId, size: int, place: Place) -> bool:
        """Whether an object's file has its size, or its pack reaches as far; see ObjectStore."""
        packed = place.pack is not None and place.offset is not None
        path = self._packs / f"{place.pack:08}.pack" if packed else self._target(object_id)
        try:
            found = path.stat().st_size
        except FileNotFoundError:
            return False
        return found >= (place.offset or 0) + size if packed else found == size

    def held(self) -> Iterator[Held]:
        """Every pack and every object in a file of its own; see ObjectStore."""
        with self._lock:
            current = self._pack
        for file in self._packs.glob("*.pack"):
            size, changed = _found(file)
            number = int(file.stem)
            yield Held(pack=number, size=size, changed=changed, open=number == current)
        for folder in sorted(self._files.iterdir()):
            if folder != self._new:
                for file in folder.iterdir():
                    size, changed = _found(file)
                    name = ObjectId(bytes.fromhex(folder.name + file.name))
                    yield Held(id=name, size=size, changed=changed)

    def seal(self) -> None:
        """The next small object begins a new pack."""
        with self._lock:
            self._pack, self._descriptor = None, -1

    def remove_file(self, object_id: ObjectId, before: int) -> bool:
        """Unlink an object's file unless it is young; see ObjectStore."""
        target = self._target(object_id)
        with self._naming:
            try:
                if target.stat().st_mtime_ns // 1000 >= before:
                    return False
            except FileNotFoundError:
                return True
            target.unlink()
        return True

    def remove_pack(self, number: int) -> None:
        """Unlink a pack. A reader that is late finds nothing, never another file's bytes."""
        with self._lock:
            if number == self._pack:
                raise ValueError(f"pack {number} is still written to")
            while self._retired:
                os.close(self._retired.pop())
            descriptor = self._readable.pop(number, None)
            if descriptor is not None:
                # Closed, its number could be another file's before a late reader is done with it.
                nothing = os.open(os.devnull, os.O_RDONLY)
                os.dup2(nothing, descriptor)
                os.close(nothing)
                self._retired.append(descriptor)
            self._dirty_packs.discard(number)
        (self._packs / f"{number:08}.pack").unlink(missing_ok=True)

    def close(self) -> None:
        """Close all files. What was staged and not synced is lost."""
        with self._syncing, self._lock:
            for descriptor in [*self._readable.values(), *self._retired]:
                os.close(descriptor)
            self._retired.clear()
            self._readable.clear()
            self._pack, self._descriptor = None, -1
            self._lost = "the object store is closed"

    def _refuse(self, error: OSError) -> NoReturn:
        if error.errno in _FULL:
            raise NoSpace(
                f"the disk that holds {self._packs.parent} is full: nothing was accepted, make room"
            ) from error
        raise error

    def _append(self, data: bytes) -> Place:
        with self._lock:
            if self._lost:
                raise Unavailable(self._lost)
            if self._pack is None or self._end + len(data) > self._pack_size:
                self._open_pack()
            pack, descriptor, offset = self._pack, self._descriptor, self._end
            assert pack is not None
            self._end = offset + len(data)
        try:
            _write_all(descriptor, data, offset)
        except OSError:
            with self._lock:  # give the room back, unless somebody has reserved the next
                if self._pack == pack and self._end == offset + len(data):
                    self._end = offset
            raise
        with self._lock:
            self._dirty_packs.add(pack)
        return Place(pack, offset)

    def _open_pack(self) -> None:
        number = self._last + 1
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        # A server that no longer leads may have made the next one in a folder that both use.
        while (self._packs / f"{number:08}.pack").exists():
            number += 1
        self._descriptor = os.open(self._packs / f"{number:08}.pack", flags, 0o644)
        self._pack = self._last = number
        self._end = 0
        self._readable[number] = self._descriptor
        self._dirty_folders.add(self._packs)

    def _read(self, object_id: ObjectId, place: Place, first: int, count: int) -> bytes:
        if place.pack is None or place.offset is None:
            return _read_once(self._target(object_id), first, count)
        first += place.offset
        with self._lock:
            descriptor = self._readable.get(place.pack)
            if descriptor is None and len(self._readable) < _OPEN_PACKS and not self._lost:
                path = self._packs / f"{place.pack:08}.pack"
                descriptor = self._readable[place.pack] = os.open(path, os.O_RDONLY)
        if descriptor is not None:
            return _read_all(descriptor, first, count)
        return _read_once(self._packs / f"{place.pack:08}.pack", first, count)

    def _target(self, object_id: ObjectId) -> Path:
        name = object_id.hex()
        return self._files / name[:2] / name[2:]

    def _touch(self, target: Path, size: int) -> bool:
        """Whether the object is there already; then it is as young as a new one."""
        with self._naming:
            try:
                if target.stat().st_size != size:
                    return False
                os.utime(target)
            except FileNotFoundError:
                return False
        return True

    def _keep(self, pieces: Iterator[bytes] | list[bytes], fresh: Path) -> None:
        try:
            with fresh.open("xb", buffering=0) as file:
                offset = 0
                for piece in pieces:
                    _write_all(file.fileno(), piece, offset)
                    offset += len(piece)
                # Before the rename: a name must never lead to bytes that a crash can take away.
                os.fsync(file.fileno())
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise

    def _settle(self, fresh: Path, target: Path) -> None:
        try:
            # Two threads may settle one object: equal bytes, so it does not matter who is last.
            fresh.replace(target)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise

    def _changed(self, folder: Path) -> None:
        with self._lock:
            self._dirty_folders.add(folder)


def _found(file: Path) -> tuple[int, int]:
    """Size of a file in bytes, and when it was last changed, in microseconds since 1970."""
    found = file.stat()
    return found.st_size, found.st_mtime_ns // 1000


def _chain(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest


def _read_all(descriptor: int, first: int, count: int) -> bytes:
    data = os.pread(descriptor, count, first)
    while len(data) < count and (
        more := os.pread(descriptor, count - len(data), first + len(data))
    ):
        data += more
    return data


def _read_once(path: Path, first: int, count: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return _read_all(descriptor, first, count)
    finally:
        os.close(descriptor)
