"""Squashing, deleting for good and collecting die at each of their steps (ENGINE C1, K1, K3, P7).

Between two steps nothing of it is under way: a transaction has ended, a file has gone. So to die
there, once for each, is to be killed at every instant that differs on the disk.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.keeping import faults, held, upkeep
from tests.rig import Rig, pfs

from vedette.metadata.sqlite import SqliteStore
from vedette.model.errors import Gone, NotFound
from vedette.model.keeping import Rule
from vedette.objects.local import LocalObjects
from vedette.scheduling.intents import CommitsSquashed, intend
from vedette.versioning import commits, contents, files, repos, retention, squash

SIZES = (100, 20_000, 60_000)
"""In a row, in a pack, in a file of its own."""
_MANY = 10_000
Tree = Mapping[str, bytes]


class KilledError(BaseException):
    """The process is no more."""


class Steps:
    """Counts steps, and dies after the one that it is told; after that every step fails."""

    def __init__(self, made: Rig, last: int) -> None:
        self.count = 0
        self._last = last
        self._wrap(made.loop, "enter", lambda future: future.result())
        for name in ("stage", "seal", "remove_file", "remove_pack"):
            self._wrap(made.objects, name, lambda answer: None)

    def _wrap(self, owner: Any, name: str, done: Callable[[Any], object]) -> None:
        real = getattr(owner, name)

        def step(*values: Any, **named: Any) -> Any:
            if self.count >= self._last:
                raise KilledError
            answer = real(*values, **named)
            done(answer)
            self.count += 1
            return answer

        setattr(owner, name, step)


def opened(folder: Path) -> Rig:
    objects = LocalObjects(folder, packed_limit=50_000, pack_size=200_000)
    return Rig(folder, SqliteStore(folder / "m.sqlite"), objects)


def content(name: str, number: int, size: int) -> bytes:
    return f"{name} {number} ".encode().ljust(size, b".")


def prepare(folder: Path) -> tuple[list[str], dict[tuple[str, str], Tree]]:
    """A repo of three commits, one that shares with it, and a pipeline; what they hold."""
    made = opened(folder)
    made.code["linked"] = lambda task, inputs: next(iter(inputs.values()))
    for repo in ("in", "other", "short"):
        made.repo(repo)
    made.pipeline("linked", pfs("in", "/*"), retain={"last": 1})
    ids = []
    for number in range(3):
        new = {f"/{size}": content("new", number, size) for size in SIZES}
        once = {f"/{number}-{size}": content("once", number, size) for size in SIZES}
        ids.append(made.put("in", {**new, **once}))
        made.put("short", {f"/{number}-{size}": content("short", number, size) for size in SIZES})
    made.put("other", {f"/{size}": content("once", 0, size) for size in SIZES})
    made.settle()
    held: dict[tuple[str, str], Tree] = {
        (repo, commit): made.tree(repo, commit)
        for repo in ("in", "other", "short", "linked")
        for commit in made.history(repo)
    }
    made.close()
    return ids, held


def keep_house(made: Rig, ids: list[str]) -> None:
    """All of it; what has been done by an earlier try is not done again."""

    def squash_middle(tx: Any) -> None:
        try:
            intend(tx, CommitsSquashed(tuple(squash.squash_set(tx, ids[1]))))
        except NotFound:
            return

    made.loop.submit(squash_middle).result()
    made.loop.submit(
        lambda tx: retention.set_rule(tx, repos.get(tx.rows, "short").id, Rule(last=1))
    ).result()
    keeping = upkeep(made)
    for size in SIZES:
        keeping.delete("in", f"/0-{size}", "asked to")
    keeping.collect(full=True)
    keeping.collect()
    keeping.collect()


def read(made: Rig, repo: str, commit: str) -> dict[str, bytes | None]:
    """The files of a commit, None for bytes that are gone."""
    found: dict[str, bytes | None] = {}
    with made.store.read() as rows:
        for file in files.walk(rows, commits.resolve(rows, repo, commit), "/", limit=1000):
            try:
                retention.refuse_gone(rows, repo, file)
                found[file.path] = contents.read(rows, made.objects, file.object)
            except Gone:
                found[file.path] = None
    return found


def may_go(repo: str, path: str) -> bool:
    """Whether the bytes at a path of an older commit are among those that are to go."""
    if repo == "in":
        return path.startswith("/0-")
    return repo in ("short", "linked")


def check(made: Rig, ids: list[str], before: Mapping[tuple[str, str], Tree], end: bool) -> None:
    """Every commit is as it was, but for what was to go; in the end all of that has gone."""
    for (repo, commit), tree in before.items():
        if commit == ids[1]:
            if end:
                with made.store.read() as rows, pytest.raises(NotFound):
                    commits.resolve(rows, repo, commit)
                continue
            if commit not in made.history(repo):
                continue
        found = read(made, repo, commit)
        assert found.keys() == tree.keys()
        for path, data in tree.items():
            if found[path] is None:
                assert may_go(repo, path), f"{repo}@{commit}:{path} is gone"
            else:
                assert found[path] == data
    assert [fault for fault in faults(made) if fault.kind != "left"] == []


@pytest.mark.parametrize("stride", [pytest.param(1, marks=pytest.mark.slow), 15])
def test_whatever_step_of_keeping_house_is_the_last_nothing_else_goes(
    tmp_path: Path, stride: int
) -> None:
    """`stride`: of so many steps one; 1 is all of them."""
    ids, before = prepare(tmp_path / "prepared")
    whole: dict[tuple[str, str], dict[str, bytes | None]] | None = None
    at = _MANY
    while at >= 0:
        folder = tmp_path / f"{at}"
        shutil.copytree(tmp_path / "prepared", folder)
        made = opened(folder)
        steps = Steps(made, at)
        with suppress(KilledError):
            keep_house(made, ids)
        made.close()
        made = opened(folder)
        check(made, ids, before, end=False)
        keep_house(made, ids)
        check(made, ids, before, end=True)
        found = {name: read(made, *name) for name in before if name[1] != ids[1]}
        whole = whole or found
        assert found == whole, "what is left does not depend on where it was broken off"
        assert faults(made) == []
        named = {data for tree in found.values() for data in tree.values() if data is not None}
        assert held(made) == sum(len(data) for data in named if len(data) > 16 * 1024)
        made.close()
        shutil.rmtree(folder)
        assert at < _MANY or steps.count > 40, "there is something to break off"
        at = min(at, steps.count) - stride
