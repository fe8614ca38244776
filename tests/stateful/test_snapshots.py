"""Repos, branches and commits against dictionaries of snapshots."""

from __future__ import annotations

import itertools
from contextlib import AbstractContextManager

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vedette.metadata.sqlite import MemoryStore
from vedette.model.errors import NotFound, PathConflict
from vedette.model.files import Write
from vedette.model.glob import compile_glob
from vedette.model.ids import object_id
from vedette.model.paths import parents
from vedette.objects.memory import MemoryObjects
from vedette.versioning import branches, commits, contents, diff, files, repos
from vedette.versioning.transaction import Transaction, transact

Tree = dict[str, tuple[bytes, int | None]]
"""Bytes and datum of every file."""

ELEMENTS = ["a", "a-b", "a.b", "a0", "é"]
paths = st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=3).map(lambda p: "/" + "/".join(p))
datas = st.sampled_from([b"", b"1", b"22", b"3" * 20_000])
names = st.sampled_from(["master", "dev", "old"])
GLOBS = ["/", "/*", "/*/*", "/**", "/a", "/a/*", "/a*", "/é/a/a", "/{a,a/a}", "/@(a|a.b)/a*"]


class Conflict(Exception):
    """The model's word for PathConflict."""


def put(tree: Tree, path: str, data: bytes, datum: int | None = None) -> None:
    if any(folder in tree for folder in parents(path)):
        raise Conflict
    if any(other.startswith(path + "/") for other in tree):
        raise Conflict
    tree[path] = (data, datum)


def delete(tree: Tree, path: str) -> int:
    gone = [p for p in tree if p == path or p.startswith(path.rstrip("/") + "/")]
    for each in gone:
        del tree[each]
    return len(gone)


def nodes(tree: Tree) -> dict[str, int]:
    """Every file and directory with its size, the root too."""
    found = {"/": sum(len(data) for data, _ in tree.values())}
    for path, (data, _) in tree.items():
        found[path] = len(data)
        for folder in parents(path):
            found[folder] = found.get(folder, 0) + len(data)
    return found


def in_order(tree: Tree, chosen: set[str]) -> list[str]:
    """Nodes in the order of their files: a directory sorts as if it ended in a slash."""
    return sorted(chosen, key=lambda p: p if p in tree or p == "/" else p + "/")


class Versioning(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.metadata, self.objects = MemoryStore(), MemoryObjects()
        self.ids = (f"{n:032x}" for n in itertools.count(1))
        self.clock = itertools.count(1)
        self.trees: dict[int, Tree] = {}
        self.repo_of: dict[int, str] = {}
        self.parent: dict[int, int | None] = {}
        self.heads: dict[tuple[str, str], int | None] = {}
        self.open: dict[str, tuple[int, Tree]] = {}
        self.check: list[int] = []
        with self.tx() as tx:
            repos.create(tx, "r")
            repos.create(tx, "out", kind="pipeline")

    def teardown(self) -> None:
        self.metadata.close()

    def tx(self) -> AbstractContextManager[Transaction]:
        return transact(
            self.metadata, self.objects, lambda: next(self.clock), lambda: next(self.ids)
        )

    def head_tree(self, repo: str, branch: str) -> Tree:
        head = self.heads.get((repo, branch))
        return {} if head is None else dict(self.trees[head])

    def finished(self, repo: str, branch: str, num: int, tree: Tree) -> None:
        self.parent[num] = self.heads.get((repo, branch))
        self.trees[num], self.repo_of[num] = tree, repo
        self.heads[repo, branch] = num
        self.check.append(num)

    @rule(
        branch=names,
        writes=st.lists(
            st.tuples(
                st.sampled_from(["put", "put", "put", "append", "delete"]),
                st.one_of(paths, st.just("/")),
                datas,
            ),
            min_size=1,
            max_size=4,
        ),
    )
    def user_writes(self, branch: str, writes: list[tuple[str, str, bytes]]) -> None:
        writes = [w for w in writes if w[0] == "delete" or w[1] != "/"]
        tree = dict(self.open[branch][1]) if branch in self.open else self.head_tree("r", branch)
        expected: type[Exception] | None = None
        asked = []
        for op, path, data in writes:
            asked.append(
                Write(repo="r", branch=branch, path=path, delete=True)
                if op == "delete"
                else Write(repo="r", branch=branch, path=path, data=data, append=op == "append")
            )
            try:
                if op == "delete":
                    if not delete(tree, path):
                        expected = NotFound
                else:
                    before = tree[path][0] if op == "append" and path in tree else b""
                    put(tree, path, before + data)
            except Conflict:
                expected = PathConflict
            if expected:
                break
        if not asked:
            return
        if expected is not None:
            with pytest.raises(expected), self.tx() as tx:
                commits.commit_files(tx, asked)
            return
        with self.tx() as tx:
            made = commits.commit_files(tx, asked)
        if branch in self.open:
            assert made.commits[0].num == self.open[branch][0]
            assert made.finished == () == tuple(tx.finished)
            self.open[branch] = (self.open[branch][0], tree)
        else:
            assert [f.num for f in tx.finished] == [made.commits[0].num]
            self.finished("r", branch, made.commits[0].num, tree)

    @rule(
        branch=names,
        puts=st.lists(st.tuples(paths, datas, st.integers(1, 3)), max_size=4),
        gone=st.lists(paths, max_size=2),
        datums=st.lists(st.integers(1, 3), max_size=2, unique=True),
    )
    def job_writes(
        self,
        branch: str,
        puts: list[tuple[str, bytes, int]],
        gone: list[str],
        datums: list[int],
    ) -> None:
        tree = self.head_tree("out", branch)
        for path in [p for p, (_, datum) in tree.items() if datum in datums]:
            del tree[path]
        for path in gone:
            tree.pop(path, None)
        with self.tx() as tx:
            row = commits.start(tx, "out", branch, origin="auto")
        try:
            for path, data, datum in puts:
                put(tree, path, data, datum)
            possible = True
        except Conflict:
            possible = False
        with self.tx() as tx:
            changes = commits.Changes(
                puts=[(p, contents.store(tx, data), len(data), d) for p, data, d in puts],
                deletes=gone,
                remove_datums=datums,
            )
            if not possible:
                with pytest.raises(PathConflict), tx.rows.savepoint():
                    commits.apply(tx, row, changes)
                commits.fail(tx, row.num, "two kinds of node")
                return
            commits.apply(tx, row.num, changes)
        self.finished("out", branch, row.num, tree)

    @rule(branch=names)
    def start(self, branch: str) -> None:
        if branch not in self.open:
            with self.tx() as tx:
                num = commits.start(tx, "r", branch).num
            self.open[branch] = (num, self.head_tree("r", branch))
            self.heads.setdefault(("r", branch), None)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        branch = data.draw(st.sampled_from(sorted(self.open)))
        num, tree = self.open.pop(branch)
        with self.tx() as tx:
            commits.finish(tx, num)
        self.finished("r", branch, num, tree)

    @precondition(lambda self: self.trees)
    @rule(branch=names, data=st.data())
    def move(self, branch: str, data: st.DataObject) -> None:
        num = data.draw(st.sampled_from(sorted(self.trees)))
        repo = self.repo_of[num]
        if repo == "r" and branch in self.open:
            return
        with self.tx() as tx:
            branches.move(tx, repo, branch, num)
        self.heads[repo, branch] = num

    @rule(repo=st.sampled_from(["r", "out"]), branch=names)
    def delete_branch(self, repo: str, branch: str) -> None:
        if (repo, branch) in self.heads and not (repo == "r" and branch in self.open):
            with self.tx() as tx:
                branches.delete(tx, repo, branch)
            del self.heads[repo, branch]

    @precondition(lambda self: self.trees)
    @rule(data=st.data())
    def difference(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(sorted(self.trees)))
        same = [n for n in sorted(self.trees) if self.repo_of[n] == self.repo_of[one]]
        two = data.draw(st.sampled_from([None, *same]))
        old = {} if two is None else self.trees[two]
        new = self.trees[one]
        want = {
            p: (old.get(p, (None,))[0], new.get(p, (None,))[0])
            for p in sorted(old.keys() | new.keys())
            if old.get(p, (None,))[0] != new.get(p, (None,))[0]
        }
        with self.metadata.read() as rows:
            before = None if two is None else commits.by_num(rows, two)
            found = list(diff.changes(rows, before, commits.by_num(rows, one)))
        assert [c.path for c in found] == list(want)
        for change in found:
            for side, bytes_ in zip((change.before, change.after), want[change.path], strict=True):
                assert (side and side.object) == (bytes_ if bytes_ is None else object_id(bytes_))

    @precondition(lambda self: self.trees)
    @rule(data=st.data(), pattern=st.sampled_from(GLOBS), limit=st.integers(1, 4))
    def an_old_commit_reads_as_ever(self, data: st.DataObject, pattern: str, limit: int) -> None:
        num = data.draw(st.sampled_from(sorted(self.trees)))
        self.compare(num)
        tree = self.trees[num]
        known = nodes(tree)
        glob = compile_glob(pattern)
        chosen = {
            node
            for path in tree
            for node in glob.matches_of(path)
            if not glob.files_only or node in tree
        } | ({"/"} if glob.root else set())
        with self.metadata.read() as rows:
            commit = commits.by_num(rows, num)
            found = []
            after = ""
            while page := files.glob(rows, commit, glob, after=after, limit=limit):
                assert len(page) <= limit
                found += page
                after = page[-1].path
            assert [f.path for f in found] == in_order(tree, chosen)
            assert {f.path: f.size for f in found} == {p: known[p] for p in chosen}
            folder = data.draw(st.sampled_from(sorted(p for p in known if p not in tree)))
            listed, after = [], ""
            if folder == "/" or folder in known:
                while page := files.list_files(rows, commit, folder, after=after, limit=limit):
                    listed += page
                    after = page[-1].path
            inside = {p for p in known if p != "/" and (p.rpartition("/")[0] or "/") == folder}
            assert [f.path for f in listed] == in_order(tree, inside)
            assert {f.path: f.size for f in listed} == {p: known[p] for p in inside}
            assert {f.path for f in listed if f.type == "file"} == inside & tree.keys()

    @invariant()
    def what_was_committed_is_there(self) -> None:
        for num in self.check:
            self.compare(num)
        self.check.clear()
        with self.metadata.read() as rows:
            for (repo, branch), number in self.heads.items():
                head = branches.head(rows, repo, branch)
                assert (head and head.num) == number

    def compare(self, num: int) -> None:
        tree = self.trees[num]
        with self.metadata.read() as rows:
            commit = commits.by_num(rows, num)
            assert commit.parent == self.parent[num]
            assert (commit.files, commit.size) == (
                len(tree),
                sum(len(data) for data, _ in tree.values()),
            )
            found, after = [], ""
            while page := files.walk(rows, commit, after=after, limit=3):
                found += page
                after = page[-1].path
            assert [(f.path, f.object, f.datum) for f in found] == [
                (path, object_id(tree[path][0]), tree[path][1]) for path in sorted(tree)
            ]
            for path in ("/a", "/a/a", "/é", *sorted(tree)[:3]):
                file = files.stat(rows, commit, path)
                assert (file and (file.object, file.size)) == (
                    (object_id(tree[path][0]), len(tree[path][0])) if path in tree else None
                )
                below = [p for p in sorted(tree) if p.startswith(path + "/")]
                assert files.exists_below(rows, commit, path) == bool(below)
                assert [f.path for f in files.every(rows, commit, path)] == (
                    [path] if path in tree else below
                )


Versioning.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
test_versioning_agrees_with_snapshots = Versioning.TestCase
