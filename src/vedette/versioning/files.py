"""Files and directories of finished commits. Reads belong inside one snapshot.

Directories exist through their files (ENGINE P5), so they are found by seeking over the files'
paths. Nodes come in the byte order of those paths: a directory stands where its files stand, as if
its name ended in a slash.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from vedette.metadata.store import Rows
from vedette.model.errors import Conflict, NotFound
from vedette.model.files import FileInfo
from vedette.model.glob import Glob
from vedette.model.paths import below, clean, parents
from vedette.versioning import repos
from vedette.versioning.refs import CommitRow
from vedette.versioning.stretches import Chain, FileRow, anything, chain, lookup, span
from vedette.versioning.times import moment

__all__ = [
    "FileRow",
    "every",
    "exists_below",
    "glob",
    "inspect",
    "list_files",
    "page",
    "stat",
    "tree",
    "walk",
]

_PAGE = 1000
_FEW = 2
_AHEAD = 200
"""Files that a search reads at once; what is left when its page is full was read for nothing."""
# Above every element that a path may hold (P1), so that `path + _END` skips all below a directory.
_END = "/" + "\U0010ffff" * 257


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
    rows: Rows, commit: CommitRow, path: str = "/", after: str = "", limit: int = _PAGE
) -> list[FileRow]:
    """A page of the files at or below a path, in byte order; `after` is the last path seen."""
    return page(rows, tree(rows, commit), clean(path), after, limit)


def every(rows: Rows, commit: CommitRow, path: str = "/") -> Iterator[FileRow]:
    """All files at or below a path, in byte order, read page by page."""
    stretches, top, after = tree(rows, commit), clean(path), ""
    while found := page(rows, stretches, top, after, _PAGE):
        yield from found
        after = found[-1].path


def page(rows: Rows, stretches: Chain, path: str, after: str, limit: int) -> list[FileRow]:
    """`walk` for a place that is known, and a clean path."""
    low, high = below(path)
    if path != "/":
        found = lookup(rows, stretches, path)
        if found is not None:
            return [found] if after < path else []
    return span(rows, stretches, max(after, low), high, limit)


def inspect(rows: Rows, commit: CommitRow, path: str) -> FileInfo:
    """A file or directory. Raises NotFound.

    A directory's size is summed over its files, so it costs what they cost; the root's is known.
    """
    view = _View(rows, commit)
    found = view.node(clean(path))
    if found is None:
        raise NotFound(
            f"no file or directory {clean(path)} in {view.repo}@{commit.branch} ({commit.id})",
            repo=view.repo,
            path=clean(path),
        )
    return found


def list_files(
    rows: Rows,
    commit: CommitRow,
    path: str = "/",
    after: str = "",
    limit: int = _PAGE,
    sizes: bool = True,
) -> list[FileInfo]:
    """A page of the files and directories in a directory; of a file, itself.

    `after` is the path last seen. Without `sizes`, directories have size 0 and cost one seek
    however much is in them. Raises NotFound when there is nothing at `path`.
    """
    view = _View(rows, commit, sizes)
    top = clean(path)
    file = None if top == "/" else lookup(rows, view.stretches, top)
    if file is not None:
        return [view.file(file)] if after < top else []
    low, high = below(top)
    if top != "/" and anything(rows, view.stretches, low, high) is None:
        inspect(rows, commit, top)
    found: list[FileInfo] = []
    start = view.resume(clean(after)) if after else ""
    for row in _scan(view, low, max(start, low), high):
        if len(found) == limit:
            break
        name, slash, _ = row.path[len(low) :].partition("/")
        found.append(view.directory(low + name) if slash else view.file(row))
    return found


def _scan(view: _View, base: str, after: str, high: str) -> Iterator[FileRow]:
    """The files of a directory, and of each directory in it one file, seeking past the others."""
    size = _FEW
    while rows := span(view.rows, view.stretches, after, high, size):
        skipped = ""
        for row in rows:
            if skipped and row.path < skipped:
                continue
            name, slash, _ = row.path[len(base) :].partition("/")
            skipped = base + name + _END if slash else ""
            yield row
        # Files come by the page; after a directory, what follows is likely to be one too.
        size = _FEW if skipped else min(size * 4, _PAGE)
        after = skipped or rows[-1].path


def glob(
    rows: Rows,
    commit: CommitRow,
    pattern: Glob,
    after: str = "",
    limit: int = _PAGE,
    sizes: bool = True,
) -> list[FileInfo]:
    """A page of the files and directories that match, in bounded memory (G7).

    `after` is the path last seen. No match is an empty page (G4).
    """
    view = _View(rows, commit, sizes)
    alone = "/" if pattern.root else pattern.literal
    if alone is not None:
        node = None if after else view.node(alone)
        return [] if node is None else [node]
    seen: set[str] = set()
    start = ""
    if after:
        last = clean(after)
        seen = {last, *parents(last)}
        start = view.resume(last, past=pattern.depth is not None)
    found: list[FileInfo] = []
    low, high = below(pattern.prefix)
    start, size = max(start, low), _FEW
    while len(found) < limit and (files := span(rows, view.stretches, start, high, size)):
        size = min(size * 4, _AHEAD)
        for row in files:
            start = row.path
            matches = pattern.matches_of(row.path)
            nodes = [node for node in matches if node not in seen]
            found += (view.file(row) if n == row.path else view.directory(n) for n in nodes)
            # A directory's files come one after the other: a match that is not above this one
            # will not come again.
            seen = set(matches)
            if len(found) >= limit:
                break
            if nodes and pattern.depth is not None and nodes[-1] != row.path:
                start, size = nodes[-1] + _END, _FEW
                break
    return found[:limit]


class _View:
    """A commit's files as they are shown to people; it asks for each name only once."""

    def __init__(self, rows: Rows, commit: CommitRow, sizes: bool = True) -> None:
        self.rows = rows
        self.commit = commit
        self.stretches = tree(rows, commit)
        self.repo = repos.by_id(rows, commit.repo).name
        self._sizes = sizes
        self._commits: dict[tuple[int, int], str] = {}
        self._datums: dict[int, str] = {}

    def node(self, path: str) -> FileInfo | None:
        """What is at a clean path; the root is always there."""
        if path == "/":
            return FileInfo(repo=self.repo, path="/", type="dir", size=self.commit.size)
        file = lookup(self.rows, self.stretches, path)
        if file is not None:
            return self.file(file)
        if anything(self.rows, self.stretches, *below(path)) is None:
            return None
        return self.directory(path)

    def file(self, row: FileRow) -> FileInfo:
        """A file, with the commit and the datum that wrote it."""
        return FileInfo(
            repo=self.repo,
            path=row.path,
            type="file",
            size=row.size,
            object=row.object.hex(),
            commit=self._origin(row.line, row.from_seq),
            datum=self._datum(row.datum),
            gone=self._gone(row.gone),
        )

    def directory(self, path: str) -> FileInfo:
        """A directory, with the sum of its files where sizes are asked for."""
        return FileInfo(repo=self.repo, path=path, type="dir", size=self._total(path))

    def resume(self, path: str, past: bool = True) -> str:
        """Where the node after `path` is sought: after the file, in or past the directory."""
        if anything(self.rows, self.stretches, *below(path)) is None:
            return path
        return path + _END if past else path + "/"

    def _total(self, path: str) -> int:
        if not self._sizes:
            return 0
        low, high = below(path)
        top = self.stretches[0]
        if len(self.stretches) == 1 and top.seq >= top.head:
            found = self.rows.one("live_total", line=top.line, low=low, high=high)
            return 0 if found is None else int(found[1])
        total, after = 0, low
        while files := span(self.rows, self.stretches, after, high, _PAGE):
            total += sum(file.size for file in files)
            after = files[-1].path
        return total

    def _origin(self, line: int, seq: int) -> str:
        key = (line, seq)
        if key not in self._commits:
            found = self.rows.one("file_origin", line=line, seq=seq)
            self._commits[key] = "" if found is None else found[0]
        return self._commits[key]

    def _gone(self, tombstone: int | None) -> datetime | None:
        if tombstone is None:
            return None
        found = self.rows.one("tombstone_get", id=tombstone)
        return moment(found[0] if found else 0)

    def _datum(self, num: int | None) -> str:
        if num is None:
            return ""
        if num not in self._datums:
            found = self.rows.one("file_datum", num=num)
            self._datums[num] = "" if found is None else found[0].hex()
        return self._datums[num]
