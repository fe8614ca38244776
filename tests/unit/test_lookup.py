"""The index in which joins and groups look up keys (docs/design/011)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.rig import Rig, pfs, rig

from vedette.metadata.store import MetadataStore, Rows
from vedette.model.glob import compile_glob
from vedette.scheduling import lookup
from vedette.scheduling.running import Leaf
from vedette.versioning import commits, repos
from vedette.versioning.refs import CommitRow


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path) as made:
        made.repo("right")
        yield made


def test_two_who_fill_an_index_at_once_make_one_that_holds_for_both(
    engine: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is interrupted after every page, by the other and by commits that come meanwhile."""
    monkeypatch.setattr(lookup, "_PAGE", 3)
    engine.put("right", {f"/x/{n:02}": b"1" for n in range(20)})
    first = head(engine, "right")
    leaf = leaf_of(engine)

    def step(rows: Rows, made: Iterator[None]) -> bool:
        holder[0] = rows
        return next(made, 1) is None

    holder: list[Rows] = []
    with engine.store.write() as rows:
        holder.append(rows)
        earlier = lookup.advance(lambda: holder[0], leaf, "join", first)
        step(rows, earlier)
    engine.put("right", {"/x/00": None, "/x/19": None, "/x/09b": b"2", "/x/05": b"3"})
    second = head(engine, "right")
    with engine.store.write() as rows:
        holder[0] = rows
        later = lookup.advance(lambda: holder[0], leaf, "join", second)
        for _ in range(2):
            step(rows, later)
        while step(rows, later):  # who began later is ahead
            step(rows, earlier)
        while step(rows, earlier):
            pass
        assert keyed(rows, leaf, first) == {f"/x/{n:02}" for n in range(20)}
        assert keyed(rows, leaf, second) == {*(f"/x/{n:02}" for n in range(1, 19)), "/x/09b"}


def head(engine: Rig, repo: str) -> CommitRow:
    with engine.store.read() as rows:
        return commits.resolve(rows, repo, "master")


def leaf_of(engine: Rig) -> Leaf:
    with engine.store.read() as rows:
        repo = repos.get(rows, "right").id
    glob = compile_glob("/*/(*)")
    return Leaf(0, "right", "right", "right", (repo, "master"), glob, False, {"join": "$1"})


def keyed(rows: Rows, leaf: Leaf, commit: CommitRow) -> set[str]:
    keys = list(lookup.keys(lambda: rows, leaf, "join", commit))
    assert keys == sorted(set(keys))
    found = [lookup.at(lambda: rows, leaf, "join", commit, key, True) for key in keys]
    return {item.path for items in found for item in items}


def test_a_long_key_is_kept_short_and_still_tells_matches_apart() -> None:
    leaf = Leaf(0, "r", "r", "r", (1, "master"), compile_glob("/(*)"), False, {"join": "$1$1"})
    keys = {lookup.key(leaf, "join", f"/{letter * 500}") for letter in "ab"}
    assert len(keys) == 2
    assert all(len(key) < 200 for key in keys)
    assert lookup.key(leaf, "join", "/a") == "=aa"


@pytest.mark.parametrize("kind", ["join", "group"])
def test_d4_d5_keys_are_looked_up_alike_in_both_databases(
    rows: MetadataStore, tmp_path: Path, kind: str
) -> None:
    key = {"join": "join_on", "group": "group_by"}[kind]
    source = {kind: [pfs("left", "/(*)-*", **{key: "$1"}), pfs("right", "/*/(*)", **{key: "$1"})]}
    with rig(tmp_path, rows) as made:
        for name in ("left", "right"):
            made.repo(name)
        made.put("left", {"/a-1": b"1", "/B-1": b"2", "/\u00e9-1": b"3"})
        made.put("right", {"/x/a": b"4", "/x/b": b"5", "/x/\u00e9": b"6"})
        made.pipeline("p", source)
        made.settle()
        made.put("right", {"/x/B": b"7", "/x/a": None})
        made.settle()
        made.put("left", {"/B-1": None, "/a-1": b"8"})
        made.settle()
        alone = {"/a-1", "/x-B", "/x-b"} if kind == "group" else set()
        assert set(made.tree("p")) == {"/\u00e9-1+x-\u00e9"} | alone
