"""A plan that was told is not made again for the act that follows (ENGINE U1)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.rig import pfs
from tests.serving import asking, site

from vedette.scheduling import life, plans
from vedette.server.plan_cache import FRESH, ROOM, PlanCache


def test_a_plan_is_taken_once_and_by_the_same_act_only() -> None:
    told = PlanCache()
    assert told.keep(("create", {"a": 1, "b": 2}, True), "3 run") == "3 run"
    assert told.take(("create", {"a": 1, "b": 2}, False)) == ""
    assert told.take(("create", {"b": 2, "a": 1}, True)) == "3 run"
    assert told.take(("create", {"a": 1, "b": 2}, True)) == ""


def test_a_plan_is_forgotten_after_a_minute_and_where_there_are_many() -> None:
    now = [0.0]
    told = PlanCache(lambda: now[0])
    told.keep("old", "1 run")
    now[0] = FRESH
    assert told.take("old") == ""
    for number in range(ROOM + 1):
        told.keep(number, f"{number} run")
    assert told.take(0) == ""
    assert told.take(1) == "1 run"
    assert len(told._plans) == ROOM - 1


def test_u1_who_asks_first_and_then_acts_waits_for_one_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked again is counted again; so is what was never asked."""
    counted: list[str] = []
    for module in (plans, life):
        plain = module.forecast

        def noted(*args: object, _plain: object = plain, **words: object) -> object:
            counted.append("")
            return _plain(*args, **words)  # type: ignore[operator]

        monkeypatch.setattr(module, "forecast", noted)
    spec = {
        "pipeline": {"name": "p"}, "input": pfs("images", "/*"),
        "transform": {"image": "x", "cmd": ["x"]},
    }  # fmt: skip
    with site(tmp_path) as parts:
        client = asking(parts)
        assert client.post("/v1/repos", json={"name": "images"}).is_success
        assert client.put("/v1/repos/images/branches/master/files/a", content=b"1").is_success

        def act(path: str, document: object = None) -> str:
            answer = client.post(path, json=document)
            assert answer.is_success, answer.text
            return str(answer.json()["plan"])

        plan = act("/v1/pipelines?dry_run", spec)
        assert plan == act("/v1/pipelines?dry_run", spec)
        assert len(counted) == 2
        assert plan == act("/v1/pipelines", spec)
        assert len(counted) == 2
        act("/v1/pipelines?update", spec)
        assert len(counted) == 3
        for query in ("all", "all&branch=side"):
            before = len(counted)
            plan = act(f"/v1/pipelines/p/rerun?{query}&dry_run")
            assert plan == act(f"/v1/pipelines/p/rerun?{query}")
            assert len(counted) == before + 1
