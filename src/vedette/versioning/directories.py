"""The content hash of a directory, at the price of what changed in it.

A directory with few files is hashed whole. That of a large one is a hash of a sum over its files,
modulo 2^4096, so that a file that comes or goes is one term more or less. What the sum was is kept
for the places on lines where it was asked for (`dir`), and followed from there by the diff.

The width: chosen files whose terms add up to a given sum are found by a generalised birthday
attack in about 2^(2 sqrt(bits)) steps, here 2^128.
"""

from __future__ import annotations

from blake3 import blake3
from msgspec import Struct

from vedette.metadata.store import Rows
from vedette.model.paths import below
from vedette.versioning import diff, files
from vedette.versioning.files import FileRow
from vedette.versioning.refs import CommitRow

SMALL = 1_000
"""Files up to which a directory is hashed whole. Another number makes other hashes."""

_PAGE = 1_000
_WHOLE = "vedette 2026-11 content of a directory"
_TERM = "vedette 2026-11 file of a large directory"
_SUM = "vedette 2026-11 content of a large directory"
_BYTES = 512
_MODULUS = 1 << (8 * _BYTES)


class Content(Struct, frozen=True):
    """What a directory holds at a place on a line; `before` is the place it was followed from."""

    path: str
    line: int
    seq: int
    files: int
    size: int
    sum: int
    before: int | None = None

    @property
    def hash(self) -> bytes:
        """32 bytes that stand for the paths and objects of all files."""
        total = self.files.to_bytes(8, "big") + self.sum.to_bytes(_BYTES, "big")
        return blake3(total, derive_key_context=_SUM).digest()


def content(rows: Rows, commit: CommitRow, path: str) -> tuple[bytes, Content | None]:
    """The content hash of a directory, and what to `keep` of a large one."""
    followed = _followed(rows, commit, path)
    if followed is not None and followed.files > SMALL:
        return followed.hash, followed
    return _walked(rows, commit, path)


def keep(rows: Rows, found: Content) -> None:
    """Remember what a large directory holds, for what comes after it on its line."""
    if found.before == found.seq:
        return
    rows.run(
        "dir_keep", line=found.line, path=found.path, seq=found.seq, files=found.files,
        size=found.size, digest=found.sum.to_bytes(_BYTES, "big"),
    )  # fmt: skip
    if found.before is not None:
        rows.run("dir_forget", line=found.line, path=found.path, seq=found.before)


def whole_hash(rows: Rows, commit: CommitRow, path: str) -> bytes:
    """The content hash that every directory had before large ones had sums."""
    hasher = blake3(derive_key_context=_WHOLE)
    for file in files.every(rows, commit, path):
        hasher.update(_named(file))
    return hasher.digest()


def _followed(rows: Rows, commit: CommitRow, path: str) -> Content | None:
    """From the nearest place before on the same line where the sum is known."""
    row = rows.one("dir_near", line=commit.line, path=path, seq=commit.seq)
    if row is None or commit.line is None or commit.seq is None:
        return None
    seq, count, size = row[:3]
    total = int.from_bytes(row[3], "big")
    if seq < commit.seq:
        for change in diff.within(rows, commit, seq, *below(path)):
            for file, sign in ((change.before, -1), (change.after, 1)):
                if file is not None:
                    count, size = count + sign, size + sign * file.size
                    total += sign * _term(file)
    return Content(path, commit.line, commit.seq, count, size, total % _MODULUS, before=seq)


def _walked(rows: Rows, commit: CommitRow, path: str) -> tuple[bytes, Content | None]:
    """By looking at every file."""
    first = files.walk(rows, commit, path, limit=SMALL + 1)
    if len(first) <= SMALL or commit.line is None or commit.seq is None:
        hasher = blake3(derive_key_context=_WHOLE)
        for file in first:
            hasher.update(_named(file))
        return hasher.digest(), None
    count = size = total = 0
    page = first
    while page:
        for file in page:
            count, size, total = count + 1, size + file.size, total + _term(file)
        page = files.walk(rows, commit, path, after=page[-1].path, limit=_PAGE)
    found = Content(path, commit.line, commit.seq, count, size, total % _MODULUS)
    return found.hash, found


def _named(file: FileRow) -> bytes:
    name = file.path.encode()
    return len(name).to_bytes(4, "big") + name + file.object


def _term(file: FileRow) -> int:
    return int.from_bytes(blake3(_named(file), derive_key_context=_TERM).digest(_BYTES), "big")
