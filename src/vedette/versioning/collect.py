"""Collects garbage: objects that nobody names go, rows first and then bytes (ENGINE K3).

What was dropped is suspected (`Transaction.suspect`), so the cost follows what was deleted. After
a grace period a short transaction looks again: an object that no file, write or job names loses its
row, and only then its bytes. A pack with too many dead bytes is emptied: its other objects are
staged anew, and it goes when nobody can be looking into it any more. After a crash between any two
steps the next run finds what is left to do in the rows. Reasons: docs/design/017-keeping.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial

import msgspec
from msgspec import Struct

from vedette.metadata.store import MetadataStore, Row, Rows
from vedette.model.ids import ObjectId
from vedette.objects.store import ObjectStore, Place
from vedette.versioning import contents
from vedette.versioning.transaction import Transaction

_PAGE = 500
_MOVED_BYTES = 8 << 20
_MANY = 100_000


class Policy(Struct, frozen=True, kw_only=True):
    """When garbage goes. Times are in microseconds.

    `grace`: how long an object is suspected, and an emptied pack kept, before it goes. `worth`: the
    share of a pack that must be dead before it is emptied; after `late` any dead byte is enough.
    """

    grace: int
    worth: float = 0.25
    late: int = 86_400_000_000


class Taken(Struct, frozen=True, kw_only=True):
    """What a page of suspects came to. `files` have no row any more; their bytes are still there.

    `looked` counts the suspects that were looked at: 0 when none is due.
    """

    looked: int
    objects: int
    size: int
    files: tuple[ObjectId, ...]


def take(tx: Transaction, before: int, busy: Collection[bytes], limit: int = _PAGE) -> Taken:
    """Forget a page of the suspects since before a time that nobody names.

    `busy` are objects that jobs work with.
    """
    rows = tx.rows
    objects = size = 0
    files: list[ObjectId] = []
    due = rows.all("garbage_due", before=before, limit=limit)
    for (name,) in due:
        found = rows.one("object_where", id=name)
        if name in busy:
            rows.run("garbage_later", object=name, since=tx.now)
        elif found is None:
            files.append(ObjectId(name))
        elif rows.one("object_named", id=name) is not None:
            rows.run("garbage_drop", object=name)
        else:
            rows.run("object_drop", id=name)
            objects, size = objects + 1, size + found[0]
            tx.stored -= found[0]
            if found[2] is not None:
                rows.run("pack_dead", number=found[2], size=found[0], now=tx.now)
            if found[1] or found[2] is not None:
                rows.run("garbage_drop", object=name)
            else:
                files.append(ObjectId(name))
    return Taken(looked=len(due), objects=objects, size=size, files=tuple(files))


def settle(tx: Transaction, gone: Collection[ObjectId], stayed: Collection[ObjectId]) -> None:
    """Note which files went. What stayed was uploaded again meanwhile: it is looked at later."""
    for name in gone:
        tx.rows.run("garbage_drop", object=name)
    for name in stayed:
        tx.rows.run("garbage_later", object=name, since=tx.now)


def remove_files(
    objects: ObjectStore, taken: Taken, pinned: Collection[bytes], before: int
) -> tuple[list[ObjectId], list[ObjectId]]:
    """Take bytes away whose rows are gone: those that went, and those that stayed.

    `pinned` must have been asked for before the rows went: an upload that began since then has made
    its file younger than `before`.
    """
    gone: list[ObjectId] = []
    stayed: list[ObjectId] = []
    for name in taken.files:
        removed = name not in pinned and objects.remove_file(name, before)
        (gone if removed else stayed).append(name)
    return gone, stayed


class Pack(Struct, frozen=True, kw_only=True):
    """A pack with dead bytes; `moved` is when the last living object left it."""

    number: int
    dead: int
    since: int
    moved: int | None


def packs(rows: Rows) -> list[Pack]:
    """The packs with dead bytes."""
    return [
        Pack(number=number, dead=dead, since=since, moved=moved)
        for number, dead, since, moved in rows.all("packs_dead")
    ]


def worth_emptying(rows: Rows, pack: Pack, policy: Policy, now: int) -> bool:
    """Whether so much of a pack is dead, or so long, that its other objects are moved."""
    _, alive = rows.one("pack_live_size", pack=pack.number) or (0, 0)
    if pack.moved is not None:
        return int(alive) > 0  # an upload on its way named something in it after all
    if pack.dead <= 0:
        return False
    enough = pack.dead >= policy.worth * (pack.dead + int(alive))
    return enough or pack.since < now - policy.late


def empty(
    metadata: MetadataStore,
    objects: ObjectStore,
    number: int,
    write: Callable[[Callable[[Transaction], bool]], bool],
    stopped: Callable[[], bool] = lambda: False,
) -> bool:
    """Stage the living objects of a pack anew; True when none is left in it.

    Bytes are read and written here, outside of transactions; each transaction moves some rows.
    Raises Corrupt when one cannot be read: the pack then stays.
    """
    place = 0
    while not stopped():
        with metadata.read() as rows:
            page = rows.all("pack_live", pack=number, place=place, limit=_PAGE)
        if not page:
            return write(partial(_left, number=number))
        moves: list[tuple[bytes, int, Place]] = []
        size = 0
        for name, length, offset in page:
            data = objects.read(ObjectId(name), length, Place(number, offset))
            moves.append((name, offset, objects.stage(ObjectId(name), data)))
            place, size = offset + 1, size + length
            if size >= _MOVED_BYTES:
                break
        write(partial(_move, number=number, moves=moves))
    return False


def _move(tx: Transaction, number: int, moves: list[tuple[bytes, int, Place]]) -> bool:
    # An object that went meanwhile leaves its copy as waste in the new pack, which a full look
    # counts; one that was moved by somebody else keeps that place.
    for name, offset, new in moves:
        tx.rows.run(
            "object_move", id=name, old_pack=number, old_place=offset, pack=new.pack,
            place=new.offset,
        )  # fmt: skip
    return True


def _left(tx: Transaction, number: int) -> bool:
    if tx.rows.one("pack_live", pack=number, place=0, limit=1) is not None:
        return False
    tx.rows.run("pack_moved", number=number, now=tx.now)
    return True


def removable(tx: Transaction, policy: Policy, pinned: Collection[int]) -> list[int]:
    """The packs that can go: nobody names anything in them, and nobody can be reading them."""
    return [
        pack.number
        for pack in packs(tx.rows)
        if pack.moved is not None
        and pack.moved < tx.now - policy.grace
        and pack.number not in pinned
        and tx.rows.one("pack_live", pack=pack.number, place=0, limit=1) is None
    ]


def pins() -> tuple[set[bytes], set[int]]:
    """The objects and packs that uploads on their way may name soon."""
    held = contents.on_their_way()
    return {each.id for each in held}, {e.place.pack for e in held if e.place.pack is not None}


def look_at_landed(
    metadata: MetadataStore,
    objects: ObjectStore,
    write: Callable[[Callable[[Transaction], None]], None],
) -> None:
    """Note what was staged in this process and came to nothing: its upload was refused or broken
    off, or others had brought the same bytes already.

    What a crash leaves of these, and of more than are remembered, `suspect_all` finds.
    """
    while page := contents.landed(objects, _PAGE):
        with metadata.read() as rows:
            found = [(each, rows.one("object_get", id=each.id)) for each in page]
        lost = [each.id for each, row in found if row is None and each.place.pack is None]
        waste: dict[int, int] = {}
        for each, row in found:
            pack = each.place.pack
            if pack is not None and (row is None or row[2:] != (pack, each.place.offset)):
                waste[pack] = waste.get(pack, 0) + each.size
        if lost or waste:
            write(partial(_note_landed, lost=lost, waste=waste))


def _note_landed(tx: Transaction, lost: list[ObjectId], waste: dict[int, int]) -> None:
    tx.suspect((name,) for name in lost)
    for pack, size in waste.items():
        tx.rows.run("pack_dead", number=pack, size=size, now=tx.now)


def suspect_all(
    metadata: MetadataStore, write: Callable[[Callable[[Transaction], int]], int]
) -> int:
    """Suspect every object that nobody names and no result holds: the full look; how many.

    Results of datums hold objects here, for they may be taken for a later job.
    """
    found, after = 0, b""
    page: list[Row] = [()]
    while page:
        loose: set[bytes] = set()
        while page and len(loose) < _MANY:
            with metadata.read() as rows:
                page = rows.all("objects_after", after=after, limit=_PAGE)
                loose.update(row[0] for row in page if rows.one("object_named", id=row[0]) is None)
            after = page[-1][0] if page else after
        spare_results(metadata, loose)
        for some in batched(loose):
            found += write(partial(_suspect, loose=some))
    return found


def spare_results(metadata: MetadataStore, loose: set[bytes]) -> None:
    """Take out of a set the objects that results of datums hold."""
    after = 0
    while loose:
        with metadata.read() as rows:
            page = rows.all("results_after", after=after, limit=_PAGE)
        if not page:
            return
        for number, result in page:
            loose.difference_update(output[1] for output in outputs_of(result))
            after = number


def batched(names: Collection[bytes]) -> Iterator[list[bytes]]:
    """The names in lists of a page's length."""
    held = list(names)
    for first in range(0, len(held), _PAGE):
        yield held[first : first + _PAGE]


def _suspect(tx: Transaction, loose: Collection[bytes]) -> int:
    # Those that wait already go on waiting: else looking every day would keep them for ever.
    tx.rows.many("garbage_found", [{"object": name, "since": tx.now} for name in loose])
    return len(loose)


def outputs_of(result: bytes) -> tuple[tuple[str, bytes, int], ...]:
    """(path, object, size) of each output of a datum's stored result."""
    return msgspec.msgpack.decode(result, type=tuple[tuple[str, bytes, int], ...])
