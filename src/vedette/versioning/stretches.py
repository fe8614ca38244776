"""Where a commit's files are: a place on a line, and the lines below it.

A commit is a place on its line. A line that left another one shows the other's files where it has
none of its own, so a read asks the lines one after the other, nearest first. A row whose object is
NULL hides what lies below.
"""

from __future__ import annotations

from msgspec import Struct

from vedette.metadata.store import Row, Rows
from vedette.model.ids import ObjectId

MANY = 0x7FFF_FFFF


class FileRow(Struct, frozen=True):
    """A file of a commit. `line` and `from_seq` say which commit wrote it, `datum` whose it is.

    `gone` names the tombstone of a file whose bytes were deleted for good (ENGINE K1).
    """

    path: str
    object: ObjectId
    size: int
    datum: int | None
    line: int
    from_seq: int
    gone: int | None = None


class Stretch(Struct, frozen=True):
    """A line up to `seq`; `head` is the line's newest place."""

    line: int
    seq: int
    head: int


Chain = tuple[Stretch, ...]


def chain(rows: Rows, line: int, seq: int) -> Chain:
    """The lines that a place stands on, nearest first."""
    found: list[Stretch] = []
    at: int | None = line
    while at is not None:
        row = rows.one("line_get", line=at)
        assert row is not None, f"line {at} is missing"
        parent, fork_seq, head = row
        found.append(Stretch(at, seq, head))
        at, seq = parent, fork_seq
    return tuple(found)


def _file(path: str, line: int, row: Row) -> FileRow:
    from_seq, name, size, datum, gone = row
    return FileRow(path, name, size, datum, line, from_seq, gone)


def lookup(rows: Rows, stretches: Chain, path: str) -> FileRow | None:
    """The file at a clean path, or None: two keys a line at most."""
    for stretch in stretches:
        if stretch.seq >= stretch.head:
            row = rows.one("live_get", line=stretch.line, path=path)
        else:
            row = rows.one("file_at", line=stretch.line, path=path, seq=stretch.seq)
        if row is not None:
            return None if row[1] is None else _file(path, stretch.line, row)
    return None


def _path(row: Row) -> str:
    return str(row[0])


def _fetch(
    rows: Rows, stretch: Stretch, after: str, high: str, limit: int
) -> tuple[list[Row], str | None]:
    """A page of one line, whiteouts included; the path up to which it is complete, None for all."""
    line, seq = stretch.line, stretch.seq
    if seq >= stretch.head:
        page = rows.all("live_page", line=line, after=after, high=high, limit=limit)
        return page, page[-1][0] if len(page) == limit else None
    at_seq, at_head = rows.one("line_closed", line=line, seq=seq, head=stretch.head) or (0, 0)
    # A place far from both ends costs by the nearer one (METADATA: history that hurts).
    nearer_end = (at_head or 0) - (at_seq or 0) <= (at_seq or 0)
    query = "past_page_by_change" if nearer_end else "past_page_by_path"
    page = []
    complete: str | None = None
    for name in ("live_page_at", query):
        part = rows.all(name, line=line, seq=seq, after=after, high=high, limit=limit)
        page += part
        if len(part) == limit and (complete is None or part[-1][0] < complete):
            complete = part[-1][0]
    page.sort(key=_path)
    return page, complete


def span(rows: Rows, stretches: Chain, after: str, high: str, limit: int) -> list[FileRow]:
    """Up to `limit` files with `after` < path < `high`, in byte order."""
    found: list[FileRow] = []
    ask = limit
    while len(found) < limit:
        merged: dict[str, tuple[int, Row]] = {}
        complete: str | None = None
        for stretch in stretches:
            page, end = _fetch(rows, stretch, after, high, ask)
            for row in page:
                merged.setdefault(row[0], (stretch.line, row))
            if end is not None and (complete is None or end < complete):
                complete = end
        paths = merged if len(stretches) == 1 else sorted(merged)
        for path in paths:
            if complete is not None and path > complete:
                break
            line, (_, name, size, datum, from_seq, gone) = merged[path]
            if name is not None:
                found.append(FileRow(path, name, size, datum, line, from_seq, gone))
        if complete is None:
            break
        after = complete
        ask = min(ask * 4, max(limit, 1000))  # whiteouts may follow one another
    return found[:limit]


def anything(rows: Rows, stretches: Chain, after: str, high: str) -> FileRow | None:
    """The first file with `after` < path < `high`, or None."""
    found = span(rows, stretches, after, high, 1)
    return found[0] if found else None
