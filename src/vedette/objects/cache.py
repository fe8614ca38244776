"""A bounded cache of remote bytes on the local disk: blocks of keys that never change.

    ab/KEY.BLOCK     32 bytes, the hash of what follows; then up to 512 KiB of the key's bytes

The cache is never needed. A block that is torn, changed or gone is fetched again; one that cannot
be written is not kept. Nothing is synced: a hash is compared when a block is first used by a
process, so what a crash left half is seen. Which blocks were used last is known by their times.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from blake3 import blake3

BLOCK = 512 * 1024
GROUP = 8
"""Blocks that one request fetches at most, and that one fetch at a time may fill."""
_HASH = 32
_CONTEXT = "vedette 2026-11 cached block"

Fetch = Callable[[str, int, int], bytes]
"""The bytes of a key from one offset up to another, or up to its end."""


def _digest(data: bytes) -> bytes:
    return blake3(data, derive_key_context=_CONTEXT).digest()


class Cache:
    """At most `limit` bytes of blocks in a folder; 0 keeps none.

    `fetch` gets what is not here. Bytes of a key must never change. Only one process may have the
    folder open.
    """

    def __init__(self, folder: Path, limit: int, fetch: Fetch) -> None:
        self._folder, self._limit, self._fetch = folder, limit, fetch
        self._lock = threading.Lock()  # guards all below, but never a read or a write
        self._sizes: OrderedDict[str, int] = OrderedDict()  # the longest unused is first
        self._total = 0
        self._trusted: set[str] = set()
        self._writing: set[str] = set()
        self._flights: dict[tuple[str, int], tuple[threading.Lock, int]] = {}
        if limit > 0:
            self._open()

    def read(self, key: str, first: int, count: int, size: int | None = None) -> bytes:
        """`count` bytes of a key from `first` on, fewer where it ends. `size`: of the key."""
        if size is not None:
            count = min(count, size - first)
        if count <= 0:
            return b""
        if self._limit <= 0:
            return self._fetch(key, first, first + count)
        end, found = first + count, []
        start, last = first // BLOCK, (end - 1) // BLOCK
        for group in range(start // GROUP, last // GROUP + 1):
            low, high = max(start, group * GROUP), min(last, group * GROUP + GROUP - 1)
            data = self._blocks(key, low, high, size)
            found.append(data[max(first - low * BLOCK, 0) : end - low * BLOCK])
        return found[0] if len(found) == 1 else b"".join(found)

    def keep(self, key: str, path: Path) -> None:
        """Take the bytes of a key from a file that has all of them, if they are worth the room."""
        with suppress(OSError), path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > self._limit // 4:
                return
            number = 0
            while data := file.read(BLOCK):
                self._write(key, number, data)
                number += 1

    def drop(self, key: str, first: int, count: int) -> None:
        """Forget the blocks that hold these bytes of a key."""
        for number in range(first // BLOCK, (first + max(count, 1) - 1) // BLOCK + 1):
            self._forget(_name(key, number))

    def _blocks(self, key: str, low: int, high: int, size: int | None) -> bytes:
        """Blocks of one group; what is missing comes in one request from the first gap on."""
        have = self._cached(key, low, high)
        if len(have) > high - low:
            return b"".join(have)
        with self._alone(key, low // GROUP):
            have += self._cached(key, low + len(have), high)
            gap = low + len(have)
            if gap > high:
                return b"".join(have)
            end = high + 1
            if gap % GROUP and self._read_block(key, gap - 1) is not None:
                end = (low // GROUP + 1) * GROUP  # it is read in order: take what comes next too
            stop = end * BLOCK if size is None else min(end * BLOCK, size)
            data = self._fetch(key, gap * BLOCK, stop)
            for number in range(gap, end):
                piece = data[(number - gap) * BLOCK : (number - gap + 1) * BLOCK]
                if piece:
                    self._write(key, number, piece)
            return b"".join([*have, data])

    def _cached(self, key: str, low: int, high: int) -> list[bytes]:
        found: list[bytes] = []
        for number in range(low, high + 1):
            data = self._read_block(key, number)
            if data is None:
                break
            found.append(data)
            if len(data) < BLOCK and number < high:
                break
        return found

    def _read_block(self, key: str, number: int) -> bytes | None:
        name = _name(key, number)
        with self._lock:
            if name not in self._sizes or name in self._writing:
                return None
            self._sizes.move_to_end(name)
            trusted = name in self._trusted
        path = self._folder / name
        try:
            kept = path.read_bytes()
            if not trusted:
                os.utime(path)
        except OSError:
            self._forget(name)
            return None
        data = kept[_HASH:]
        if not trusted:
            if len(kept) < _HASH or _digest(data) != kept[:_HASH]:
                self._forget(name)
                return None
            with self._lock:
                self._trusted.add(name)
        return data

    def _write(self, key: str, number: int, data: bytes) -> None:
        name = _name(key, number)
        path, size = self._folder / name, len(data) + _HASH
        if size > self._limit:
            return
        with self._lock:
            if name in self._writing:
                return
            # Room first, and counted at once: the limit holds while several write.
            self._total += size - self._sizes.pop(name, 0)
            self._sizes[name] = size
            self._trusted.discard(name)
            self._writing.add(name)
            gone = self._oldest(keep=name)
        for each in gone:
            with suppress(OSError):
                (self._folder / each).unlink(missing_ok=True)
        fresh = path.with_suffix(f"{path.suffix}.new{threading.get_ident()}")
        try:
            path.parent.mkdir(exist_ok=True)
            fresh.write_bytes(_digest(data) + data)
            fresh.replace(path)
            with self._lock:
                self._writing.discard(name)
                kept = name in self._sizes
        except OSError:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            kept = False
        if not kept:
            self._forget(name)

    def _oldest(self, keep: str) -> list[str]:
        """Names that have to go; forgotten already. The lock is held."""
        gone: list[str] = []
        while self._total > self._limit and len(self._sizes) > 1:
            name, size = self._sizes.popitem(last=False)
            if name == keep:
                self._sizes[name] = size
                continue
            self._total -= size
            self._trusted.discard(name)
            gone.append(name)
        return gone

    def _forget(self, name: str) -> None:
        with self._lock:
            self._total -= self._sizes.pop(name, 0)
            self._trusted.discard(name)
            self._writing.discard(name)
        with suppress(OSError):
            (self._folder / name).unlink(missing_ok=True)

    @contextmanager
    def _alone(self, key: str, group: int) -> Iterator[None]:
        """Only one thread at a time fetches blocks of a group; the others find them here."""
        name = key, group
        with self._lock:
            lock, waiting = self._flights.get(name, (threading.Lock(), 0))
            self._flights[name] = lock, waiting + 1
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, waiting = self._flights[name]
                if waiting == 1:
                    del self._flights[name]
                else:
                    self._flights[name] = lock, waiting - 1

    def _open(self) -> None:
        """Learn what an earlier process left, in the order of its use."""
        found: list[tuple[float, str, int]] = []
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for folder in os.scandir(self._folder):
                for file in os.scandir(folder.path) if folder.is_dir() else ():
                    if ".new" in file.name:
                        Path(file.path).unlink()
                        continue
                    said = file.stat()
                    found.append((said.st_mtime, f"{folder.name}/{file.name}", said.st_size))
        except OSError:
            self._limit = 0  # a cache that cannot be used is not needed
            return
        for _, name, size in sorted(found):
            self._sizes[name] = size
            self._total += size
        for name in self._oldest(keep=""):
            with suppress(OSError):
                (self._folder / name).unlink(missing_ok=True)


def _name(key: str, number: int) -> str:
    name = key.replace("/", "-")
    return f"{blake3(name.encode()).hexdigest(1)}/{name}.{number}"
