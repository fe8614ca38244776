"""Bytes by their hash: the protocol that every object store keeps.

Bytes first, then the row that names them: `stage` bytes, `sync`, and only then commit the rows that
hold their places. What was staged and never named is harmless waste.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Protocol

from msgspec import Struct

from vedette.model.errors import Corrupt
from vedette.model.ids import ObjectId, object_id

PIECE = 4 << 20
"""Bytes that `whole` gives at once."""


class Place(Struct, frozen=True):
    """Where an object's bytes lie: at `offset` in a pack; (None, None) is a file of its own."""

    pack: int | None = None
    offset: int | None = None


class Link(Struct, frozen=True):
    """Where a worker gets an object by itself: `length` bytes from `offset` on, at `url`."""

    url: str
    offset: int
    length: int


class Held(Struct, frozen=True, kw_only=True):
    """What a store holds: a pack (`pack`), or a file of one object (`id`); `size` in bytes.

    `changed` is when it was last written or staged again, in microseconds since 1970 UTC. What is
    `open` still grows.
    """

    size: int
    changed: int
    id: ObjectId | None = None
    pack: int | None = None
    open: bool = False


class ObjectStore(Protocol):
    """Where bytes live. All methods may be called by several threads."""

    def stage(self, object_id: ObjectId, data: bytes) -> Place:
        """Write an object's bytes. They are durable after the next `sync`, not before.

        Raises NoSpace when the disk is full.
        """

    def stage_stream(self, chunks: Iterator[bytes], limit: int) -> tuple[ObjectId, int, Place]:
        """Write bytes that come in pieces; their id, size and place.

        Raises TooLarge after more than `limit` bytes, NoSpace when the disk is full; what was
        written until then is taken away.
        """

    def sync(self) -> None:
        """Make everything durable that was staged before this call.

        Raises NoSpace or Unavailable: then nothing staged since the last `sync` may be named.
        """

    def read(
        self,
        object_id: ObjectId,
        size: int,
        place: Place,
        offset: int = 0,
        length: int | None = None,
    ) -> bytes:
        """An object's bytes from `offset` on, at most `length` of them.

        Raises Corrupt when bytes are missing, or when the whole was read and is not what its id
        says.
        """

    def link(self, object_id: ObjectId, size: int, place: Place) -> Link | None:
        """Where anybody can get an object for some minutes; None: only through this store.

        A signature is in the address: it goes to nobody who may not read the object.
        """

    def accept(self, object_id: ObjectId, size: int) -> str | None:
        """Where anybody can PUT an object of its own for some minutes; None: only through this.

        The place of such an object is Place(). Ask only for an object that no row names yet:
        whoever holds the address can write other bytes. It is there when `arrived` says so.
        """

    def arrived(self, object_id: ObjectId, size: int) -> bool:
        """Whether an object of its own that was sent to `accept`'s address is there and whole.

        All its bytes are read and compared with its id once: a sender is not trusted.
        """

    def holds(self, object_id: ObjectId, size: int, place: Place) -> bool:
        """Whether all bytes of an object seem to be there, by their number alone."""

    def whole(self, object_id: ObjectId, size: int, place: Place) -> Iterator[bytes]:
        """All bytes of an object in pieces, as they lie in the store and not in a cache of it.

        They are not compared with the id. Raises Corrupt when some are missing.
        """

    def held(self) -> Iterator[Held]:
        """Everything that lies in the store, named by rows or not, in no order."""

    def seal(self) -> None:
        """Append to none of the present packs any more, so that they can be removed."""

    def remove_file(self, object_id: ObjectId, before: int) -> bool:
        """Take away an object that lies in a file of its own; whether it is gone now.

        One that was staged again at `before` (microseconds since 1970 UTC) or later stays: an
        upload on its way may name it soon.
        """

    def remove_pack(self, number: int) -> None:
        """Take a pack away, if it is there. Nobody may look for anything in it any more."""

    def close(self) -> None:
        """Let go of everything; the store cannot be used after."""


class Near(ABC):
    """What a store answers to which no host has a way but through the server, which reads it."""

    @abstractmethod
    def read(
        self,
        object_id: ObjectId,
        size: int,
        place: Place,
        offset: int = 0,
        length: int | None = None,
    ) -> bytes:
        """An object's bytes from `offset` on, at most `length` of them; see ObjectStore."""

    def whole(self, object_id: ObjectId, size: int, place: Place) -> Iterator[bytes]:
        """All bytes of an object; see ObjectStore."""
        for offset in range(0, size, PIECE):
            yield self.read(object_id, size, place, offset, PIECE)

    def link(self, object_id: ObjectId, size: int, place: Place) -> Link | None:
        """None: there is no way around this store."""
        return None

    def accept(self, object_id: ObjectId, size: int) -> str | None:
        """None: there is no way around this store."""
        return None

    def arrived(self, object_id: ObjectId, size: int) -> bool:
        """No: nobody can have sent it."""
        return False


def lost(object_id: ObjectId, found: int, wanted: int, where: str) -> Corrupt:
    """The error that tells that only `found` of `wanted` bytes of an object are where they were."""
    return Corrupt(
        f"object {object_id.hex()[:16]} has lost bytes: {found} of {wanted} are {where}; "
        "restore it from a backup or put the file again",
        object=object_id.hex(),
    )


def verify(expected: ObjectId, data: bytes) -> bytes:
    """Return `data` if `expected` is its id; raises Corrupt otherwise."""
    found = object_id(data)
    if found != expected:
        raise Corrupt(
            f"object {expected.hex()[:16]} has other bytes ({len(data)}, hash {found.hex()[:16]}): "
            "restore it from a backup or put the file again",
            object=expected.hex(),
        )
    return data


def bounds(size: int, offset: int, length: int | None) -> tuple[int, int]:
    """First byte and number of bytes of a read, cut to the object; negative values count as 0."""
    first = min(max(offset, 0), size)
    room = size - first
    return first, room if length is None else min(max(length, 0), room)
