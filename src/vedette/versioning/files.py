"""Files and directories of finished commits. Reads belong inside one snapshot."""

from __future__ import annotations

from collections.abc import Iterator

from vedette.metadata.store import Rows
from vedette.model.errors import Conflict
from vedette.model.paths import below, clean
from vedette.versioning.refs import CommitRow
from vedette.versioning.stretches import Chain, FileRow, anything, chain, lookup, span

__all__ = ["FileRow", "every", "exists_below", "stat", "tree", "walk"]


def tree(rows: Rows, commit: CommitRow) -> Chain:
    """Where a commit's files are. Raises Conflict when it is not finished."""
    if commit.line is None or commit.seq is None:
        state = "still open" if commit.state == "started" else commit.state
        raise Conflict(f"commit {commit.id} is {state}: it has no files to read", commit=commit.id)
    return chain(rows, commit.line, commit.seq)


def stat(rows: Rows, commit: CommitRow, path: str) -> FileRow | None:
    """The file at a path, None where there is none or a directory."""
    return lookup(rows, tree(rows, commit), clean(path))


def exists_below(rows: Rows, commit: CommitRow, path: str) -> bool:
    """Whether a path is a directory with something in it."""
    return anything(rows, tree(rows, commit), *below(clean(path))) is not None


def walk(
    rows: Rows, commit: CommitRow, path: str = "/", after: str = "", limit: int = 1000
) -> list[FileRow]:
    """A page of the files at or below a path, in byte order; `after` is the last path seen."""
    return page(rows, tree(rows, commit), clean(path), after, limit)


def every(rows: Rows, commit: CommitRow, path: str = "/") -> Iterator[FileRow]:
    """All files at or below a path, in byte order, read page by page."""
    stretches, top, after = tree(rows, commit), clean(path), ""
    while found := page(rows, stretches, top, after, 1000):
        yield from found
        after = found[-1].path


def page(rows: Rows, stretches: Chain, path: str, after: str, limit: int) -> list[FileRow]:
    """`walk` for a place that is known, and a clean path."""
    low, high = below(path)
    if path != "/" and after < path:
        found = lookup(rows, stretches, path)
        if found is not None:
            return [found]
    return span(rows, stretches, max(after, low), high, limit)
