"""Objects in an S3 bucket: small ones gathered in packs, large ones under keys of their own.

    packs/0123456789012345678.pack     objects one after the other: rows know the places
    objects/ab/cdef...                 one object, named by its id

What is staged waits in local files; `sync` uploads what waits, several files at once, and returns
when the store has them all. A pack is one conditional put, so a thousand small files are one.
Reasons: docs/design/015-objects-in-a-bucket.md.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path

from vedette.model.errors import Corrupt, Unavailable
from vedette.model.ids import ObjectId, object_hasher, object_id
from vedette.objects.bucket import SINGLE_LIMIT, Bucket, Missing, Taken
from vedette.objects.cache import Cache
from vedette.objects.staging import Staged, Staging, read_file
from vedette.objects.store import PIECE, Held, Link, Place, bounds, lost, verify

PACKED_LIMIT = 1024 * 1024
PACK_SIZE = 16 * 1024 * 1024
CACHE_SIZE = 4 * 1024 * 1024 * 1024
STAGED_LIMIT = 512 * 1024 * 1024
"""Bytes that may wait in packs for a store that does not answer, before more are refused."""
WAITING_SIZE = 64 * 1024 * 1024
WAITING_LIMIT = 4 * WAITING_SIZE
"""Objects of their own up to this size wait for `sync`, so many bytes of them; others are sent at
once, by who stages them: `sync` holds a transaction open and must not take minutes."""
UPLOADS = 4
_AT_ONCE = 2
FRESH_SECONDS = 600.0
"""An object that came since then is not sent again, and is not removed either."""
LINK_SECONDS = 900
_LARGEST_PUT = 5 * 1024**3
_EPOCH = 1_767_225_600_000
"""2026-01-01 UTC, in milliseconds since 1970."""
_RANDOM_BITS = 22
_CLOSED = "the object store is closed"
_PACK = re.compile(r"packs/(\d{19})\.pack")
_FILE = re.compile(r"objects/([0-9a-f]{2})/([0-9a-f]{62})")
_PIECE = 8 * 1024 * 1024


class RemoteObjects:
    """Objects in a bucket; `folder` is for what waits and for the cache of what was read.

    `packed_limit`, `pack_size` and `cache_size` are in bytes. Any number of processes may use a
    bucket, but only one may have the folder open.
    """

    def __init__(
        self,
        bucket: Bucket,
        folder: Path,
        *,
        packed_limit: int = PACKED_LIMIT,
        pack_size: int = PACK_SIZE,
        cache_size: int = CACHE_SIZE,
        staged_limit: int = STAGED_LIMIT,
    ) -> None:
        self.bucket = bucket
        self._packed_limit, self._pack_size = packed_limit, pack_size
        self._staged_limit = staged_limit
        self._staging = Staging(folder / "staging")
        self._cache = Cache(folder / "cache", cache_size, bucket.read)
        self._pool = ThreadPoolExecutor(UPLOADS, thread_name_prefix="uploads")
        self._lock = threading.Lock()  # guards all below; held for a local write, never for a call
        self._removed = threading.Condition(self._lock)
        self._removing: set[str] = set()
        self._open: tuple[int, Staged] | None = None
        self._waiting: dict[str, Staged] = {}
        self._packed_bytes = 0
        self._large_bytes = 0
        self._direct = threading.BoundedSemaphore(_AT_ONCE)
        self._recent: dict[str, float] = {}
        self._closed = False

    def stage(self, object_id: ObjectId, data: bytes) -> Place:
        """Keep an object's bytes for the next `sync`; see ObjectStore."""
        if len(data) <= self._packed_limit:
            return self._append(data)
        name, size, path = self._staging.spool(data, iter(()), len(data))
        self._send(name, size, path)
        return Place()

    def stage_stream(self, chunks: Iterator[bytes], limit: int) -> tuple[ObjectId, int, Place]:
        """Keep bytes that come in pieces for the next `sync`; see ObjectStore."""
        head = bytearray()
        for chunk in chunks:
            head += chunk
            if len(head) > min(limit, self._packed_limit):
                break
        else:
            data = bytes(head)
            return object_id(data), len(data), self._append(data)
        name, size, path = self._staging.spool(bytes(head), chunks, limit)
        self._send(name, size, path)
        return name, size, Place()

    def sync(self) -> None:
        """Return when the store has everything that was staged before this call.

        What could not be sent stays, and the next `sync` tries it again.
        """
        with self._lock:
            self._usable()
            if self._open is not None:
                self._seal(self._open[1])
            sent = list(self._waiting.values())
            for staged in sent:
                if staged.upload is None or (staged.upload.done() and staged.failed):
                    self._begin(staged)
            uploads = [staged.upload for staged in sent if staged.upload is not None]
        wait_for(uploads)
        if any(upload.cancelled() for upload in uploads):
            raise Unavailable(_CLOSED)
        for upload in uploads:
            upload.result()

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
        key, start, whole = _place(object_id, size, place)
        try:
            data = self._read(key, start + first, count, whole)
        except Missing:
            data = b""
        if len(data) != count:
            raise lost(object_id, len(data), count, f"in {self.bucket}/{key}")
        if count < size:
            return data
        try:
            return verify(object_id, data)
        except Corrupt:
            # Once more: what came may have been cut or mixed up.
            self._cache.drop(key, start, count)
        return verify(object_id, self._read(key, start, count, whole))

    def link(self, object_id: ObjectId, size: int, place: Place) -> Link | None:
        """Where anybody can get an object for some minutes; see ObjectStore."""
        key, start, _ = _place(object_id, size, place)
        with self._lock:
            if key in self._waiting or (self._open and self._open[1].key == key):
                return None
        return Link(self.bucket.sign("GET", key, LINK_SECONDS), start, size)

    def accept(self, object_id: ObjectId, size: int) -> str | None:
        """Where anybody can PUT an object for some minutes; see ObjectStore."""
        if size > _LARGEST_PUT:
            return None
        key = _key(object_id)
        with self._lock:
            self._usable()
            self._remember(key)
            self._removed.wait_for(lambda: key not in self._removing)
        return self.bucket.sign("PUT", key, LINK_SECONDS)

    def arrived(self, object_id: ObjectId, size: int) -> bool:
        """Whether an object that somebody else sent is there and whole; see ObjectStore."""
        key, hasher = _key(object_id), object_hasher()
        found = self.bucket.look(key)
        if found is None or found.size != size:
            return False
        for first in range(0, size, _PIECE):
            hasher.update(self.bucket.read(key, first, min(first + _PIECE, size)))
        return hasher.digest() == object_id

    def holds(self, object_id: ObjectId, size: int, place: Place) -> bool:
        """Whether a key is there and long enough; see ObjectStore."""
        key, start, whole = _place(object_id, size, place)
        found = self.bucket.look(key)
        return found is not None and found.size >= start + size and whole in (None, found.size)

    def whole(self, object_id: ObjectId, size: int, place: Place) -> Iterator[bytes]:
        """All bytes of an object from the bucket; see ObjectStore."""
        key, start, _ = _place(object_id, size, place)
        for first in range(0, size, PIECE):
            count = min(PIECE, size - first)
            data = self._staged(key, start + first, count)
            try:
                data = data or self.bucket.read(key, start + first, start + first + count)
            except Missing:
                data = b""
            if len(data) != count:
                raise lost(object_id, first + len(data), size, f"in {self.bucket}/{key}")
            yield data

    def held(self) -> Iterator[Held]:
        """Every pack and every object under a key of its own; see ObjectStore."""
        for item in self.bucket.items("packs"):
            if pack := _PACK.fullmatch(item.key):
                changed = int(item.modified * 1e6)
                yield Held(pack=int(pack[1]), size=item.size, changed=changed)
        for item in self.bucket.items("objects"):
            if file := _FILE.fullmatch(item.key):
                name, changed = bytes.fromhex(file[1] + file[2]), int(item.modified * 1e6)
                yield Held(id=ObjectId(name), size=item.size, changed=changed)

    def seal(self) -> None:
        """The next small object begins a new pack."""
        with self._lock:
            if self._open is not None:
                self._begin(self._seal(self._open[1]))

    def remove_file(self, object_id: ObjectId, before: int) -> bool:
        """Delete an object's key unless it is young; see ObjectStore.

        An upload that finds a key younger than `FRESH_SECONDS` sends nothing and relies on it, so
        a key is old only after twice that time.
        """
        key = _key(object_id)
        with self._lock:
            self._usable()
            self._remember(None)
            if key in self._waiting or key in self._recent:
                return False
            self._removing.add(key)
        try:
            found = self.bucket.look(key)
            if found is None:
                return True
            if found.modified > min(before / 1e6, time.time() - 2 * FRESH_SECONDS):
                return False
            self.bucket.remove(key)
            self._cache.drop(key, 0, found.size)
            return True
        finally:
            with self._lock:
                self._removing.discard(key)
                self._removed.notify_all()

    def remove_pack(self, number: int) -> None:
        """Delete a pack's key; see ObjectStore."""
        key = _pack_key(number)
        found = self.bucket.look(key)
        if found is not None:
            self.bucket.remove(key)
            self._cache.drop(key, 0, found.size)

    def close(self) -> None:
        """Let go of everything. What was staged and not synced is lost."""
        with self._lock:
            self._closed = True
        self._pool.shutdown(cancel_futures=True)

    def _append(self, data: bytes) -> Place:
        with self._lock:
            self._usable()
            if self._packed_bytes + len(data) > self._staged_limit:
                raise Unavailable(
                    f"{self._packed_bytes} bytes wait for {self.bucket}, which does not take "
                    "them: look at the object store, then try again"
                )
            if self._open is not None and self._open[1].size + len(data) > self._pack_size:
                self._begin(self._seal(self._open[1]))
            if self._open is None:
                number = pack_number()
                self._open = number, self._staging.begin(_pack_key(number))
            number, pack = self._open
            offset = self._staging.append(pack, data)
            self._packed_bytes += len(data)
            return Place(number, offset)

    def _send(self, name: ObjectId, size: int, path: Path) -> None:
        """Begin to upload a large object, unless it is on its way; end it if it is very large."""
        staged = Staged(_key(name), path, size)
        with self._lock:
            self._usable()
            if staged.key in self._waiting:
                path.unlink()
                return
            self._remember(staged.key)
            if size <= WAITING_SIZE and self._large_bytes + size <= WAITING_LIMIT:
                self._waiting[staged.key] = staged
                self._large_bytes += size
                self._begin(staged)
                return
        try:
            with self._direct:
                self._put(staged)
        finally:
            path.unlink(missing_ok=True)

    def _seal(self, pack: Staged) -> Staged:
        """No more goes into the open pack. The lock is held."""
        self._waiting[pack.key] = pack
        self._open = None
        return pack

    def _begin(self, staged: Staged) -> None:
        """Give a file to a thread that uploads it. The lock is held."""
        staged.failed = False
        staged.upload = self._pool.submit(self._upload, staged)

    def _upload(self, staged: Staged) -> None:
        try:
            if staged.key.startswith("packs/"):
                self.bucket.create(staged.key, staged.path.read_bytes())
            else:
                self._put(staged)
        except BaseException as error:
            staged.failed = True
            if isinstance(error, Taken):
                raise Unavailable(
                    f"{self.bucket}/{staged.key} is taken: nothing was accepted, try again"
                ) from None
            raise
        self._cache.keep(staged.key, staged.path)
        with self._lock:
            del self._waiting[staged.key]
            if staged.key.startswith("packs/"):
                self._packed_bytes -= staged.size
            else:
                self._large_bytes -= staged.size
        staged.path.unlink(missing_ok=True)

    def _put(self, staged: Staged) -> None:
        """Upload a large object, unless the store has got it lately: then it is young enough."""
        with self._removed:
            # Bytes that arrive while the same are taken away would be gone with them.
            self._removed.wait_for(lambda: staged.key not in self._removing)
        if staged.size > SINGLE_LIMIT:  # to ask costs as much as to send what is less
            found = self.bucket.look(staged.key)
            fresh = time.time() - FRESH_SECONDS
            if found is not None and found.size == staged.size and found.modified > fresh:
                return
        self.bucket.put(staged.key, staged.path, staged.size)

    def _read(self, key: str, first: int, count: int, size: int | None) -> bytes:
        data = self._staged(key, first, count)
        return self._cache.read(key, first, count, size) if data is None else data

    def _staged(self, key: str, first: int, count: int) -> bytes | None:
        """Bytes of a key that still waits to be sent; None when it does not."""
        with self._lock:
            self._usable()
            staged = self._waiting.get(key)
            if staged is None and self._open is not None and self._open[1].key == key:
                staged = self._open[1]
        return None if staged is None else read_file(staged.path, first, count)

    def _remember(self, key: str | None) -> None:
        """Know that a key was staged now; forget those of long ago. The lock is held."""
        now = time.monotonic()
        while self._recent and next(iter(self._recent.values())) < now - 2 * FRESH_SECONDS:
            del self._recent[next(iter(self._recent))]
        if key is not None:
            self._recent.pop(key, None)
            self._recent[key] = now

    def _usable(self) -> None:
        if self._closed:
            raise Unavailable(_CLOSED)


def pack_number() -> int:
    """A number that no other pack has: milliseconds since 2026, then 22 random bits."""
    milliseconds = time.time_ns() // 1_000_000 - _EPOCH
    chance = int.from_bytes(os.urandom(4), "big") >> (32 - _RANDOM_BITS)
    return max(milliseconds, 0) << _RANDOM_BITS | chance


def _place(object_id: ObjectId, size: int, place: Place) -> tuple[str, int, int | None]:
    """Key, first byte in it, and the key's size where that is known."""
    if place.pack is None or place.offset is None:
        return _key(object_id), 0, size
    return _pack_key(place.pack), place.offset, None


def _key(object_id: ObjectId) -> str:
    name = object_id.hex()
    return f"objects/{name[:2]}/{name[2:]}"


def _pack_key(number: int) -> str:
    return f"packs/{number:019}.pack"
