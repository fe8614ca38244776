"""Keeping and deleting on every engine that holds rows (ENGINE K1 to K3)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from tests.rig import pfs, rig

from vedette.metadata.store import MetadataStore
from vedette.model.files import Write
from vedette.model.ids import object_id
from vedette.model.keeping import Rule
from vedette.objects.local import LocalObjects
from vedette.scheduling import history
from vedette.scheduling.history import Keep
from vedette.versioning import collect, commits, files, repos, retention, squash, usage
from vedette.versioning.check import Check
from vedette.versioning.transaction import Transaction, transact

T = TypeVar("T")
BIG = 20_000


class House:
    """Rows of an engine, and objects on the disk."""

    def __init__(self, rows: MetadataStore, folder: Path) -> None:
        self.rows = rows
        self.objects = LocalObjects(folder)
        self.clock = itertools.count(10**15)
        self.ids = (f"{n:032x}" for n in itertools.count(1))

    def write(self, work: Callable[[Transaction], T]) -> T:
        with transact(
            self.rows, self.objects, lambda: next(self.clock), lambda: next(self.ids)
        ) as tx:
            return work(tx)

    def put(self, repo: str, path: str, data: bytes) -> int:
        asked = [Write(repo=repo, path=path, data=data)]
        return self.write(lambda tx: commits.commit_files(tx, asked)).commits[0].num

    def settle(self) -> None:
        """What the upkeep does, without its grace period."""
        while self.write(squash.drop_dead) or self.write(
            lambda tx: history.forget_jobs(tx, Keep())
        ):
            pass
        taken = self.write(lambda tx: collect.take(tx, tx.now, ()))
        gone, stayed = collect.remove_files(self.objects, taken, (), 1 << 62)
        self.write(lambda tx: collect.settle(tx, gone, stayed))
        self.objects.seal()
        with self.rows.read() as seen:
            dead = [pack.number for pack in collect.packs(seen)]
        for number in dead:
            collect.empty(self.rows, self.objects, number, self.write)
        policy = collect.Policy(grace=0)
        for number in self.write(lambda tx: collect.removable(tx, policy, ())):
            self.objects.remove_pack(number)
            self.write(lambda tx, number=number: tx.rows.run("pack_drop", number=number))  # type: ignore[misc]

    def known(self, *datas: bytes) -> list[bool]:
        with self.rows.read() as seen:
            return [seen.one("object_size", id=object_id(data)) is not None for data in datas]


DATAS = [bytes([n]) * BIG for n in range(3)]


@pytest.fixture
def house(rows: MetadataStore, tmp_path: Path) -> Iterator[House]:
    made = House(rows, tmp_path)
    made.write(lambda tx: repos.create(tx, "one"))
    yield made
    made.objects.close()


def test_each_engine_collects_what_was_squashed_and_deleted(house: House) -> None:
    house.write(lambda tx: repos.create(tx, "two"))
    numbers = [house.put("one", "/a", data) for data in DATAS]
    house.put("two", "/a", b"two" * BIG)
    house.write(lambda tx: squash.squash(tx, commits.by_num(tx.rows, numbers[1])))
    house.write(lambda tx: repos.delete(tx, "two"))
    house.settle()
    assert house.known(*DATAS, b"two" * BIG) == [True, False, True, False]
    with house.rows.read() as seen:
        found = usage.usage(seen, "one")
    assert (found.stored, found.shared, found.objects) == (2 * BIG, 0, 2)
    assert list(Check(house.rows, house.objects, True, 1 << 62).faults()) == []


def test_each_engine_retains_alike(house: House) -> None:
    numbers = [house.put("one", "/a", data) for data in DATAS]
    with house.rows.read() as seen:
        key = repos.get(seen, "one").id
    house.write(lambda tx: retention.set_rule(tx, key, Rule(age=3600.0, last=1)))
    with house.rows.read() as seen:
        assert retention.due(seen, next(house.clock)) == [], "the age keeps all"
    house.write(lambda tx: retention.set_rule(tx, key, Rule(last=1)))
    with house.rows.read() as seen:
        assert [repo for repo, _ in retention.due(seen, next(house.clock))] == [key]
    tombstone = house.write(lambda tx: retention.entomb(tx, "old"))
    while house.write(lambda tx: retention.expire(tx, key, tombstone)):
        pass
    house.settle()
    assert house.known(*DATAS) == [False, False, True]
    with house.rows.read() as seen:
        kept = files.stat(seen, commits.by_num(seen, numbers[0]), "/a")
        assert kept is not None and kept.gone == tombstone
    assert collect.suspect_all(house.rows, house.write) == 0
    assert list(Check(house.rows, house.objects, True, 1 << 62).faults()) == []
    assert house.write(lambda tx: history.forget_results(tx, Keep(), 0)) is None
    assert sum(held.size for held in house.objects.held()) == BIG


def test_m3_each_engine_joins_what_datums_wrote_in_the_order_of_their_paths(
    rows: MetadataStore, tmp_path: Path
) -> None:
    """A directory comes before what lies in it, though other inputs follow it."""
    with rig(tmp_path, rows) as engine:
        engine.repo("left")
        engine.repo("right")
        engine.code["p"] = lambda task, _: {"/one": task.inputs[0].path.encode() + b";"}
        engine.put_all({"left": {"/a/b": b"1", "/a/c": b"1"}, "right": {"/x": b"1"}})
        both = {"union": [pfs("left", "/a", name="one"), pfs("left", "/a/*", name="two")]}
        engine.pipeline("p", {"cross": [both, pfs("right", "/*")]}, output_conflict="concat")
        engine.settle()
        assert engine.tree("p") == {"/one": b"/a;/a/b;/a/c;"}
