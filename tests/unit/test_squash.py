"""Commits are taken out of a history; what somebody needs is refused in one line (K, P7)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.keeping import faults, held, until_nothing_is_left
from tests.rig import Rig, pfs, rig

from vedette.metadata.store import MetadataStore
from vedette.model.errors import Conflict, NotFound
from vedette.model.keeping import Usage
from vedette.scheduling.intents import CommitsSquashed, intend
from vedette.versioning import squash
from vedette.versioning.refs import resolve
from vedette.versioning.usage import usage

BIG = 40_000


@pytest.fixture
def made(tmp_path: Path, rows: MetadataStore) -> Iterator[Rig]:
    with rig(tmp_path, rows) as found:
        yield found


def take_out(made: Rig, repo: str, ref: str, alone: bool = False) -> None:
    made.loop.submit(
        lambda tx: intend(
            tx,
            CommitsSquashed((squash.squash(tx, resolve(tx.rows, repo, ref), alone=alone),)),
        )
    ).result()


def take_out_set(made: Rig, identity: str) -> None:
    made.loop.submit(
        lambda tx: intend(tx, CommitsSquashed(tuple(squash.squash_set(tx, identity))))
    ).result()


def test_a_squashed_set_goes_with_its_jobs_and_the_pipeline_goes_on(made: Rig) -> None:
    made.repo("in")
    made.pipeline("p", pfs("in", "/*"))
    ids = [made.put("in", {"/a": bytes([n]) * BIG}) for n in range(4)]
    made.settle()
    take_out_set(made, ids[1])
    until_nothing_is_left(made)
    assert made.heads("in") == [ids[3], ids[2], ids[0]]
    assert len(made.jobs("p")) == 3
    with made.store.read() as rows:
        assert resolve(rows, "in", "master^2").id == ids[0], "what followed it follows its parent"
    assert faults(made) == []
    with pytest.raises(NotFound):
        take_out_set(made, ids[1])
    ran = len(made.ran)
    made.put("in", {"/b": b"b"})
    made.settle()
    assert len(made.ran) == ran + 1
    assert made.jobs("p")[0].state == "SUCCESS"
    assert made.tree("in", ids[0]) == {"/a": b"\0" * BIG}


def test_what_only_a_squashed_commit_showed_goes_from_the_disk(made: Rig) -> None:
    made.repo("in")
    made.put("in", {"/a": b"1" * BIG, "/b": b"2" * BIG})
    second = made.put("in", {"/a": b"3" * BIG})
    made.put("in", {"/a": b"4" * BIG})
    take_out(made, "in", second)
    assert held(made) == 4 * BIG
    until_nothing_is_left(made)
    assert held(made) == 3 * BIG
    assert made.tree("in") == {"/a": b"4" * BIG, "/b": b"2" * BIG}
    assert faults(made) == []


def test_what_is_needed_is_refused_with_the_way_out(made: Rig) -> None:
    made.repo("in")
    made.pipeline("p", pfs("in", "/*"))
    ids = [made.put("in", {f"/{n}": b"x"}) for n in range(3)]
    made.settle()
    with pytest.raises(Conflict, match=r"is the head of branch master.*create-branch in master"):
        take_out(made, "in", "master")
    with pytest.raises(Conflict, match=f"is followed by {ids[1]}.*squash-commit"):
        take_out(made, "in", ids[0], alone=True)
    made.put("in", {"/bad": b"bad"})
    made.settle()
    with pytest.raises(Conflict, match=r"is needed by job .* of pipeline p, which the next one is"):
        take_out(made, "in", ids[2])
    with pytest.raises(NotFound):
        take_out(made, "in", "0" * 32)
    assert len(made.heads("in")) == 4


def test_usage_tells_what_sharing_saves(made: Rig) -> None:
    """P11: equal bytes are held once, however many files name them."""
    made.repo("in")
    made.repo("other")
    made.put("in", {"/a": b"1" * BIG, "/b": b"1" * BIG, "/c": b"2" * BIG})
    made.put("in", {"/c": b"3" * 100})
    made.put("other", {"/x": b"2" * BIG})
    with made.store.read() as rows:
        found = usage(rows, "in")
    assert found == Usage(
        repo="in", head=2 * BIG + 100, versions=3 * BIG + 100, stored=2 * BIG + 100, shared=BIG,
        objects=3,
    )  # fmt: skip
