"""Commits that are made over several transactions, and are visible whole or not at all.

A draft is the place after the head of a line. Once the line says that it reaches that far, every
reader of the head asks for what was there at the head's own place, and so sees nothing of the
draft (DESIGN 3.1). Sealing it is one small transaction. A draft that was never sealed is undone;
until then another commit of the branch leaves the line and takes one of its own.
"""

from __future__ import annotations

from msgspec import Struct

from vedette.metadata.store import MetadataStore, Rows
from vedette.versioning.edits import Edit

_PAGE = 2_000


class Draft(Struct, frozen=True):
    """A draft of a pipeline's output: the job that makes it and whether the commit is there."""

    job: int
    line: int
    seq: int
    whole: bool
    placed: bool


def begin(rows: Rows, edit: Edit, pipeline: int, job: int, whole: bool) -> None:
    """Make an edit the draft of a pipeline, hidden from readers."""
    rows.run("line_advance", line=edit.line, seq=edit.seq)
    rows.run("draft_add", pipeline=pipeline, job=job, line=edit.line, seq=edit.seq, whole=whole)


def of(rows: Rows, pipeline: int) -> Draft | None:
    """The draft of a pipeline."""
    row = rows.one("draft_of", pipeline=pipeline)
    return None if row is None else Draft(row[0], row[1], row[2], bool(row[3]), bool(row[4]))


def undo_all(store: MetadataStore) -> None:
    """Undo every draft whose commit never came, in transactions of a page each."""
    after = 0
    while True:
        with store.read() as rows:
            found = rows.one("drafts_open", after=after)
        if found is None:
            return
        after, line, seq = found
        more = True
        while more:
            with store.write() as rows:
                more = _undo_page(rows, after, line, seq)


def undo(rows: Rows, pipeline: int) -> None:
    """Undo the draft of a pipeline at once, if its commit is not there."""
    found = of(rows, pipeline)
    if found is None or found.placed:
        return
    while _undo_page(rows, pipeline, found.line, found.seq):
        pass


def _undo_page(rows: Rows, pipeline: int, line: int, seq: int) -> bool:
    """Undo a page of a draft; False when nothing of it is left."""
    closed = rows.all("draft_past", line=line, seq=seq, limit=_PAGE)
    if closed:
        stretch = {"line": line, "seq": seq, "first": closed[0][0], "last": closed[-1][0]}
        rows.run("draft_reopen", **stretch)
        rows.run("draft_unclose", **stretch)
        return True
    if rows.run("draft_unmake", line=line, seq=seq, limit=_PAGE):
        return True
    if seq > 1:
        rows.run("line_advance", line=line, seq=seq - 1)
    else:
        rows.run("line_drop", line=line)
    rows.run("draft_drop", pipeline=pipeline)
    return False
