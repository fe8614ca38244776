"""The datums of a pipeline that does not exist yet (ENGINE D9)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.rig import Rig, pfs, rig

from vedette.model.errors import Invalid, NotFound
from vedette.model.job import DatumPreview
from vedette.scheduling import preview


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path) as made:
        for name in ("left", "right"):
            made.repo(name)
        made.put("left", {"/a-1": b"1", "/a-2": b"2", "/b-1": b"3", "/d/x": b"1"})
        made.put("right", {"/x/a": b"5", "/y/a": b"6", "/x/c": b"7"})
        yield made


def shown(engine: Rig, tree: dict[str, Any], name: str = "p", **page: int) -> DatumPreview:
    document = {"pipeline": {"name": name}, "input": tree, "transform": {"cmd": ["x"]}}
    with engine.store.read() as rows:
        return preview.show(rows, document, **page)


def paths(found: DatumPreview) -> list[str]:
    return ["+".join(f"{f.name}{f.path}" for f in datum.inputs) for datum in found.datums]


JOINED = {
    "join": [pfs("left", "/(*)-*", join_on="$1"), pfs("right", "/*/(*)", join_on="$1")]
}  # fmt: skip
GROUPED = {
    "group": [pfs("left", "/(*)-*", group_by="$1"), pfs("right", "/*/(*)", group_by="$1")]
}  # fmt: skip


def test_d9_a_join_and_a_group_are_shown_before_they_exist(engine: Rig) -> None:
    found = shown(engine, JOINED)
    assert sorted(paths(found)) == [
        "left/a-1+right/x/a", "left/a-1+right/y/a", "left/a-2+right/x/a", "left/a-2+right/y/a",
    ]  # fmt: skip
    assert found.total == 4
    assert {datum.state for datum in found.datums} == {"QUEUED"}
    assert sorted(paths(shown(engine, GROUPED))) == [
        "left/a-1+left/a-2+right/x/a+right/y/a", "left/b-1", "right/x/c",
    ]  # fmt: skip


@pytest.mark.parametrize("tree", [JOINED, GROUPED, pfs("left", "/*")], ids=["join", "group", "pfs"])
def test_d9_what_is_shown_is_what_the_pipeline_then_has(engine: Rig, tree: dict[str, Any]) -> None:
    before = shown(engine, tree)
    engine.pipeline("p", tree)
    engine.settle()
    after = shown(engine, tree)
    assert [datum.id for datum in before.datums] == [datum.id for datum in after.datums]
    assert {datum.state for datum in after.datums} == {"SKIPPED"}
    assert engine.jobs("p")[0].total == before.total
    engine.put("left", {"/a-1": b"9"})
    engine.settle()
    assert {datum.state for datum in shown(engine, tree).datums} == {"SKIPPED"}
    assert {datum.state for datum in shown(engine, tree, "q").datums} == {"QUEUED"}


def test_d9_a_preview_is_paged(engine: Rig) -> None:
    tree = {"cross": [pfs("left", "/*"), pfs("right", "/*")]}
    whole = shown(engine, tree)
    assert whole.total == 8
    pages = [shown(engine, tree, after=at, limit=3) for at in (0, 3, 6, 9)]
    assert [datum for page in pages for datum in page.datums] == list(whole.datums)
    assert [len(page.datums) for page in pages] == [3, 3, 2, 0]
    with pytest.raises(Invalid, match="narrower glob"):
        shown(engine, tree, after=preview.DEEPEST + 1)


def test_d2_a_datum_that_two_children_of_a_union_give_is_shown_once(engine: Rig) -> None:
    found = shown(engine, {"union": [pfs("left", "/*"), pfs("left", "/a-*")]})
    assert found.total == 4
    assert sorted(paths(found)) == ["left/a-1", "left/a-2", "left/b-1", "left/d"]


def test_t1_a_branch_without_a_commit_is_waited_for(engine: Rig) -> None:
    engine.repo("empty")
    found = shown(engine, {"cross": [pfs("left", "/*"), pfs("empty", "/")]})
    assert (found.total, found.datums, found.waiting) == (0, (), ("empty",))
    with pytest.raises(NotFound, match="missing"):
        shown(engine, pfs("missing", "/"))


def test_d5_a_page_of_large_groups_ends_early(engine: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "_MATCHES", 3)
    first = shown(engine, GROUPED)
    assert (first.total, len(first.datums)) == (3, 1)
    assert len(shown(engine, GROUPED, after=1).datums) == 2
