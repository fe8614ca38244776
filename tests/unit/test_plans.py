"""What is told before it is done: how many datums run, how many are skipped, and why (U1)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.rig import Rig, path_of, pfs, rig

from vedette.scheduling import forecast, life, pipelines, plans


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path) as made:
        made.repo("images")
        made.repo("model")
        yield made


def document(source: dict[str, Any], **fields: Any) -> dict[str, Any]:
    transform = {"image": fields.pop("image", "x"), "cmd": ["x"]}
    return {"pipeline": {"name": "one"}, "input": source, "transform": transform, **fields}


def told(engine: Rig, source: dict[str, Any], update: bool = True, **fields: Any) -> str:
    """What the plan says after the name of the pipeline."""
    reprocess = fields.pop("reprocess", False)
    with engine.store.read() as rows:
        said = plans.plan(rows, document(source, **fields), update=update, reprocess=reprocess)
    return said.split(": ", 1)[1]


def both(**fields: Any) -> dict[str, Any]:
    return {"cross": [pfs("images", "/*"), pfs("model", "/*", **fields)]}


def test_u1_creating_says_how_many_datums_there_are(engine: Rig) -> None:
    assert told(engine, both(), update=False) == (
        "no job runs until there is a commit in images, model"
    )
    engine.put("images", {"/a": b"1", "/b": b"2", "/c": b"3"})
    engine.put("model", {"/m": b"1"})
    assert told(engine, both(), update=False) == "3 run because it is new, 0 skipped"


def check(engine: Rig, source: dict[str, Any], **fields: Any) -> str:
    """The plan of an update; that the job then does just this."""
    said = told(engine, source, **fields)
    before = len(engine.ran)
    given = document(source, **fields)
    engine.loop.submit(lambda tx: pipelines.create(tx, given, update=True)).result()
    engine.settle()
    newest = engine.jobs("one")[0]
    assert said.startswith(f"{len(engine.ran) - before} run")
    assert f"{newest.skipped} skipped" in said
    assert newest.processed == len(engine.ran) - before
    return said


def test_u1_an_update_says_what_runs_and_why_and_then_does_that(engine: Rig) -> None:
    engine.put("images", {f"/{n}": b"x" for n in range(5)})
    engine.put("model", {"/m": b"1"})
    engine.pipeline("one", both())
    engine.settle()
    assert check(engine, both()) == "0 run, 5 skipped"
    assert check(engine, {"cross": [pfs("images", "/[0-3]"), pfs("model", "/*")]}) == (
        "0 run, 4 skipped"
    )
    assert check(engine, both()) == "0 run, 5 skipped"
    assert check(engine, {"cross": [pfs("images", "/*", name="pictures"), pfs("model", "/*")]}) == (
        "5 run because they are new, 0 skipped"
    )


def test_u1_what_changed_while_a_pipeline_was_stopped_is_named(engine: Rig) -> None:
    engine.put("images", {f"/{n}": b"x" for n in range(5)})
    engine.put("model", {"/m": b"1"})
    engine.pipeline("one", both())
    engine.settle()
    engine.loop.submit(lambda tx: life.stop(tx, "one")).result()
    engine.put("images", {"/0": b"y", "/new": b"z"})
    assert told(engine, both()) == (
        "once it is started, 2 run (1 because images changed, 1 because they are new), 4 skipped"
    )
    engine.put("model", {"/m": b"2"})
    assert told(engine, both()) == (
        "once it is started, 6 run (4 because model changed, 1 because images and model changed, "
        "1 because they are new), 0 skipped"
    )
    assert told(engine, both(reference=True)).startswith(
        "once it is started, 6 run (4 because the spec changed, 1 because images changed, "
    )


def test_u1_what_failed_runs_again(engine: Rig) -> None:
    engine.put("images", {"/a": b"1", "/b": b"bad"})
    engine.pipeline("one", pfs("images", "/*"), on_datum_failure="datum")
    engine.settle()
    assert told(engine, pfs("images", "/*"), on_datum_failure="datum") == (
        "1 run because they failed before, 1 skipped"
    )


def test_u1_code_counts_where_the_spec_asks(engine: Rig) -> None:
    engine.put("images", {"/a": b"1", "/b": b"2"})
    first, given = (document(pfs("images", "/*"), image=image) for image in ("x:1", "x:2"))
    for each in (first, given):
        each["reprocess"] = "on_code_change"
    engine.loop.submit(lambda tx: pipelines.create(tx, first)).result()
    engine.settle()
    with engine.store.read() as rows:
        said = plans.plan(rows, given, update=True)
    assert said.endswith("2 run because the spec changed, 0 skipped")


def test_u1_reprocess_says_how_long_live_work_waits(engine: Rig) -> None:
    engine.put("images", {"/a": b"1", "/b": b"2"})
    engine.pipeline("one", pfs("images", "/*"))
    engine.settle()
    assert told(engine, pfs("images", "/*"), reprocess=True) == (
        "2 run because nothing of before counts as done, 0 skipped; "
        "live work waits for about 0 ms of work"
    )


def test_u1_joins_groups_and_directories_are_counted_too(engine: Rig) -> None:
    engine.put("images", {"/a.jpg": b"1", "/b.jpg": b"2", "/d/x": b"3"})
    engine.put("model", {"/a.txt": b"1", "/c.txt": b"2"})
    join = {
        "join": [
            pfs("images", "/(*).jpg", join_on="$1"),
            pfs("model", "/(*).txt", join_on="$1", outer_join=True),
        ]
    }
    assert told(engine, join, update=False) == "2 run because it is new, 0 skipped"
    engine.pipeline("one", join)
    engine.settle()
    assert told(engine, join) == "0 run, 2 skipped"
    group = {
        "group": [
            pfs("images", "/(*).jpg", group_by="$1"), pfs("model", "/(*).txt", group_by="$1")
        ]
    }  # fmt: skip
    assert check(engine, group) == "1 run because they are new, 2 skipped"
    assert check(engine, pfs("images", "/*")) == "2 run because they are new, 1 skipped"
    assert told(engine, pfs("images", "/*")) == "0 run, 3 skipped"
    assert told(engine, pfs("images", "/")) == "1 run because they are new, 0 skipped"


def test_u1_a_plan_looks_at_so_many_datums_and_says_so(
    engine: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "LIMIT", 70)
    monkeypatch.setattr(forecast, "EXPLAINED", 5)
    engine.put("images", {f"/{n}": b"x" for n in range(71)})
    assert told(engine, pfs("images", "/*"), update=False) == (
        "70 run because it is new, 0 skipped of the first 70 datums, and there are more"
    )
    engine.code["one"] = lambda task, _: {path_of(task): b""}
    engine.pipeline("one", pfs("images", "/*"))
    engine.settle()
    assert told(engine, pfs("images", "/*", name="other")).startswith(
        "70 run (5 because they are new, 65 more), 0 skipped"
    )


def test_u1_a_plan_takes_so_long_and_says_how_far_it_came(
    engine: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock moves on with each look at it; leaves with keys are sorted before any datum."""
    ticks = count()
    monkeypatch.setattr(forecast.forecast, "__kwdefaults__", {
        "fresh": False, "clock": lambda: float(next(ticks)),
    })  # fmt: skip
    monkeypatch.setattr(forecast, "SECONDS", 5.0)
    engine.put("images", {f"/{n:03}": b"x" for n in range(300)})
    engine.put("model", {f"/{n:03}": b"x" for n in range(300)})
    said = told(engine, pfs("images", "/*"), update=False)
    assert said == "64 run because it is new, 0 skipped of the first 64 datums, and there are more"
    join = {"join": [pfs(repo, "/(*)", join_on="$1") for repo in ("images", "model")]}
    assert told(engine, join, update=False) == "how many run was not to be found within 5 s"


def test_t6_a_plan_for_a_triggered_input_counts_what_it_will_follow(engine: Rig) -> None:
    engine.put("images", {"/a": b"1", "/b": b"2"})
    source = pfs("images", "/*", trigger={"commits": 2})
    assert told(engine, source, update=False) == "2 run because it is new, 0 skipped"


JOINED = {"join": [pfs("images", "/(*)-*", join_on="$1"), pfs("model", "/(*)", join_on="$1")]}


def test_u1_the_plan_of_a_join_counts_its_pairs_and_what_changes_among_them(engine: Rig) -> None:
    """D4: only keys that both sides have; the job then does what was told."""
    engine.put("images", {"/a-1": b"1", "/a-2": b"2", "/b-1": b"3", "/c-1": b"4"})
    engine.put("model", {"/a": b"1", "/b": b"2", "/d": b"3"})
    assert told(engine, JOINED, update=False) == "3 run because it is new, 0 skipped"
    engine.pipeline("one", JOINED)
    engine.settle()
    assert told(engine, JOINED).startswith("0 run, 3 skipped")
    check(engine, JOINED, image="another")
    assert len(engine.ran) == 3
    engine.put("model", {"/c": b"4"})
    engine.settle()
    assert told(engine, JOINED).startswith("0 run, 4 skipped")


def test_u1_an_outer_side_and_a_group_are_planned_as_they_will_be_formed(engine: Rig) -> None:
    """D4, D5: who is alone counts on the outer side, and a group is one datum a key."""
    engine.put("images", {"/a-1": b"1", "/a-2": b"2", "/b-1": b"3"})
    engine.put("model", {"/a": b"1", "/c": b"2"})
    left, right = JOINED["join"]
    outer = {"join": [{"pfs": {**left["pfs"], "outer_join": True}}, right]}
    assert told(engine, outer, update=False) == "3 run because it is new, 0 skipped"
    sides = (("images", "/(*)-*"), ("model", "/(*)"))
    grouped = {"group": [pfs(repo, glob, group_by="$1") for repo, glob in sides]}
    assert told(engine, grouped, update=False) == "3 run because it is new, 0 skipped"
    engine.pipeline("one", JOINED)
    engine.settle()
    assert len(engine.ran) == 2
    check(engine, outer)
    check(engine, grouped)
