"""What has been copied so far, in a file beside the data: an interrupted move goes on there."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from vedette.model.ids import ObjectId
from vedette.objects.store import Place

_SCHEMA = """
CREATE TABLE IF NOT EXISTS target(address TEXT PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS object(
  n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, size INTEGER NOT NULL,
  pack INTEGER, place INTEGER, to_pack INTEGER, to_place INTEGER,
  done INTEGER NOT NULL DEFAULT 0, here INTEGER NOT NULL DEFAULT 1) STRICT;
CREATE INDEX IF NOT EXISTS todo ON object(n) WHERE done = 0 AND here = 1;
"""
_ADD = """
INSERT INTO object(id, size, pack, place) VALUES (?, ?, ?, ?)
ON CONFLICT(id) DO UPDATE SET pack = excluded.pack, place = excluded.place, here = 1
"""


class Work(Struct, frozen=True):
    """An object that is to be copied, and where it lies."""

    n: int
    id: ObjectId
    size: int
    place: Place


class Places:
    """The objects of one move to `address`. Another address starts over."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._open()
        found = self._file.execute("SELECT address FROM target").fetchone()
        if found is not None and found[0] != address:
            self.remove()
            folder.mkdir(parents=True)
            self._open()
        with self._file:
            self._file.execute("INSERT INTO target VALUES (?) ON CONFLICT DO NOTHING", [address])

    def _open(self) -> None:
        self._file = sqlite3.connect(self.folder / "places.sqlite")
        self._file.executescript(_SCHEMA)

    def expect(self, objects: Iterable[tuple[bytes, int, int | None, int | None]]) -> None:
        """Take the whole list of objects (id, size, pack, place); what is done stays done."""
        with self._file:
            self._file.execute("UPDATE object SET here = 0")
            self._file.executemany(_ADD, objects)

    def counts(self) -> tuple[int, int, int, int]:
        """Objects and their bytes: of all, and of what is done."""
        found = self._file.execute(
            "SELECT count(*), coalesce(sum(size), 0), coalesce(sum(done), 0), "
            "coalesce(sum(size * done), 0) FROM object WHERE here = 1"
        ).fetchone()
        return int(found[0]), int(found[1]), int(found[2]), int(found[3])

    def todo(self, limit: int) -> list[Work]:
        """The next objects to copy, in the order in which they lie."""
        rows = self._file.execute(
            "SELECT n, id, size, pack, place FROM object WHERE done = 0 AND here = 1 "
            "ORDER BY n LIMIT ?",
            [limit],
        ).fetchall()
        return [Work(n, ObjectId(name), size, Place(p, o)) for n, name, size, p, o in rows]

    def done(self, copied: Sequence[tuple[Work, Place]]) -> None:
        """Remember where objects are now."""
        with self._file:
            self._file.executemany(
                "UPDATE object SET done = 1, to_pack = ?, to_place = ? WHERE n = ?",
                [(place.pack, place.offset, work.n) for work, place in copied],
            )

    def new_places(self) -> Iterator[tuple[ObjectId, Place]]:
        """Where every object is now."""
        rows = self._file.execute("SELECT id, to_pack, to_place FROM object WHERE here AND done")
        for name, pack, offset in rows:
            yield ObjectId(name), Place(pack, offset)

    def new_place(self, name: bytes) -> Place | None:
        """Where one object is now; None for one that was not copied."""
        found = self._file.execute(
            "SELECT to_pack, to_place FROM object WHERE id = ? AND done", [name]
        ).fetchone()
        return None if found is None else Place(*found)

    def close(self) -> None:
        """Keep all for another time."""
        self._file.close()

    def remove(self) -> None:
        """Forget everything: the move is over, or starts anew."""
        self._file.close()
        shutil.rmtree(self.folder)
