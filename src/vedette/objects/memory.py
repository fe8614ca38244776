"""Objects in memory: gone with the process. For tests and previews."""

from __future__ import annotations

import time
from collections.abc import Iterator

from vedette.model.errors import Corrupt, TooLarge
from vedette.model.ids import ObjectId, object_hasher
from vedette.objects.store import Held, Near, Place, bounds, verify


class MemoryObjects(Near):
    """Objects in a dictionary."""

    def __init__(self) -> None:
        self._data: dict[ObjectId, bytes] = {}
        self._changed: dict[ObjectId, int] = {}

    def stage(self, object_id: ObjectId, data: bytes) -> Place:
        """Keep an object's bytes."""
        self._changed[object_id] = time.time_ns() // 1000
        self._data[object_id] = bytes(data)
        return Place()

    def stage_stream(self, chunks: Iterator[bytes], limit: int) -> tuple[ObjectId, int, Place]:
        """Keep bytes that come in pieces; their id, size and place."""
        hasher = object_hasher()
        data = bytearray()
        for chunk in chunks:
            data += chunk
            hasher.update(chunk)
            if len(data) > limit:
                raise TooLarge(f"the upload has more than {limit} bytes: send less")
        found = ObjectId(hasher.digest())
        return found, len(data), self.stage(found, bytes(data))

    def sync(self) -> None:
        """Nothing to do: memory is as durable as it gets."""

    def read(
        self,
        object_id: ObjectId,
        size: int,
        place: Place,
        offset: int = 0,
        length: int | None = None,
    ) -> bytes:
        """An object's bytes from `offset` on, at most `length` of them."""
        data = self._data.get(object_id)
        if data is None or len(data) != size:
            raise Corrupt(f"object {object_id.hex()[:16]} is not there", object=object_id.hex())
        first, count = bounds(size, offset, length)
        return verify(object_id, data) if count == size else data[first : first + count]

    def holds(self, object_id: ObjectId, size: int, place: Place) -> bool:
        """Whether an object is there."""
        return len(self._data.get(object_id, b"")) == size and object_id in self._data

    def held(self) -> Iterator[Held]:
        """Every object: each counts as a file of its own."""
        for name, data in list(self._data.items()):
            yield Held(id=name, size=len(data), changed=self._changed[name])

    def seal(self) -> None:
        """Nothing to do: there are no packs."""

    def remove_file(self, object_id: ObjectId, before: int) -> bool:
        """Forget an object, unless it was staged again at `before` or later."""
        if self._changed.get(object_id, -1) >= before:
            return False
        self._data.pop(object_id, None)
        self._changed.pop(object_id, None)
        return True

    def remove_pack(self, number: int) -> None:
        """Nothing to do: there are no packs."""

    def close(self) -> None:
        """Forget everything."""
        self._data.clear()
