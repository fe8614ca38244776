"""What users write to an open commit: kept in order, and applied when it finishes.

The head of the branch cannot change meanwhile (`branches.move` refuses), so every write can be
checked at once against the head and what was written so far.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import json

from vedette.metadata.store import Rows
from vedette.model.ids import ObjectId
from vedette.model.paths import below, parents
from vedette.versioning.edits import Edit, Tip, conflict
from vedette.versioning.stretches import Chain, FileRow, chain, lookup, span
from vedette.versioning.transaction import Transaction

_PAGE = 1000


class Draft:
    """The files of an open commit as they would be if it finished now. `num` is its number."""

    def __init__(self, tx: Transaction, place: Tip, num: int) -> None:
        self._rows: Rows = tx.rows
        self._repo = place.name
        self.num = num
        self._base: Chain = ()
        if place.head_line is not None and place.head_seq is not None:
            self._base = chain(tx.rows, place.head_line, place.head_seq)

    def stat(self, path: str) -> FileRow | None:
        """The file at a clean path."""
        names = [path, *parents(path), "/"]
        found = lookup(self._rows, self._base, path)
        for _, op, at, name, size in self._rows.all(
            "staged_since", cmt=self.num, paths=json.encode(names).decode()
        ):
            if op == "delete":
                found = None
            elif at == path:
                found = FileRow(path, ObjectId(name), size, None, 0, 0)
        return found

    def put(self, path: str, name: ObjectId, size: int) -> bool:
        """Note a file. Raises PathConflict when it is a directory, or below a file (P4)."""
        if self.stat(path) is None:
            obstacle = next((up for up in parents(path) if self.stat(up) is not None), None)
            obstacle = obstacle or next(self._below(path), None)
            if obstacle is not None:
                raise conflict(self._repo, path, obstacle)
        self._add("put", path, name, size)
        return True

    def delete_below(self, path: str) -> int:
        """Note that the file at `path`, or all below it, goes; 0 if there is none, else 1."""
        if self.stat(path) is None and next(self._below(path), None) is None:
            return 0
        self._add("delete", path, None, None)
        return 1

    def _add(self, op: str, path: str, name: ObjectId | None, size: int | None) -> None:
        self._rows.run("staged_add", cmt=self.num, op=op, path=path, object=name, size=size)

    def _below(self, path: str) -> Iterator[str]:
        """The files below a directory, those that were written first, then those of the head."""
        low, high = below(path)
        written = self._rows.all("staged_below", cmt=self.num, low=low, high=high)
        for at in dict.fromkeys(row[2] for row in written):
            if self.stat(at) is not None:
                yield at
        after = low
        while page := span(self._rows, self._base, after, high, _PAGE):
            for file in page:
                if self.stat(file.path) is not None:
                    yield file.path
            after = page[-1].path


def replay(tx: Transaction, made: Edit, num: int) -> None:
    """Carry out what was written to an open commit, and forget it."""
    for _, op, path, name, size in tx.rows.all("staged_all", cmt=num):
        if op == "delete":
            made.delete_below(path)
        else:
            made.put(path, ObjectId(name), size)
    tx.rows.run("staged_drop", cmt=num)
