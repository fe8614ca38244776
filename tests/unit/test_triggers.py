"""Branches that follow others by a trigger (ENGINE T6)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.rig import Rig, pfs, rig

from vedette.model.errors import InvalidSpec
from vedette.scheduling import pipelines
from vedette.versioning import branches


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Rig]:
    """A rig with a repo `images`."""
    with rig(tmp_path) as made:
        made.repo("images")
        yield made


def heads(engine: Rig, repo: str = "images") -> dict[str, str]:
    """The heads of a repo's branches."""
    with engine.store.read() as rows:
        return {each.name: each.head or "" for each in branches.listing(rows, repo)}


def put(engine: Rig, *names: str, data: bytes = b"x") -> list[str]:
    """Commit one file after the other, each when all is at rest; the ids."""
    found = []
    for name in names:
        found.append(engine.put("images", {f"/{name}": data}))
        engine.settle()
    return found


def delete(engine: Rig, name: str) -> None:
    """Delete a pipeline."""
    engine.loop.submit(lambda tx: pipelines.delete(tx, name)).result()
    engine.settle()


def following(own: str, **rule: object) -> dict[str, dict[str, object]]:
    """An input of a branch that follows another."""
    return pfs("images", "/*", branch=own, trigger=rule)


def test_t6_a_size_is_what_the_files_grew_by_since_the_branch_moved(engine: Rig) -> None:
    """T6: the files of all the commits are not added up again and again."""
    engine.pipeline("slow", following("some", size="30B"))
    made = put(engine, *"abcdefg", data=b"ten bytes.")
    assert heads(engine)["some"] == made[5]
    assert [job.total for job in reversed(engine.jobs("slow"))] == [3, 6]


def test_t6_so_many_commits_are_counted_along_the_history_of_what_is_followed(engine: Rig) -> None:
    """T6: also of a branch that is only ever moved to commits of another."""
    engine.pipeline("slow", following("some", branch="staging", commits=2))
    made = put(engine, *"abcd")
    engine.move("images", "staging", made[0])
    engine.settle()
    assert not heads(engine)["some"]
    engine.move("images", "staging", made[1])
    engine.settle()
    assert heads(engine)["some"] == made[1]
    engine.move("images", "staging", made[3])
    engine.settle()
    assert heads(engine)["some"] == made[3]


def test_t6_a_branch_follows_one_that_follows_another_at_once(engine: Rig) -> None:
    """T6: whatever the order in which they were made."""
    engine.pipeline("last", following("c", branch="b", commits=1))
    engine.pipeline("first", following("b", branch="master", commits=2))
    made = put(engine, "one", "two")
    assert heads(engine) == {"master": made[1], "b": made[1], "c": made[1]}
    assert [job.total for job in engine.jobs("last")] == [2]


def test_t6_branches_that_follow_each_other_in_a_ring_come_to_rest(engine: Rig) -> None:
    """T6."""
    for name, other in ("ab", "bc", "ca"):
        engine.pipeline(name, following(name, branch=other, commits=1))
    made = put(engine, "one", "two", "three")
    for name, commit in zip("abc", made, strict=True):
        engine.move("images", name, commit)
    engine.settle()
    assert set(heads(engine).values()) <= set(made)


def test_t6_u1_a_version_without_a_trigger_leaves_its_branch_where_it_is(engine: Rig) -> None:
    """T6, U1: also when another branch follows the same one."""
    engine.pipeline("slow", following("some", commits=1))
    made = put(engine, "one")
    engine.pipeline("slow", pfs("images", "/*", branch="some"), update=True)
    engine.pipeline("other", following("else", commits=1))
    newer = put(engine, "two")
    assert heads(engine) == {"master": newer[0], "some": made[0], "else": newer[0]}


def test_t6_u4_a_branch_that_others_read_outlives_the_pipeline_that_moved_it(engine: Rig) -> None:
    """T6, U4: it moves for as long as a pipeline states its rule, and is read after that too."""
    for name in ("one", "same"):
        engine.pipeline(name, following("some", commits=1))
    engine.pipeline("reader", pfs("images", "/*", branch="some"))
    delete(engine, "one")
    made = put(engine, "a")
    assert heads(engine)["some"] == made[0]
    delete(engine, "same")
    put(engine, "b")
    assert heads(engine)["some"] == made[0]
    engine.move("images", "some", "master")
    engine.settle()
    assert [job.total for job in engine.jobs("reader")] == [2, 1]


def test_t6_u4_a_branch_that_was_made_for_a_pipeline_alone_goes_with_it(engine: Rig) -> None:
    """T6, U4."""
    engine.pipeline("slow", pfs("images", "/*", trigger={"commits": 1}))
    assert "slow-trigger-1" in heads(engine)
    delete(engine, "slow")
    assert heads(engine) == {}


def test_u4_a_pipeline_whose_triggered_input_went_by_force_can_be_deleted(engine: Rig) -> None:
    """U4."""
    engine.pipeline("slow", following("some", commits=1))
    engine.loop.submit(lambda tx: branches.delete(tx, "images", "some")).result()
    delete(engine, "slow")
    with engine.store.read() as rows:
        assert pipelines.listing(rows) == []


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (following("some", commits=2), "images@some moves by another rule of pipeline first"),
        (
            {"cross": [
                {"pfs": {**following("new", commits=2)["pfs"], "name": "a"}},
                {"pfs": {**following("new", commits=3)["pfs"], "name": "b"}},
            ]},
            "images@new moves by another rule in this spec",
        ),
        (
            pfs("first", "/*", branch="master", trigger={"branch": "x", "commits": 1}),
            "pipeline first writes first@master, so no trigger may move it",
        ),
    ],
)  # fmt: skip
def test_t6_u6_two_rules_for_one_branch_are_refused(
    engine: Rig, source: dict[str, Any], says: str
) -> None:
    """T6, U6: else the newest would hold for both without a word."""
    engine.pipeline("first", following("some", commits=1))
    with pytest.raises(InvalidSpec, match=says):
        engine.pipeline("second", source)
    engine.pipeline("second", following("some", branch="master", commits=1))


def test_t6_a_new_version_does_not_put_off_the_next_move(engine: Rig) -> None:
    """T6: when a branch last moved is not when its pipeline was last updated."""
    engine.pipeline("slow", following("some", commits=1))
    put(engine, "one")
    with engine.store.read() as rows:
        before = branches.get(rows, "images", "some").moved
    engine.pipeline("slow", following("some", rate="1h"), update=True)
    with engine.store.read() as rows:
        assert branches.get(rows, "images", "some").moved == before
