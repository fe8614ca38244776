"""Commits made over several transactions: visible whole or not at all (DESIGN 3.4, ENGINE C1)."""

from __future__ import annotations

import pytest
from tests.world import World

from vedette.metadata.store import MetadataStore, Row
from vedette.versioning import commits, contents, diff, drafts, files

PIPELINE, JOB = 7, 70


@pytest.fixture
def world(rows: MetadataStore, monkeypatch: pytest.MonkeyPatch) -> World:
    """An output repo with some files, and pages of two rows."""
    monkeypatch.setattr(drafts, "_PAGE", 2)
    world = World(rows)
    world.job(*((f"/old/{n}", b"%d" % n, n) for n in range(6)))
    return world


def everything(world: World) -> tuple[list[Row], ...]:
    """What the tables hold that a draft touches."""
    with world.metadata.read() as rows:
        lines = rows.all("line_get", line=1), rows.all("drafts_open", after=0)
        low, high = "", "\U0010ffff"
        live = rows.all("live_page", line=1, after=low, high=high, limit=100)
        past = rows.all("past_page_by_path", line=1, seq=1, after=low, high=high, limit=100)
        return (*lines, live, past)


def draw(world: World) -> tuple[commits.CommitRow, object]:
    """A draft over several transactions: three files replaced, two deleted, three new."""
    with world.tx() as tx:
        row = commits.start(tx, "out", "master", origin="auto")
        edit = commits.edit(tx, "out", "master")
        drafts.begin(tx.rows, edit, PIPELINE, JOB, whole=True)
        for n in (3, 4):
            edit.delete(f"/old/{n}")
    for name in ("/old/0", "/old/1", "/old/2", "/new/0", "/new/1", "/new/2"):
        with world.tx() as tx:
            edit.go_on(tx)
            edit.put(name, contents.store(tx, b"draft"), 5, datum=99)
    return row, edit


OLD = [f"/old/{n}" for n in range(6)]
NEW = [f"/new/{n}" for n in range(3)] + ["/old/0", "/old/1", "/old/2", "/old/5"]


def test_nobody_sees_a_draft(world: World) -> None:
    with world.metadata.read() as rows:
        head = commits.resolve(rows, "out", "master")
    draw(world)
    with world.metadata.read() as rows:
        assert commits.resolve(rows, "out", "master") == head
        assert [file.path for file in files.every(rows, head)] == OLD
        assert [file.path for file in files.list_files(rows, head, "/old")] == OLD
        assert files.list_files(rows, head, "/")[0].size == 6
        assert files.stat(rows, head, "/new/0") is None
        found = files.stat(rows, head, "/old/3")
        assert found is not None
        assert contents.read(rows, world.objects, found.object) == b"3"
        assert [change.path for change in diff.changes(rows, None, head)] == OLD


def test_a_draft_that_is_sealed_is_seen_whole(world: World) -> None:
    row, edit = draw(world)
    with world.tx() as tx:
        edit.go_on(tx)  # type: ignore[attr-defined]
        commits.seal(tx, edit, row)  # type: ignore[arg-type]
        tx.rows.run("draft_place", pipeline=PIPELINE)
    with world.metadata.read() as rows:
        before, head = (commits.resolve(rows, "out", ref) for ref in ("master^", "master"))
        assert [file.path for file in files.every(rows, head)] == NEW
        assert [file.path for file in files.every(rows, before)] == OLD
        assert head.files == len(NEW)
        changed = {change.path for change in diff.changes(rows, before, head)}
        assert changed == {*NEW, "/old/3", "/old/4"} - {"/old/5"}
        assert drafts.of(rows, PIPELINE) == drafts.Draft(JOB, 1, 2, whole=True, placed=True)
    drafts.undo_all(world.metadata)
    assert world.paths(head) == NEW


@pytest.mark.parametrize("at_once", [True, False])
def test_a_draft_that_is_undone_leaves_no_trace(world: World, *, at_once: bool) -> None:
    before = everything(world)
    draw(world)
    assert everything(world) != before
    if at_once:
        with world.tx() as tx:
            drafts.undo(tx.rows, PIPELINE)
    else:
        drafts.undo_all(world.metadata)
    assert everything(world) == before


def test_the_first_commit_of_a_branch_may_be_a_draft(world: World) -> None:
    with world.tx() as tx:
        edit = commits.edit(tx, "out", "other")
        drafts.begin(tx.rows, edit, PIPELINE, JOB, whole=True)
        edit.put("/a", contents.store(tx, b"a"), 1, datum=1)
        line = edit.line
    drafts.undo_all(world.metadata)
    with world.metadata.read() as rows:
        assert rows.one("line_get", line=line) is None
        assert rows.one("live_get", line=line, path="/a") is None
        assert drafts.of(rows, PIPELINE) is None


def test_a_commit_beside_an_abandoned_draft_takes_a_line_of_its_own(world: World) -> None:
    """Its files are right before the draft is undone and after."""
    draw(world)
    world.job(("/more", b"m", 50))
    with world.metadata.read() as rows:
        head = commits.resolve(rows, "out", "master")
    assert world.paths(head) == ["/more", *OLD]
    drafts.undo_all(world.metadata)
    assert world.paths(head) == ["/more", *OLD]
