"""Bytes of files: kept once, whatever names them (ENGINE P11).

Up to 16 KiB lie in the object's row and become durable with it; more go to the object store.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from threading import Lock
from weakref import WeakKeyDictionary, WeakValueDictionary, finalize

from msgspec import Struct

from vedette.metadata.store import Rows
from vedette.model.errors import Gone, NotFound, VedetteError
from vedette.model.ids import ObjectId, object_id
from vedette.objects.store import ObjectStore, Place, bounds, verify
from vedette.versioning.times import moment
from vedette.versioning.transaction import Transaction

INLINE_LIMIT = 16 * 1024

# What was staged and may be named by a transaction to come. It leaves by itself: with the last
# reference to it, once its transaction is durable or it has come to nothing.
_ON_THEIR_WAY: WeakValueDictionary[int, Prepared] = WeakValueDictionary()

# What left it, for each store: it was named by then, or never will be.
_LANDED: WeakKeyDictionary[ObjectStore, deque[Landed]] = WeakKeyDictionary()
_LANDED_LOCK = Lock()
LANDED_LIMIT = 100_000
"""Of more than these, only a full look finds those that nobody named."""


class Landed(Struct, frozen=True):
    """Bytes that were staged at a place, and are no longer about to be named by anybody."""

    id: ObjectId
    size: int
    place: Place


class Prepared(Struct, frozen=True, kw_only=True, weakref=True):
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
    return _noted(objects, Prepared(id=name, size=len(data), place=objects.stage(name, data)))


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
    return _noted(objects, Prepared(id=name, size=size, place=place))


def arrived(objects: ObjectStore, name: ObjectId, size: int) -> Prepared | None:
    """What somebody else sent to the store itself, read and compared; None if it is not whole."""
    found = _noted(objects, Prepared(id=name, size=size))
    return found if objects.arrived(name, size) else None


def _noted(objects: ObjectStore, prepared: Prepared) -> Prepared:
    _ON_THEIR_WAY[id(prepared)] = prepared
    noted = Landed(prepared.id, prepared.size, prepared.place)
    finalize(prepared, _landed_in(objects).append, noted).atexit = False
    return prepared


def _landed_in(objects: ObjectStore) -> deque[Landed]:
    with _LANDED_LOCK:
        return _LANDED.setdefault(objects, deque(maxlen=LANDED_LIMIT))


def landed(objects: ObjectStore, limit: int) -> list[Landed]:
    """Take out up to `limit` of what was staged and is on its way no longer, oldest first."""
    found: list[Landed] = []
    held = _landed_in(objects)
    while held and len(found) < limit:
        found.append(held.popleft())
    return found


def on_their_way() -> list[Prepared]:
    """What was staged in this process and may be named soon: a collector leaves it alone."""
    return list(_ON_THEIR_WAY.values())


def store(tx: Transaction, data: bytes | Prepared) -> ObjectId:
    """Make bytes known to a transaction; bytes that are known already are kept once."""
    ready = data if isinstance(data, Prepared) else prepare(tx.objects, data)

    def added(rows: int) -> None:
        tx.stored += ready.size if rows else 0

    tx.rows.later(
        "object_add",
        added,
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
        raise missing(rows, name)
    return int(found[0])


def missing(rows: Rows, name: ObjectId) -> VedetteError:
    """The error for an object that is not there: Gone if it was deleted for good (ENGINE K1)."""
    found = rows.one("object_tombstone", id=name)
    if found is None:
        return NotFound(f"no object {name.hex()}: put its bytes first", object=name.hex())
    return Gone(
        f"object {name.hex()[:16]} was deleted for good on {moment(found[0]):%Y-%m-%d %H:%M} UTC: "
        f"{found[1]}",
        object=name.hex(),
    )


def kept(rows: Rows, name: bytes) -> bool:
    """Whether the bytes of an object are kept."""
    return rows.one("object_size", id=name) is not None


def there(rows: Rows, name: bytes) -> bool:
    """Whether an object's bytes are kept, or were deleted for good on purpose."""
    return kept(rows, name) or rows.one("object_tombstone", id=name) is not None


def read(
    rows: Rows, objects: ObjectStore, name: ObjectId, offset: int = 0, length: int | None = None
) -> bytes:
    """Bytes of an object from `offset` on, at most `length` of them.

    Raises NotFound when it was never stored, Corrupt when it is read whole and damaged.
    """
    found = rows.one("object_get", id=name)
    if found is None:
        raise missing(rows, name)
    total, data, pack, place = found
    if data is None:
        return objects.read(name, total, Place(pack, place), offset, length)
    first, count = bounds(len(data), offset, length)
    return verify(name, data) if count == total else bytes(data[first : first + count])
