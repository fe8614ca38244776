"""What a leaf selects in a commit, and what changed of it between two commits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vedette.decide.tree import By, Item
from vedette.metadata.store import Rows
from vedette.model.glob import expand_key
from vedette.scheduling.running import Leaf
from vedette.versioning import diff, files
from vedette.versioning.commits import CommitRow
from vedette.versioning.stretches import Chain, anything, lookup

_PAGE = 1000


def delta(rows: Rows, leaf: Leaf, old: CommitRow, new: CommitRow) -> list[Item]:
    """The matches of a leaf that differ between two commits of its branch.

    Content that is read by reference does not count, only whether a match exists (ENGINE D8). The
    root exists in every commit, also in one without files.
    """
    if old.num == new.num or (leaf.reference and leaf.glob.root):
        return []
    found: dict[str, Item] = {}
    directories: set[str] = set()
    for change in diff.changes(rows, old, new):
        for node in leaf.glob.matches_of(change.path):
            if node != change.path:
                directories.add(node)
                continue
            after = change.after
            found[node] = Item(
                leaf=leaf.index, path=node,
                before=change.before is not None, after=after is not None,
                object=after.object if after else None, size=after.size if after else 0,
            )  # fmt: skip
    for node in directories:
        found[node] = _directory(rows, leaf, node, old, new, found.get(node))
    if leaf.reference:
        return [item for item in found.values() if not (item.before and item.after)]
    return list(found.values())


def _directory(
    rows: Rows, leaf: Leaf, node: str, old: CommitRow, new: CommitRow, file: Item | None
) -> Item:
    """A directory that has changes below it; the same path may be a file on the other side."""
    if node == "/":
        return Item(leaf=leaf.index, path=node, before=True, after=True)
    before = files.exists_below(rows, old, node) or (file is not None and file.before)
    if file is not None and file.after:
        return Item(leaf=leaf.index, path=node, before=before, after=True, object=file.object,
                    size=file.size)  # fmt: skip
    after = files.exists_below(rows, new, node)
    return Item(leaf=leaf.index, path=node, before=before, after=after)


def every(rows: Callable[[], Rows], leaf: Leaf, commit: CommitRow, before: bool) -> Iterator[Item]:
    """All matches of a leaf in a commit, in byte order, in bounded memory.

    `before` is noted on each: whether they count as having been there already. The iteration may
    go on in a later transaction: `rows` gives the one in progress.
    """
    glob = leaf.glob
    if glob.root or glob.literal is not None:
        yield from _one(rows(), leaf, commit, glob.literal or "/", before)
        return
    after = ""
    directory = ""
    while True:
        page = files.walk(rows(), commit, glob.prefix, after=after, limit=_PAGE)
        for file in page:
            if directory and file.path.startswith(directory):
                continue
            for node in glob.matches_of(file.path):
                if node == file.path:
                    yield Item(leaf=leaf.index, path=node, before=before, after=True,
                               object=file.object, size=file.size)  # fmt: skip
                elif not (directory and (node + "/").startswith(directory)):
                    directory = node + "/"
                    yield Item(leaf=leaf.index, path=node, before=before, after=True)
        if len(page) < _PAGE:
            return
        after = page[-1].path


def _one(rows: Rows, leaf: Leaf, commit: CommitRow, path: str, before: bool) -> Iterator[Item]:
    file = None if path == "/" else files.stat(rows, commit, path)
    if file is not None:
        yield Item(leaf=leaf.index, path=path, before=before, after=True, object=file.object,
                   size=file.size)  # fmt: skip
    elif path == "/" or files.exists_below(rows, commit, path):
        yield Item(leaf=leaf.index, path=path, before=before, after=True)


def at(rows: Rows, here: Chain, leaf: Leaf, path: str, before: bool) -> Item | None:
    """The match of a leaf at a path that its glob matches; None if there is nothing."""
    file = lookup(rows, here, path)
    if file is not None:
        return Item(leaf=leaf.index, path=path, before=before, after=True, object=file.object,
                    size=file.size)  # fmt: skip
    if leaf.glob.files_only or anything(rows, here, path + "/", path + "0") is None:
        return None
    return Item(leaf=leaf.index, path=path, before=before, after=True)


def key(leaf: Leaf, by: By, path: str) -> str:
    """The key of a match, by its template (ENGINE G6)."""
    captures = leaf.glob.match(path)
    assert captures is not None, "only matches have keys"
    return expand_key(leaf.keys[by], captures)
