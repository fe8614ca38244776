"""Squash, retain and garbage collection against dictionaries of snapshots (ENGINE K1 to K3, P7)."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vedette.metadata.sqlite import MemoryStore
from vedette.model.errors import Conflict, Gone
from vedette.model.files import Write
from vedette.model.ids import object_id
from vedette.objects.local import LocalObjects
from vedette.versioning import (
    branches,
    collect,
    commits,
    contents,
    files,
    repos,
    retention,
    squash,
)  # fmt: skip
from vedette.versioning.check import Check
from vedette.versioning.transaction import Transaction, transact

T = TypeVar("T")
Tree = dict[str, tuple[bytes, int]]
"""The bytes of each file, and the place in the order of commits where it was written."""

PATHS = ["/a", "/b", "/d/a", "/d/b"]
DATAS = [b"1", b"22", b"3" * 20_000, b"4" * 20_000, b"5" * 30_000, b"6" * 70_000, b"7" * 70_000]
BRANCHES = ["master", "dev"]


class Keeping(RuleBasedStateMachine):
    """One repo. `dead` are (path, order) of versions whose bytes were deleted for good."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="keeping-"))
        self.metadata = MemoryStore()
        self.objects = LocalObjects(self.folder, packed_limit=50_000, pack_size=200_000)
        self.ids = (f"{n:032x}" for n in itertools.count(1))
        self.clock = itertools.count(1_000_000_000_000_000)
        self.order = itertools.count(1)
        self.trees: dict[int, Tree] = {}
        self.heads: dict[str, int] = {}
        self.dead: set[tuple[str, int]] = set()
        self.write(lambda tx: repos.create(tx, "r"))

    def teardown(self) -> None:
        self.objects.close()
        self.metadata.close()
        shutil.rmtree(self.folder)

    def write(self, work: Callable[[Transaction], T]) -> T:
        with transact(
            self.metadata, self.objects, lambda: next(self.clock), lambda: next(self.ids)
        ) as tx:
            return work(tx)

    @rule(
        branch=st.sampled_from(BRANCHES),
        writes=st.lists(
            st.tuples(st.sampled_from(PATHS), st.sampled_from([None, *range(len(DATAS))])),
            min_size=1, max_size=3, unique_by=lambda pair: pair[0],
        ),
    )  # fmt: skip
    def put(self, branch: str, writes: list[tuple[str, int | None]]) -> None:
        before = self.trees.get(self.heads.get(branch, 0), {})
        tree, number = dict(before), next(self.order)
        asked = []
        for path, which in writes:
            data = None if which is None else DATAS[which]
            if data is None and path not in tree:
                continue
            asked.append(Write(repo="r", branch=branch, path=path, data=data, delete=data is None))
            if data is None:
                del tree[path]
            elif (
                path not in before
                or before[path][0] != data
                or ((path, before[path][1]) in self.dead)
            ):
                tree[path] = (data, number)
        if asked:
            made = self.write(lambda tx: commits.commit_files(tx, asked)).commits[0]
            self.trees[made.num], self.heads[branch] = tree, made.num

    @precondition(lambda self: self.trees)
    @rule(branch=st.sampled_from(BRANCHES), data=st.data())
    def move(self, branch: str, data: st.DataObject) -> None:
        num = data.draw(st.sampled_from(sorted(self.trees)))
        self.write(lambda tx: branches.move(tx, "r", branch, num))
        self.heads[branch] = num

    @precondition(lambda self: self.trees)
    @rule(data=st.data(), alone=st.booleans())
    def squash(self, data: st.DataObject, alone: bool) -> None:
        num = data.draw(st.sampled_from(sorted(self.trees)))
        try:
            self.write(lambda tx: squash.squash(tx, commits.by_num(tx.rows, num), alone=alone))
        except Conflict as error:
            text = str(error)
            assert ("is the head of" in text) == (num in self.heads.values())
            assert alone or "followed by" not in text
            return
        assert num not in self.heads.values()
        del self.trees[num]

    @rule(path=st.sampled_from([*PATHS, "/d"]))
    def delete_for_good(self, path: str) -> None:
        tombstone = self.write(lambda tx: retention.entomb(tx, "asked to"))
        while self.write(lambda tx: retention.delete(tx, "r", path, tombstone, limit=2)):
            pass
        self.dead |= {
            (at, number)
            for tree in self.trees.values()
            for at, (_, number) in tree.items()
            if at == path or at.startswith(path + "/")
        }

    @rule()
    def drop_dead(self) -> None:
        while self.write(squash.drop_dead):
            pass

    @rule(full=st.booleans())
    def collect(self, full: bool) -> None:
        if full:
            collect.suspect_all(self.metadata, self.write)
            self.count_waste()
        taken = self.write(lambda tx: collect.take(tx, tx.now, ()))
        gone, stayed = collect.remove_files(self.objects, taken, (), 1 << 62)
        self.write(lambda tx: collect.settle(tx, gone, stayed))

    def count_waste(self) -> None:
        """Bytes that were staged twice in one transaction lie in a pack and have no row."""
        for held in self.objects.held():
            with self.metadata.read() as rows:
                _, alive = rows.one("pack_live_size", pack=held.pack) or (0, 0)
            if held.pack is not None and held.size > alive:
                values = {"number": held.pack, "dead": held.size - alive, "now": 0}
                self.write(lambda tx, values=values: tx.rows.run("pack_waste", **values))  # type: ignore[misc]

    @rule()
    def empty_packs(self) -> None:
        policy = collect.Policy(grace=0, worth=0.0)
        self.objects.seal()
        with self.metadata.read() as rows:
            found = [p for p in collect.packs(rows) if collect.worth_emptying(rows, p, policy, 0)]
        for pack in found:
            assert collect.empty(self.metadata, self.objects, pack.number, self.write)
        for number in self.write(lambda tx: collect.removable(tx, policy, ())):
            self.objects.remove_pack(number)
            self.write(lambda tx, number=number: tx.rows.run("pack_drop", number=number))  # type: ignore[misc]

    @invariant()
    def every_commit_reads_as_ever(self) -> None:
        with self.metadata.read() as rows:
            for num, tree in self.trees.items():
                commit = commits.by_num(rows, num)
                found = {file.path: file for file in files.every(rows, commit)}
                assert found.keys() == tree.keys()
                for path, (data, number) in tree.items():
                    file = found[path]
                    assert (file.object, file.size) == (object_id(data), len(data))
                    assert (file.gone is not None) == ((path, number) in self.dead)
                    if file.gone is not None:
                        with pytest.raises(Gone):
                            retention.refuse_gone(rows, "r", file)
                    else:
                        assert contents.read(rows, self.objects, file.object) == data

    @precondition(lambda self: self.trees)
    @rule()
    def in_the_end_nothing_is_left_but_what_is_named(self) -> None:
        self.drop_dead()
        self.collect(full=True)
        for _ in range(2):
            self.collect(full=False)
            self.empty_packs()
        named = {
            data
            for tree in self.trees.values()
            for path, (data, number) in tree.items()
            if (path, number) not in self.dead
        }
        with self.metadata.read() as rows:
            for data in DATAS:
                known = rows.one("object_size", id=object_id(data)) is not None
                assert known == (data in named)
        assert list(Check(self.metadata, self.objects, True, 1 << 62).faults()) == []
        assert sum(held.size for held in self.objects.held()) == sum(
            len(data) for data in named if len(data) > contents.INLINE_LIMIT
        )


Keeping.TestCase.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
test_keeping_agrees_with_snapshots = Keeping.TestCase
