"""What differs between two commits, at the price of what differs (ENGINE P9, DESIGN 3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from msgspec import Struct

from vedette.metadata.store import Row, Rows
from vedette.versioning.files import page, tree
from vedette.versioning.refs import CommitRow
from vedette.versioning.stretches import Chain, FileRow, Stretch, lookup

_PAGE = 1000


class Change(Struct, frozen=True):
    """A path whose content differs; None on the side that does not have it."""

    path: str
    before: FileRow | None
    after: FileRow | None


def changes(rows: Rows, old: CommitRow | None, new: CommitRow) -> Iterator[Change]:
    """The paths whose bytes differ from `old` (None: nothing) to `new`, in byte order.

    Costs what the two have not in common: on one line, and on lines that left one another, the
    rows touched in between; for strangers, both trees.
    """
    there = tree(rows, new)
    if old is None:
        return (Change(file.path, None, file) for file in _all(rows, there))
    if old.line == new.line and old.seq is not None:
        # Both stand on the same lines, so one question finds them.
        here = (Stretch(there[0].line, old.seq, there[0].head), *there[1:])
        if here[0].seq <= there[0].seq:
            return _along(rows, here, there)
        return (Change(c.path, c.after, c.before) for c in _along(rows, there, here))
    here = tree(rows, old)
    touched = _touched(rows, here, there)
    if touched is None:
        return _merged(_all(rows, here), _all(rows, there))
    return _compared(rows, touched, here, there)


def _all(rows: Rows, stretches: Chain) -> Iterator[FileRow]:
    after = ""
    while found := page(rows, stretches, "/", after, _PAGE):
        yield from found
        after = found[-1].path


def _differ(path: str, before: FileRow | None, after: FileRow | None) -> Iterator[Change]:
    same = before is after or (
        before is not None and after is not None and before.object == after.object
    )
    if not same:
        yield Change(path, before, after)


def _row(row: Row, line: int) -> FileRow | None:
    path, _, name, size, datum, from_seq = row
    return None if name is None else FileRow(path, name, size, datum, line, from_seq)


def within(rows: Rows, new: CommitRow, old: int, low: str, high: str) -> Iterator[Change]:
    """As `changes`, from an earlier place on the commit's own line, for `low` < path < `high`."""
    there = tree(rows, new)
    line = there[0].line
    found = rows.iterate(
        "line_diff_within", line=line, old=old, new=there[0].seq, low=low, high=high
    )
    return _paired(rows, found, line, there[1:])


def _along(rows: Rows, old: Chain, new: Chain) -> Iterator[Change]:
    """Between two places on one line."""
    line = new[0].line
    found = rows.iterate("line_diff", line=line, old=old[0].seq, new=new[0].seq)
    return _paired(rows, found, line, old[1:])


def _paired(rows: Rows, found: Iterable[Row], line: int, below: Chain) -> Iterator[Change]:
    """A path has at most one row that went and one that came."""
    for path, group in groupby(found, key=lambda row: str(row[0])):
        sides = {row[1]: row for row in group}
        after = _row(sides[1], line) if 1 in sides else None
        # A line that had nothing of its own showed the file of the line it left.
        before = _row(sides[0], line) if 0 in sides else lookup(rows, below, path)
        yield from _differ(path, before, after)


def _touched(rows: Rows, here: Chain, there: Chain) -> list[str] | None:
    """The paths touched since two lines had one place in common; None if they never had."""
    shared = {stretch.line: stretch.seq for stretch in here}
    meeting = next((s for s in there if s.line in shared), None)
    if meeting is None:
        return None
    spans = [*_until(here, meeting.line), *_until(there, meeting.line)]
    low, high = sorted((shared[meeting.line], meeting.seq))
    spans.append((meeting.line, low, high))
    paths: set[str] = set()
    for line, old, new in spans:
        paths.update(row[0] for row in rows.all("line_touched", line=line, old=old, new=new))
    return sorted(paths)


def _until(stretches: tuple[Stretch, ...], line: int) -> Iterator[tuple[int, int, int]]:
    for stretch in stretches:
        if stretch.line == line:
            return
        yield stretch.line, 0, stretch.seq


def _compared(rows: Rows, paths: list[str], here: Chain, there: Chain) -> Iterator[Change]:
    for path in paths:
        yield from _differ(path, lookup(rows, here, path), lookup(rows, there, path))


def _merged(here: Iterator[FileRow], there: Iterator[FileRow]) -> Iterator[Change]:
    left, right = next(here, None), next(there, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left.path < right.path):
            assert left is not None
            yield Change(left.path, left, None)
            left = next(here, None)
        elif left is None or right.path < left.path:
            yield Change(right.path, None, right)
            right = next(there, None)
        else:
            yield from _differ(left.path, left, right)
            left, right = next(here, None), next(there, None)
