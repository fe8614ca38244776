"""Objects from one store to another: copied, read back from there, and compared with their ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from vedette.metadata.store import MetadataStore
from vedette.model.errors import Corrupt
from vedette.model.ids import ObjectId
from vedette.objects.store import ObjectStore, Place
from vedette.store_migration.places import Places, Work

BATCH = 16 * 1024 * 1024
_MANY = 2000
_PIECE = 8 * 1024 * 1024
_PAGE = 1000


def copy(
    rows: MetadataStore,
    source: ObjectStore,
    sender: ObjectStore,
    reader: ObjectStore,
    places: Places,
    tell: Callable[[], None],
) -> None:
    """Copy what rows name and `places` does not know yet; `tell` is called after each batch.

    `sender` takes the bytes, `reader` reads them back from the same place: nothing that `sender`
    has kept in memory or on disk can hide a loss. Raises Corrupt for an object that is damaged.
    """
    with rows.read() as snapshot:
        places.expect(snapshot.iterate("object_outside"))
    while found := places.todo(_MANY):
        for batch in _batches(found):
            placed = [(work, _send(source, sender, work)) for work in batch]
            sender.sync()
            for work, place in placed:
                _compare(reader, work, place)
            places.done(placed)
            tell()


def rename(rows: MetadataStore, places: Places, settings: dict[str, str]) -> None:
    """Let rows name the new places, and keep `settings` with them, in one transaction."""
    with rows.write() as tx:
        moved = places.new_places()
        while page := list(islice(moved, _PAGE)):
            tx.many(
                "object_moved",
                [{"id": name, "pack": place.pack, "place": place.offset} for name, place in page],
            )
        tx.run("packs_forget")
        for name, value in settings.items():
            tx.run("setting_put", name=name, value=value)


def _batches(found: list[Work]) -> Iterator[list[Work]]:
    batch: list[Work] = []
    size = 0
    for work in found:
        if batch and size + work.size > BATCH:
            yield batch
            batch, size = [], 0
        batch.append(work)
        size += work.size
    yield batch


def _send(source: ObjectStore, sender: ObjectStore, work: Work) -> Place:
    if work.size <= _PIECE:
        return sender.stage(work.id, source.read(work.id, work.size, work.place))
    name, _, place = sender.stage_stream(_pieces(source, work, work.place), work.size)
    if name != work.id:
        raise _damaged(work.id)
    return place


def _compare(reader: ObjectStore, work: Work, place: Place) -> None:
    if work.size <= _PIECE:
        reader.read(work.id, work.size, place)
    elif not reader.arrived(work.id, work.size):
        raise _damaged(work.id)


def _pieces(source: ObjectStore, work: Work, place: Place) -> Iterator[bytes]:
    for first in range(0, work.size, _PIECE):
        yield source.read(work.id, work.size, place, first, _PIECE)


def _damaged(name: ObjectId) -> Corrupt:
    return Corrupt(
        f"object {name.hex()[:16]} has other bytes than its name says: restore it from a backup "
        "or put the file again, then go on",
        object=name.hex(),
    )
