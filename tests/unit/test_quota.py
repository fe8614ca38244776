"""Limits on what repos hold: what would pass them is refused, what goes makes room (ENGINE K)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.keeping import faults, until_nothing_is_left, upkeep
from tests.rig import Rig, pfs, rig

from vedette.cli.sizes import read_bytes
from vedette.metadata.store import MetadataStore
from vedette.model.errors import Invalid, NoSpace, OverQuota
from vedette.model.keeping import Rule
from vedette.model.work import Task
from vedette.versioning import commits, quota, repos, retention, squash


@pytest.fixture
def made(tmp_path: Path, rows: MetadataStore) -> Iterator[Rig]:
    with rig(tmp_path, rows) as found:
        yield found


def limit(made: Rig, repo: str, most: int | None) -> None:
    made.loop.submit(lambda tx: quota.limit(tx, repo, most)).result()


def used(made: Rig, repo: str) -> tuple[int, int]:
    """What a repo has, as it is noted, and as it is counted."""
    with made.store.read() as rows:
        key = repos.get(rows, repo).id
        (_, noted) = rows.one("quota_get", repo=key) or (0, 0)
        return noted, quota.count(rows, key)


def test_a_commit_over_the_limit_of_its_repo_is_refused_whole_and_deleting_goes_on(
    made: Rig,
) -> None:
    made.repo("in")
    made.put("in", {"/a": b"a" * 600})
    limit(made, "in", 1000)
    made.put("in", {"/b": b"b" * 300})
    with pytest.raises(OverQuota, match=r"in would hold 1,101 .* hold 1,000 .*--max-bytes"):
        made.put("in", {"/c": b"c" * 100, "/d": b"d" * 101})
    assert sorted(made.tree("in")) == ["/a", "/b"]
    made.put("in", {"/c": b"c" * 100})
    made.put("in", {"/a": None})
    with pytest.raises(OverQuota):
        made.put("in", {"/e": b"e"})
    assert used(made, "in") == (1000, 1000), "an earlier version takes its room"
    limit(made, "in", None)
    made.put("in", {"/e": b"e" * 5000})
    with pytest.raises(Invalid, match="max_bytes is 0"):
        limit(made, "in", 0)
    assert faults(made) == []


def test_what_retention_or_squashing_takes_away_makes_room(made: Rig) -> None:
    """K1: the rest of a file that was deleted for good takes no room."""
    made.repo("in")
    limit(made, "in", 1000)
    for n in range(5):
        made.put("in", {"/a": b"%d" % n * 200})
    history = made.history("in")
    with pytest.raises(OverQuota):
        made.put("in", {"/a": b"x"})

    def take(identity: str) -> None:
        made.loop.submit(lambda tx: squash.squash_set(tx, identity)).result()

    take(history[1])
    upkeep(made).collect()
    assert used(made, "in") == (800, 800)
    made.put("in", {"/b": b"b" * 200})
    rule = Rule(last=1)
    made.loop.submit(lambda tx: retention.set_rule(tx, repos.get(tx.rows, "in").id, rule)).result()
    until_nothing_is_left(made)
    assert used(made, "in") == (200, 200)
    made.put("in", {"/c": b"c" * 800})


def test_a_job_whose_output_would_pass_the_limit_of_its_repo_fails_with_that_reason(
    made: Rig,
) -> None:
    """The input stays accepted; when there is room, the next job brings what is missing."""

    def grow(task: Task, inputs: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
        ((path, data),) = inputs["in"].items()
        return {path: data * 10}

    made.repo("in")
    made.code["p"] = grow
    made.pipeline("p", pfs("in", "/*"))
    made.put("in", {"/a": b"a" * 50})
    made.settle()
    limit(made, "p", 1000)
    made.put("in", {"/b": b"b" * 51})
    made.settle()
    assert made.jobs("p")[0].state == "FAILURE"
    assert "repo p would hold 1,010 bytes" in made.jobs("p")[0].reason
    assert sorted(made.tree("p")) == ["/a"] and sorted(made.tree("in")) == ["/a", "/b"]
    assert used(made, "p") == (500, 500)
    limit(made, "p", 2000)
    made.put("in", {"/c": b"c"})
    made.settle()
    assert made.jobs("p")[0].state == "SUCCESS"
    assert made.tree("p") == {"/a": b"a" * 500, "/b": b"b" * 510, "/c": b"c" * 10}
    assert used(made, "p") == (1020, 1020)
    assert faults(made) == []


def test_an_open_commit_over_the_limit_cannot_be_finished_until_something_goes(made: Rig) -> None:
    made.repo("in")
    limit(made, "in", 100)
    opened = made.loop.submit(lambda tx: commits.start(tx, "in", "master")).result()
    made.put("in", {"/a": b"a" * 90, "/b": b"b" * 90})

    def finish() -> None:
        made.loop.submit(lambda tx: commits.finish(tx, opened.num)).result()

    with pytest.raises(NoSpace, match="would hold 180"):
        finish()
    made.put("in", {"/b": None})
    finish()
    assert sorted(made.tree("in")) == ["/a"]
    assert used(made, "in") == (90, 90)


def test_sizes_are_typed_with_letters() -> None:
    assert (read_bytes("10G"), read_bytes("512Mi"), read_bytes("none")) == (10**10, 512 << 20, None)
    for wrong in ("0", "lots", "-1", ""):
        with pytest.raises(Invalid, match="--max-bytes"):
            read_bytes(wrong)
