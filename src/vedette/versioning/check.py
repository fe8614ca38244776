"""Proves that nothing needed is missing and that nothing deleted remains: `fsck`.

It reads page by page, in short transactions, while work goes on; what it finds amiss is asked for
once more, so that what changed meanwhile is not called a fault.
"""

from __future__ import annotations

from collections.abc import Iterator

from vedette.metadata.store import MetadataStore
from vedette.model.errors import Corrupt, NotFound
from vedette.model.ids import ObjectId, object_hasher
from vedette.model.keeping import Checked, Fault
from vedette.objects.store import ObjectStore, Place
from vedette.versioning import collect, files
from vedette.versioning.refs import by_num

_PAGE = 500
_MOST = 1000
_ROWS = {
    "check_live": "file {1} in repo {0} names an object that is not known",
    "check_past": "an earlier file {1} in repo {0} names an object that is not known",
    "check_part": "the shared file {1} of pipeline {0} names an object that is not known",
    "check_staged": "a write to {1} in an open commit of {0} names an object that is not known",
    "check_lines": "{1} files belong to line {0}, which is not there",
    "check_heads": "branch {0}@{1} stands on commit number {2}, which is not a finished one",
    "check_parents": "commit {1} of repo {0} has no parent or no place where it should",
    "check_members": "pipeline {0} counts datum {1}, which is not there",
    "check_jobs": "job {1} of pipeline {0}: its counts do not add up, or its commit is missing",
}


class Check:
    """One run over an installation. `deep`: also hash all bytes. Ask `faults`, then `checked`."""

    def __init__(
        self, metadata: MetadataStore, objects: ObjectStore, deep: bool, young: int
    ) -> None:
        self._metadata = metadata
        self._objects = objects
        self._deep = deep
        self._young = young
        self._files = 0
        self._count = 0
        self._size = 0

    @property
    def checked(self) -> Checked:
        """How much was looked at so far."""
        return Checked(objects=self._count, size=self._size, files=self._files)

    def faults(self) -> Iterator[Fault]:
        """Everything amiss, as it is found."""
        yield from self._rows()
        yield from self._heads()
        yield from self._known()
        yield from self._held()

    def _rows(self) -> Iterator[Fault]:
        for query, text in _ROWS.items():
            with self._metadata.read() as rows:
                found = rows.all(query, limit=_MOST)
            for row in found:
                name = row[2].hex() if len(row) > 2 and isinstance(row[2], bytes) else ""
                yield Fault(kind="rows", text=text.format(*row), object=name)

    def _heads(self) -> Iterator[Fault]:
        """The counts of each branch's head against its files."""
        with self._metadata.read() as rows:
            heads = rows.all("check_branch_heads")
        for repo, branch, num in heads:
            count = size = 0
            with self._metadata.read() as rows:
                try:
                    commit = by_num(rows, num)
                except NotFound:
                    continue  # told already, by the check of the heads
                for file in files.every(rows, commit):
                    count, size = count + 1, size + file.size
            self._files += count
            if (count, size) != (commit.files, commit.size):
                yield Fault(
                    kind="rows",
                    text=f"{repo}@{branch} says {commit.files} files of {commit.size} bytes "
                    f"and has {count} of {size}",
                )

    def _known(self) -> Iterator[Fault]:
        """Every known object: its bytes are there, and somebody needs it."""
        after = b""
        while True:
            with self._metadata.read() as rows:
                page = rows.all("objects_after", after=after, limit=_PAGE)
                loose = {
                    row[0]
                    for row in page
                    if rows.one("object_named", id=row[0]) is None
                    and rows.one("garbage_known", id=row[0]) is None
                }
            for name, size, inline, pack, offset in page:
                self._count, self._size = self._count + 1, self._size + size
                fault = self._bytes(ObjectId(name), size, bool(inline), Place(pack, offset))
                if fault is not None:
                    yield fault
            collect.spare_results(self._metadata, loose)
            for name in sorted(loose):
                if self._still_loose(name):
                    yield Fault(
                        kind="left", object=name.hex(),
                        text=f"object {name.hex()[:16]} is kept and nobody names it: "
                        "garbage-collect --full takes it away",
                    )  # fmt: skip
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    def _still_loose(self, name: bytes) -> bool:
        with self._metadata.read() as rows:
            return (
                rows.one("object_size", id=name) is not None
                and rows.one("object_named", id=name) is None
                and rows.one("garbage_known", id=name) is None
            )

    def _bytes(self, name: ObjectId, size: int, inline: bool, place: Place) -> Fault | None:
        try:
            if inline:
                with self._metadata.read() as rows:
                    found = rows.one("object_data", id=name)
                data = b"" if found is None else bytes(found[0])
                good = found is None or (
                    len(data) == size and (not self._deep or _hash([data]) == name)
                )
            elif self._deep:
                good = _hash(self._objects.whole(name, size, place)) == name
            else:
                good = self._objects.holds(name, size, place)
        except Corrupt:
            good = False
        if good or self._moved(name, place):
            return None
        return Fault(
            kind="damaged" if self._deep else "missing", object=name.hex(),
            text=f"object {name.hex()[:16]} ({size} bytes) is not what it should be: restore it "
            "from a backup, or put the file again",
        )  # fmt: skip

    def _moved(self, name: ObjectId, place: Place) -> bool:
        """Whether an object is elsewhere by now, or gone."""
        with self._metadata.read() as rows:
            found = rows.one("object_get", id=name)
        return found is None or found[2:] != (place.pack, place.offset)

    def _held(self) -> Iterator[Fault]:
        """Everything in the store: somebody needs it, or it is known to go."""
        for held in self._objects.held():
            if held.changed > self._young or held.open:
                continue
            with self._metadata.read() as rows:
                if held.id is not None:
                    known = rows.one("object_where", id=held.id) or rows.one(
                        "garbage_known", id=held.id
                    )
                    what = f"the file of object {held.id.hex()[:16]}"
                else:
                    known = rows.one("pack_live", pack=held.pack, place=0, limit=1) or rows.one(
                        "pack_known", number=held.pack
                    )
                    what = f"pack {held.pack}"
            if known is None:
                yield Fault(
                    kind="left", object="" if held.id is None else held.id.hex(),
                    text=f"{what} ({held.size} bytes) is kept and nobody names it: "
                    "garbage-collect --full takes it away",
                )  # fmt: skip


def _hash(pieces: Iterator[bytes] | list[bytes]) -> bytes:
    hasher = object_hasher()
    for piece in pieces:
        hasher.update(piece)
    return hasher.digest()
