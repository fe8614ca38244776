"""Which matches of a leaf have a key: an index in rows, for joins and groups (docs/design/011).

An index belongs to a repo, a glob and a key template. For a place on a line it names all matches
that may have a key there, and now and then one that has gone: whoever reads looks at the commit
itself. So it need not know of content, of forks or of what a line hides of the one below; and a
match costs a row when it comes and a change of that row when it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat

from blake3 import blake3

from vedette.decide.tree import By, Item, leaves
from vedette.metadata.store import Rows
from vedette.scheduling import matches
from vedette.scheduling.running import Job, Leaf, Memory, Now
from vedette.versioning import files
from vedette.versioning.refs import CommitRow
from vedette.versioning.stretches import Chain, Stretch, anything, chain, lookup

OPEN = 2**62
"""`gone` of a match that may be there still."""

_PAGE = 1000
_PER_STEP = 8
"""Paths that are looked at while a datum would be found."""

_LONG = 128
_ABOVE = "\U0010ffff"


def number(rows: Rows, leaf: Leaf, by: By) -> int:
    """The number of a leaf's index, which is made if there is none."""
    if by not in leaf.indexes:
        wanted = {"repo": leaf.branch[0], "glob": leaf.glob.pattern, "template": leaf.keys[by]}
        row = rows.one("leaf_index", **wanted)
        leaf.indexes[by] = row[0] if row else rows.insert("leaf_index_add", **wanted)
    return leaf.indexes[by]


def advance(rows: Callable[[], Rows], leaf: Leaf, by: By, commit: CommitRow) -> Iterator[None]:
    """Bring a leaf's index up to a commit; it may be left off at any page and taken up again."""
    if _single(leaf):
        return
    index = number(rows(), leaf, by)
    for stretch in files.tree(rows(), commit):
        while (done := _place(rows(), index, stretch.line)) < stretch.seq:
            yield from _advance_line(rows, leaf, by, index, stretch, done)


def _single(leaf: Leaf) -> bool:
    """Whether a leaf has one match at most: then there is nothing to look up."""
    return leaf.glob.root or leaf.glob.literal is not None


def _place(rows: Rows, index: int, line: int) -> int:
    row = rows.one("leaf_place", leaf=index, line=line)
    return 0 if row is None else int(row[0])


def _advance_line(
    rows: Callable[[], Rows], leaf: Leaf, by: By, index: int, stretch: Stretch, done: int
) -> Iterator[None]:
    """Take in what a line has got since place `done`; ends early if others did meanwhile.

    Each page is judged by what its newest commit has at that moment, so that of two who are at it
    at once the later one is right.
    """
    line = stretch.line
    goal = _end(rows(), stretch)
    known: set[str] = set()
    for page in _touched(rows, line, done, goal):
        if _place(rows(), index, line) != done:
            return
        nodes = {node for path in page for node in leaf.glob.matches_of(path)}
        sure = {n for path, there in page.items() if there for n in leaf.glob.matches_of(path)}
        # The paths come in order: a directory is met again at the start of the next page only.
        _note(rows(), leaf, by, index, stretch, done, nodes - known, sure)
        known = nodes
        yield from repeat(None, 1 + len(page) // _PER_STEP)
    if _place(rows(), index, line) == done:
        rows().run("leaf_place_set", leaf=index, line=line, seq=goal)


def _end(rows: Rows, stretch: Stretch) -> int:
    """The newest place of a line that a commit has; what is made beyond may be undone."""
    row = rows.one("leaf_line_end", line=stretch.line)
    return stretch.seq if row is None or row[0] is None else max(stretch.seq, row[0])


def _touched(rows: Callable[[], Rows], line: int, old: int, new: int) -> Iterator[dict[str, bool]]:
    """The paths that a line's commits touched between two places, in order, by the page.

    With each comes whether it is known to be a file now.
    """
    if old:
        found = [row[0] for row in rows().all("line_touched", line=line, old=old, new=new)]
        for start in range(0, len(found), _PAGE):
            yield dict.fromkeys(found[start : start + _PAGE], False)
        return
    after = ""
    while True:
        live = rows().all("live_page", line=line, after=after, high=_ABOVE, limit=_PAGE)
        past = rows().all("line_own_past", line=line, after=after, limit=_PAGE)
        ends = [part[-1][0] for part in (live, past) if len(part) == _PAGE]
        after = min(ends, default=_ABOVE)
        page = {row[0]: False for row in past if row[0] <= after}
        page |= {row[0]: row[1] is not None and row[4] <= new for row in live if row[0] <= after}
        yield dict(sorted(page.items()))
        if not ends:
            return


def _note(
    rows: Rows, leaf: Leaf, by: By, index: int, stretch: Stretch, done: int, nodes: set[str],
    sure: set[str],
) -> None:  # fmt: skip
    """Write down what has come and what has gone among some nodes; some are `sure` to be there."""
    line, end = stretch.line, _end(rows, stretch)
    here = chain(rows, line, end)
    came = []
    for node in sorted(nodes):
        place = {"leaf": index, "line": line, "key": key(leaf, by, node), "path": node}
        if node in sure or _exists(rows, here, leaf, node):
            came.append({**place, "gone": OPEN, "came": done + 1})
        elif not rows.run("leaf_close", **place, gone=end, open=OPEN) and end > done + 1:
            # It came and went in between.
            came.append({**place, "gone": end, "came": done + 1})
    if came:
        rows.many("leaf_add", came)


def _exists(rows: Rows, here: Chain, leaf: Leaf, node: str) -> bool:
    if lookup(rows, here, node) is not None:
        return True
    return not leaf.glob.files_only and anything(rows, here, node + "/", node + "0") is not None


def key(leaf: Leaf, by: By, path: str) -> str:
    """The key of a match, as it is compared and kept: never empty, and never long."""
    found = matches.key(leaf, by, path)
    if len(found) <= _LONG:
        return "=" + found
    return "#" + found[:_LONG] + blake3(found.encode()).hexdigest()


def at(
    rows: Callable[[], Rows], leaf: Leaf, by: By, commit: CommitRow, wanted: str, before: bool
) -> Iterator[Item]:
    """The matches of a leaf in a commit that have a key. The index must have come so far."""
    if _single(leaf):
        if key(leaf, by, leaf.glob.literal or "/") == wanted:
            yield from matches.every(rows, leaf, commit, before)
        return
    now = rows()
    here = files.tree(now, commit)
    paths = _candidates(now, number(now, leaf, by), here, wanted)
    for start in range(0, len(paths), _PAGE):
        if start:
            now = rows()
            here = files.tree(now, commit)
        found = [matches.at(now, here, leaf, path, before) for path in paths[start : start + _PAGE]]
        yield from (item for item in found if item is not None)


def _candidates(rows: Rows, index: int, here: Chain, wanted: str) -> list[str]:
    """The paths that may be matches: read at once, for rows move when matches go."""
    paths: set[str] = set()
    for stretch in here:
        gone, path = stretch.seq + 1, ""
        while True:
            page = rows.all("leaf_page", leaf=index, line=stretch.line, key=wanted, gone=gone,
                            path=path, seq=stretch.seq, limit=_PAGE)  # fmt: skip
            paths.update(row[1] for row in page)
            if len(page) < _PAGE:
                break
            gone, path = page[-1]
    return sorted(paths)


def keys(rows: Callable[[], Rows], leaf: Leaf, by: By, commit: CommitRow) -> Iterator[str]:
    """The keys of a leaf's matches in order; there may be some whose matches have gone."""
    if _single(leaf):
        yield key(leaf, by, leaf.glob.literal or "/")
        return
    index, after = number(rows(), leaf, by), ""
    while True:
        pages = [
            rows().all("leaf_keys", leaf=index, line=stretch.line, after=after, limit=_PAGE)
            for stretch in files.tree(rows(), commit)
        ]
        ends = [page[-1][0] for page in pages if len(page) == _PAGE]
        found = {row[0] for page in pages for row in page}
        if ends:
            after = min(ends)
            found = {each for each in found if each <= after}
        yield from sorted(found)
        if not ends:
            return


def prune(rows: Rows, memory: Memory) -> None:
    """Forget the indexes that no pipeline asks for."""
    used = {
        (leaf.branch[0], leaf.glob.pattern, template)
        for pipeline in memory.order
        for leaf in pipeline.leaves
        for template in leaf.keys.values()
    }
    for index, *asked in rows.all("leaf_indexes"):
        if tuple(asked) not in used:
            for query in ("leaf_rows_drop", "leaf_lines_drop", "leaf_index_drop"):
                rows.run(query, leaf=index)


class InJob:
    """What the leaves of a pipeline select in the inputs of a job.

    `now` gives the transaction in progress; `before` is said of each match: whether they count as
    having been there already.
    """

    def __init__(self, job: Job, now: Now, before: bool) -> None:
        self._job = job
        self._now = now
        self._before = before

    def prepare(self) -> Iterator[None]:
        """Bring the indexes up to the job's inputs."""
        for leaf in leaves(self._job.pipeline.node):
            for by in leaf.keys:
                yield from advance(self._rows, *self._asked(leaf.leaf, by))

    def every(self, leaf: int) -> Iterator[Item]:
        """All matches of a leaf."""
        found = self._job.pipeline.leaves[leaf]
        return matches.every(self._rows, found, self._commit(leaf), self._before)

    def at(self, leaf: int, by: By, key: str) -> Iterator[Item]:
        """The matches of a leaf that have a key."""
        return at(self._rows, *self._asked(leaf, by), key, self._before)

    def keys(self, leaf: int, by: By) -> Iterator[str]:
        """The keys of a leaf's matches, and some that none has any more."""
        return keys(self._rows, *self._asked(leaf, by))

    def key(self, leaf: int, by: By, path: str) -> str:
        """The key of a match."""
        return key(self._job.pipeline.leaves[leaf], by, path)

    def _asked(self, leaf: int, by: By) -> tuple[Leaf, By, CommitRow]:
        return self._job.pipeline.leaves[leaf], by, self._commit(leaf)

    def _rows(self) -> Rows:
        rows: Rows = self._now.round.rows
        return rows

    def _commit(self, leaf: int) -> CommitRow:
        round = self._now.round
        found: CommitRow = round.commits.get(round.rows, self._job.inputs[leaf])
        return found
