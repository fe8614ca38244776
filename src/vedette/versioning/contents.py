"""Bytes of files: kept once, whatever names them (ENGINE P11).

Up to 16 KiB lie in the object's row and become durable with it; more go to the object store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from vedette.metadata.store import Rows
from vedette.model.errors import NotFound
from vedette.model.ids import ObjectId, object_id
from vedette.objects.store import ObjectStore, Place, bounds, verify
from vedette.versioning.transaction import Transaction

INLINE_LIMIT = 16 * 1024


class Prepared(Struct, frozen=True, kw_only=True):
    """Bytes that are hashed and staged, for a transaction to name: `data` if they are inline."""

    id: ObjectId
    size: int
    data: bytes | None = None
    place: Place = Place()


def prepare(objects: ObjectStore, data: bytes) -> Prepared:
    """Hash and stage bytes; any thread may, outside the transaction that will `store` them."""
    name = object_id(data)
    if len(data) <= INLINE_LIMIT:
        return Prepared(id=name, size=len(data), data=bytes(data))
    return Prepared(id=name, size=len(data), place=objects.stage(name, data))


def prepare_stream(objects: ObjectStore, chunks: Iterable[bytes], limit: int) -> Prepared:
    """Hash and stage bytes that come in pieces. Raises TooLarge over `limit` bytes."""
    pieces = iter(chunks)
    head = bytearray()
    for piece in pieces:
        head += piece
        if len(head) > INLINE_LIMIT:
            break
    else:
        if len(head) <= limit:
            return prepare(objects, bytes(head))

    def everything() -> Iterator[bytes]:
        yield bytes(head)
        yield from pieces

    name, size, place = objects.stage_stream(everything(), limit)
    return Prepared(id=name, size=size, place=place)


def store(tx: Transaction, data: bytes | Prepared) -> ObjectId:
    """Make bytes known to a transaction; bytes that are known already are kept once."""
    ready = data if isinstance(data, Prepared) else prepare(tx.objects, data)
    tx.rows.run(
        "object_add",
        id=ready.id,
        size=ready.size,
        data=ready.data,
        pack=ready.place.pack,
        place=ready.place.offset,
    )
    return ready.id


def size(rows: Rows, name: ObjectId) -> int:
    """Size of an object in bytes. Raises NotFound when it was never stored."""
    found = rows.one("object_size", id=name)
    if found is None:
        raise NotFound(f"no object {name.hex()}: put its bytes first", object=name.hex())
    return int(found[0])


def read(
    rows: Rows, objects: ObjectStore, name: ObjectId, offset: int = 0, length: int | None = None
) -> bytes:
    """Bytes of an object from `offset` on, at most `length` of them.

    Raises NotFound when it was never stored, Corrupt when it is read whole and damaged.
    """
    found = rows.one("object_get", id=name)
    if found is None:
        raise NotFound(f"no object {name.hex()}: put its bytes first", object=name.hex())
    total, data, pack, place = found
    if data is None:
        return objects.read(name, total, Place(pack, place), offset, length)
    first, count = bounds(len(data), offset, length)
    return verify(name, data) if count == total else bytes(data[first : first + count])
