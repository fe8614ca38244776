"""Objects that this host has fetched, as many as fit: whole, verified, in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict

EACH_BYTES = 256
"""What an object counts beside its bytes, so that very many small ones are bounded too."""


class MemoryCache:
    """Bytes by object id, at most `limit` of them; the longest unused go first. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._bytes: OrderedDict[bytes, bytes] = OrderedDict()
        self._size = 0

    def get(self, object_id: bytes) -> bytes | None:
        """The bytes, if they are here."""
        with self._lock:
            data = self._bytes.get(object_id)
            if data is not None:
                self._bytes.move_to_end(object_id)
            return data

    def add(self, object_id: bytes, data: bytes) -> None:
        """Keep bytes; those that would fill a quarter of the room by themselves are not kept."""
        if len(data) > self._limit // 4:
            return
        with self._lock:
            if object_id not in self._bytes:
                self._size += len(data) + EACH_BYTES
            self._bytes[object_id] = data
            self._bytes.move_to_end(object_id)
            while self._size > self._limit:
                _, gone = self._bytes.popitem(last=False)
                self._size -= len(gone) + EACH_BYTES
