"""Changes a branch's files on their way to the branch's next commit.

An edit knows the place on a line that its commit will have, and writes rows for that place at once:
nobody sees them before the transaction ends. Every step costs what its path costs (DESIGN 3.1).
"""

from __future__ import annotations

from msgspec import Struct, json

from vedette.metadata.store import Row, Rows
from vedette.model.errors import PathConflict
from vedette.model.ids import ObjectId
from vedette.model.paths import below, parents
from vedette.versioning.stretches import (
    Chain,
    FileRow,
    Stretch,
    anything,
    chain,
    lookup,
    span,
)
from vedette.versioning.transaction import Transaction

_PAGE = 1000


class Tip(Struct, frozen=True):
    """Where the next commit of a branch goes. None stands for what is not there yet.

    `line` is the branch's own, the `head_` values belong to its head's, which may be another's;
    `line_head` is the newest place on that line. `open` is the commit that a user works on;
    `limited` the most bytes that the repo may have.
    """

    repo: int
    kind: str
    name: str
    branch: int | None
    line: int | None
    head: int | None
    head_line: int | None
    head_seq: int | None
    files: int | None
    size: int | None
    closed: int | None
    line_head: int | None
    parent: int | None
    fork_seq: int | None
    open: int | None
    limited: int | None


class Edit:
    """The files of a branch, being changed. `files` and `size` count the whole tree as it is now.

    `line` and `seq` are the place of the commit to be; `closed` counts rows moved to the past,
    `written` the bytes of the files that it writes; `limited`: the repo may have a quota.
    """

    def __init__(self, tx: Transaction, tip: Tip) -> None:
        self._rows: Rows = tx.rows
        self._now = tx.now
        self.tip = tip
        self.files, self.size = tip.files or 0, tip.size or 0
        self.written = 0
        self.limited = tip.limited is not None
        self._directories: set[str] = set()
        if tip.head_line is None or tip.head_seq is None:
            self._begin(None, None, ())
        elif tip.line == tip.head_line and tip.line_head == tip.head_seq:
            self.line, self.seq, self.closed = tip.head_line, tip.head_seq + 1, tip.closed or 0
            self._below: Chain = ()
            if tip.parent is not None and tip.fork_seq is not None:
                self._below = chain(self._rows, tip.parent, tip.fork_seq)
        else:
            self._begin(tip.head_line, tip.head_seq, chain(self._rows, tip.head_line, tip.head_seq))

    def _begin(self, parent: int | None, fork_seq: int | None, stretches: Chain) -> None:
        self.line = self._rows.insert(
            "line_add", repo=self.tip.repo, parent=parent, fork_seq=fork_seq
        )
        self.seq, self.closed, self._below = 1, 0, stretches

    def go_on(self, tx: Transaction) -> None:
        """Go on in another transaction (see `vedette.versioning.drafts`)."""
        self._rows = tx.rows
        self._directories.clear()
        self.limited = True  # it may have become so meanwhile

    def chain(self) -> Chain:
        """The files as they are now, for reading."""
        return (Stretch(self.line, self.seq, self.seq), *self._below)

    def stat(self, path: str) -> FileRow | None:
        """The file at a clean path as it is now."""
        return lookup(self._rows, self.chain(), path)

    def put(self, path: str, name: ObjectId, size: int, datum: int | None = None) -> bool:
        """Make `path` this file, whatever it was; False if it was just that.

        Raises PathConflict when it is a directory, or below a file (P4).
        """
        own = self._own(path)
        if own is None or own[1] is None:
            hidden = None if own is not None else self._inherited(path)
            if hidden is None:
                self.check_free(path)
                self.files += 1
                self.size += size
            elif hidden.object == name and hidden.datum == datum and hidden.gone is None:
                return False
            else:
                self.size += size - hidden.size
        elif own[1] == name and own[3] == datum and own[4] is None:
            return False
        else:
            self.size += size - own[2]
        self._set(path, own, name, size, datum)
        return True

    def add(self, path: str, name: ObjectId, size: int, datum: int | None = None) -> None:
        """As `put`, where the caller has just seen by `stat` that nothing is at `path`."""
        if self._below:
            self.put(path, name, size, datum)
            return
        self.check_free(path)
        self.files += 1
        self.size += size
        self._set(path, None, name, size, datum)

    def claim(self, path: str, name: ObjectId, size: int, datum: int) -> int | None:
        """Put a datum's file where no other datum has one; the owner where one has (M2).

        A file that belongs to no datum counts as owned by datum 0. Raises PathConflict as `put`.
        """
        found = self.stat(path)
        if found is not None and found.datum != datum:
            return found.datum or 0
        self.put(path, name, size, datum)
        return None

    def delete(self, path: str) -> bool:
        """Take the file at `path` away; False if there is none."""
        own = self._own(path)
        inherited = self._inherited(path)
        if own is None:
            if inherited is None:
                return False
            self.size -= inherited.size
        elif own[1] is None:
            return False
        else:
            self.size -= own[2]
        self.files -= 1
        if inherited is not None:
            self._set(path, own, None, None, None)
        else:
            self._close(path, own)
            self._rows.later("live_drop", line=self.line, path=path)
        return True

    def delete_below(self, path: str) -> int:
        """Take the file at `path`, or all files below it, away; how many there were."""
        if self.delete(path):
            return 1
        low, high = below(path)
        gone = 0
        while page := span(self._rows, self.chain(), low, high, _PAGE):
            gone += sum(self.delete(row.path) for row in page)
        return gone

    def paths_of(self, datum: int) -> list[str]:
        """The files of a datum as they are now."""
        mine = self._rows.all("live_of_datum", line=self.line, datum=datum)
        found = [path for (path,) in mine]
        for index, stretch in enumerate(self._below):
            nearer = (*self.chain()[: index + 1],)
            for (path,) in self._rows.all(
                "old_of_datum", line=stretch.line, seq=stretch.seq, datum=datum
            ):
                if not self._covered(nearer, path):
                    found.append(path)
        return found

    def remove_datum(self, datum: int) -> int:
        """Take all files of a datum away; how many there were."""
        return sum(self.delete(path) for path in self.paths_of(datum))

    def _covered(self, nearer: Chain, path: str) -> bool:
        """Whether nearer lines have something of their own at a path, a whiteout counting too."""
        for stretch in nearer:
            query = "live_get" if stretch.seq >= stretch.head else "file_at"
            values = {} if query == "live_get" else {"seq": stretch.seq}
            if self._rows.one(query, line=stretch.line, path=path, **values) is not None:
                return True
        return False

    def _own(self, path: str) -> Row | None:
        return self._rows.one("live_get", line=self.line, path=path)

    def _inherited(self, path: str) -> FileRow | None:
        return lookup(self._rows, self._below, path) if self._below else None

    def _close(self, path: str, own: Row | None) -> None:
        if own is not None and own[0] < self.seq:
            self._rows.later("live_close", line=self.line, path=path, seq=self.seq)
            self.closed += 1
        elif own is not None and own[1] is not None:
            # Written and replaced within one commit: no commit will ever show it.
            self.written -= own[2] or 0
            self._rows.later("garbage_add", object=own[1], since=self._now)

    def _set(
        self, path: str, own: Row | None, name: ObjectId | None, size: int | None, datum: int | None
    ) -> None:
        self._close(path, own)
        if name is not None:
            self.written += size or 0
            self._directories.discard(path)
        self._rows.later(
            "live_add" if own is None else "live_set",
            line=self.line,
            path=path,
            seq=self.seq,
            object=name,
            size=size,
            datum=datum,
        )

    def check_free(self, path: str) -> None:
        """Raise PathConflict when a new file at `path` would be below a file or be a directory."""
        above = [folder for folder in parents(path) if folder not in self._directories]
        low, high = below(path)
        obstacle: str | None
        if not self._below:
            row = self._rows.one(
                "live_obstacle",
                line=self.line,
                parents=json.encode(above).decode(),
                low=low,
                high=high,
            )
            obstacle = None if row is None else row[0]
        else:
            files = (self.stat(folder) for folder in above)
            found = next(filter(None, files), None)
            found = found or anything(self._rows, self.chain(), low, high)
            obstacle = None if found is None else found.path
        if obstacle is not None:
            raise conflict(self.tip.name, path, obstacle)
        self._directories.update(above)


def conflict(repo: str, path: str, obstacle: str) -> PathConflict:
    """The error for a path that would be a file and a directory (P4, M3)."""
    if obstacle.startswith(path + "/"):
        text = f"{path} in repo {repo} is a directory ({obstacle} lies in it): delete it first"
    else:
        text = f"{obstacle} in repo {repo} is a file, so {path} cannot be: delete that file first"
    return PathConflict(text, repo=repo, path=path, obstacle=obstacle)
