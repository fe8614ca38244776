"""Room: refuses what users put before the disk is so full that nobody could get out of it.

Only what users put is refused. Deleting, squashing, collecting and work on what was accepted go
on, in the part of the disk that is kept free for that.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import structlog
from msgspec import Struct

from vedette.model.errors import NoSpace, OverQuota
from vedette.model.keeping import Room

INTERVAL = 0.1
"""Seconds between two looks at the disk, at least."""
RESERVE = 256 << 20
RESERVE_SHARE = 0.02
"""What is kept free unless somebody says otherwise: bytes, and at most a share of the disk."""

_log = structlog.get_logger("vedette.space")


class Bounds(Struct, frozen=True, kw_only=True):
    """What is to be kept, in bytes; `quota` 0: none, `reserve` None: see RESERVE."""

    quota: int = 0
    reserve: int | None = None
    warn_bytes: int = 0
    warn_percent: float = 0.0


class Space:
    """The disks that hold `folders`, and the bytes of all objects, which `stored` tells."""

    def __init__(
        self, folders: Sequence[Path] = (), bounds: Bounds | None = None,
        stored: Callable[[], int] = lambda: 0, monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._folders = tuple(folders)
        self._bounds = bounds or Bounds()
        self._stored = stored
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._until = float("-inf")
        self._left = 0
        self._found = Room()
        self._warned = ""

    def admit(self, size: int) -> None:
        """Raise NoSpace when `size` bytes more would leave too little. Any thread may ask."""
        quota = self._bounds.quota
        if quota and self._stored() >= quota:
            raise self._over()
        if not self._folders:
            return
        with self._lock:
            if self._monotonic() >= self._until:
                self._look()
            if size > self._left:
                found = self._found
                raise NoSpace(
                    f"the disk that holds {found.folder} is nearly full, {found.free:,} bytes are "
                    f"free and {found.reserve:,} are kept (reserve_free_bytes): nothing was "
                    "accepted; make room, or let old files go and run garbage-collect"
                )
            self._left -= size

    async def admitted(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """A body, each piece of which is admitted by itself."""
        async for chunk in chunks:
            self.admit(len(chunk))
            yield chunk

    def check(self, growth: int) -> None:
        """Raise OverQuota when a transaction that adds so many bytes would pass the quota."""
        if growth > 0 and self._bounds.quota and self._stored() + growth > self._bounds.quota:
            raise self._over()

    def room(self) -> Room:
        """How it is now. A warning that is new is written to the log."""
        with self._lock:
            self._look()
            found = self._found
        if found.warning != self._warned:
            self._warned = found.warning
            if found.warning:
                _log.warning("space", warning=found.warning)
            else:
                _log.info("space", text="there is enough again")
        return found

    def _over(self) -> OverQuota:
        return OverQuota(
            f"{self._stored():,} bytes are stored and {self._bounds.quota:,} may be "
            "(quota_bytes): let old files go and run garbage-collect, or raise it"
        )

    def _look(self) -> None:
        """Ask the disk with the least room. The caller holds the lock."""
        self._until = self._monotonic() + INTERVAL
        bounds, stored = self._bounds, self._stored() if self._bounds.quota else 0
        found = Room(stored=stored, quota=bounds.quota)
        for folder in self._folders:
            disk = os.statvfs(folder)
            free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
            reserve = bounds.reserve
            if reserve is None:
                reserve = min(RESERVE, int(total * RESERVE_SHARE))
            left = free - reserve
            if not found.folder or left < self._left:
                self._left = left
                found = Room(
                    folder=str(folder), free=free, total=total, reserve=reserve, stored=stored,
                    quota=bounds.quota,
                )  # fmt: skip
        self._found = _warned(found, bounds)


def _warned(found: Room, bounds: Bounds) -> Room:
    """The same, with what is to be said of it."""
    few = max(bounds.warn_bytes, int(found.total * bounds.warn_percent / 100))
    text = ""
    if found.folder and found.free < found.reserve:
        text = f"the disk that holds {found.folder} is nearly full: files are refused"
    elif found.quota and found.stored >= found.quota:
        text = "the quota is reached: files are refused"
    elif found.folder and found.free < few:
        text = f"the disk that holds {found.folder} has {found.free:,} bytes left"
    elif found.quota and found.stored > found.quota * (1 - bounds.warn_percent / 100):
        text = f"{found.stored:,} of {found.quota:,} bytes of the quota are used"
    return Room(
        folder=found.folder, free=found.free, total=found.total, reserve=found.reserve,
        stored=found.stored, quota=found.quota, warning=text,
    )  # fmt: skip
