"""Clocks: when they tick, and what a tick does (ENGINE D6, T6)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rig import Rig, pfs, rig

from vedette.decide.cron import following, missed
from vedette.decide.trigger import Facts, Move, Nothing, Wait, decide
from vedette.model.errors import Conflict, Invalid, InvalidSpec
from vedette.model.inputs import Trigger
from vedette.model.schedule import parse_schedule
from vedette.scheduling import clocks, pipelines

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path) as made:
        made.repo("images")
        yield made


def cron(spec: str = "@yearly", **fields: Any) -> dict[str, Any]:
    return {"cron": {"name": "tick", "spec": spec, **fields}}


def ago(**parts: float) -> str:
    return (datetime.now(UTC) - timedelta(**parts)).isoformat()


def times(spec: str, after: str, until: str) -> list[str]:
    schedule = parse_schedule(spec)
    found, _ = missed(schedule, datetime.fromisoformat(after), datetime.fromisoformat(until), 99)
    return [tick.isoformat()[:16] for tick in found]


@pytest.mark.parametrize(
    ("spec", "after", "tick"),
    [
        ("*/15 * * * *", "2026-11-21T12:00:00Z", "2026-11-21T12:15"),
        ("@hourly", "2026-11-21T12:00:01Z", "2026-11-21T13:00"),
        ("@daily", "2026-11-21T12:00:00Z", "2026-11-22T00:00"),
        ("@weekly", "2026-11-21T12:00:00Z", "2026-11-22T00:00"),
        ("@monthly", "2026-11-21T12:00:00Z", "2026-12-01T00:00"),
        ("@yearly", "2026-11-21T12:00:00Z", "2027-01-01T00:00"),
        ("0 0 29 2 *", "2026-11-21T12:00:00Z", "2028-02-29T00:00"),
        ("30 6 * * mon-fri", "2026-11-21T12:00:00Z", "2026-11-23T06:30"),
        ("CRON_TZ=Asia/Tokyo 0 9 * * *", "2026-11-21T12:00:00Z", "2026-11-22T00:00"),
        ("TZ=America/New_York 0 12 * * *", "2026-11-21T12:00:00Z", "2026-11-21T17:00"),
        ("@every 1m30s", "2026-11-21T12:00:00Z", "2026-11-21T12:01"),
    ],
)
def test_d6_a_schedule_says_when_the_next_tick_comes(spec: str, after: str, tick: str) -> None:
    found = following(parse_schedule(spec), datetime.fromisoformat(after))
    assert found is not None
    assert found.isoformat()[:16] == tick


def test_d6_a_daily_tick_comes_once_when_clocks_are_put_forward_and_back() -> None:
    spec = "CRON_TZ=Europe/Berlin 30 2 * * *"
    assert times(spec, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z") == [
        "2026-03-29T01:00",  # 02:30 does not exist: 03:00 in Berlin
        "2026-03-30T00:30",
    ]
    assert times(spec, "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z") == [
        "2026-10-25T00:30",  # the first of the two 02:30
        "2026-10-26T01:30",
    ]


def test_d6_an_hourly_tick_misses_and_doubles_nothing_when_clocks_change() -> None:
    for after in ("2026-03-28T22:40:00+00:00", "2026-10-24T22:40:00+00:00"):
        begin = datetime.fromisoformat(after)
        found = times("CRON_TZ=Europe/Berlin 30 * * * *", after, str(begin + timedelta(hours=5)))
        hours = [begin + timedelta(hours=n, minutes=50) for n in range(5)]
        assert found == [hour.isoformat()[:16] for hour in hours]


@given(
    st.sampled_from(["* * * * *", "@every 7s", "CRON_TZ=Europe/Berlin 30 2 * * *", "0 */5 1 * *"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
    st.integers(1, 5),
    st.integers(1, 40),
)
def test_d6_ticks_asked_for_in_pieces_are_the_same_ticks(
    spec: str, begin: datetime, piece: int, count: int
) -> None:
    schedule, last = parse_schedule(spec), begin.replace(tzinfo=UTC)
    far = datetime(2100, 1, 1, tzinfo=UTC)
    whole, _ = missed(schedule, last, far, count)
    parts: list[datetime] = []
    while len(parts) < count:
        found, upcoming = missed(schedule, last, far, min(piece, count - len(parts)))
        parts += found
        last = found[-1]
        assert upcoming is not None and upcoming > last
    assert parts == whole == sorted(set(whole))


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("* * * *", "has 4 fields"),
        ("* * * * * *", "has 6 fields"),
        ("61 * * * *", "Bad minute"),
        ("0 0 30 2 *", "Bad day-of-month"),
        ("@fortnightly", "is not one of @yearly"),
        ("@every 500ms", "whole seconds"),
        ("@every", "whole seconds"),
        ("TZ=Mars/Base * * * * *", "time zone 'Mars/Base' is not known"),
        ("TZ=../../etc/passwd * * * * *", "is not known"),
        ("* " * 500, "at most 200"),
    ],
)
def test_d6_u6_a_schedule_that_cannot_be_is_refused(spec: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        parse_schedule(spec)


def test_u6_a_spec_with_a_wrong_clock_names_the_field(engine: Rig) -> None:
    with pytest.raises(InvalidSpec, match=r"input.cron.spec: schedule 'often' has 1 fields"):
        engine.pipeline("one", cron("often"))
    with pytest.raises(InvalidSpec, match=r"input.cron.start: 'noon' is not a time"):
        engine.pipeline("one", cron("@daily", start="noon"))
    with pytest.raises(InvalidSpec, match=r"trigger.cron_spec: schedule 'x'"):
        engine.pipeline("one", pfs("images", "/", trigger={"cron_spec": "x"}))


def test_d6_missed_ticks_since_start_come_one_by_one_and_each_is_a_datum(engine: Rig) -> None:
    engine.pipeline("one", cron("@every 1h", start=ago(hours=90, minutes=30)))
    engine.settle()
    ticks = sorted(engine.tree("one_tick"))
    assert len(ticks) == 90
    begun = [datetime.fromisoformat(tick[1:]) for tick in ticks]
    assert {b - a for a, b in pairwise(begun)} == {timedelta(hours=1)}
    assert all(tick.endswith("Z") for tick in ticks)
    assert len(engine.heads("one_tick")) == 90
    assert [job.total for job in reversed(engine.jobs("one"))] == [*range(1, 91)]
    assert len(engine.ran) == 90


def test_d6_ticks_wait_for_the_jobs_that_they_cause(
    engine: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "PER_ROUND", 5)
    monkeypatch.setattr(clocks, "BACKLOG", 10)
    most = 0

    def count(task: Any, _: Any) -> dict[str, bytes]:
        nonlocal most
        most = max(most, len(engine.loop._memory.pipelines["one"].jobs))
        return {}

    engine.code["one"] = count
    engine.pipeline("one", cron("@every 1h", start=ago(hours=60, minutes=30)))
    engine.settle()
    assert len(engine.jobs("one")) == 60
    assert most < 15


def test_d6_each_tick_is_made_once_over_restarts(engine: Rig) -> None:
    engine.pipeline("one", cron("@every 1h", start=ago(hours=10, minutes=30)))
    engine.settle()
    engine.end()
    engine.begin()
    engine.put("images", {"/a": b"1"})
    engine.settle()
    assert len(engine.heads("one_tick")) == 10
    engine.pipeline("one", cron("@every 1h", start=ago(hours=20)), update=True)
    engine.settle()
    assert len(engine.heads("one_tick")) == 10


def test_d6_with_overwrite_there_is_one_file_and_a_tick_replaces_it(engine: Rig) -> None:
    engine.pipeline("one", cron("@every 1h", start=ago(hours=5, minutes=30), overwrite=True))
    engine.settle()
    assert len(engine.heads("one_tick")) == 5
    assert len(engine.tree("one_tick")) == 1
    assert len(engine.tree("one")) == 1
    assert engine.jobs("one")[0].total == 1


def test_d6_run_cron_ticks_by_hand_also_twice_in_one_second(engine: Rig) -> None:
    engine.pipeline("one", {"cross": [cron(), pfs("images", "/*")]})
    engine.put("images", {"/a": b"1"})

    def by_hand(name: str) -> list[str]:
        return engine.loop.submit(
            lambda tx: [t.path for t in clocks.by_hand(tx, pipelines.spec_of(tx.rows, name))]
        ).result()

    made = [*by_hand("one"), *by_hand("one"), *by_hand("one")]
    engine.settle()
    assert sorted(engine.tree("one_tick")) == sorted(set(made))
    assert len(made) == 3
    assert engine.jobs("one")[0].total == 3
    engine.pipeline("two", pfs("images", "/*"))
    with pytest.raises(Invalid, match="no cron input"):
        by_hand("two")


def test_d6_an_open_commit_in_the_repo_of_ticks_stops_nothing_else(
    engine: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "RETRY", 10_000)
    from vedette.versioning import commits

    engine.repo("beat")
    opened = engine.loop.submit(lambda tx: commits.start(tx, "beat", "master")).result()
    engine.pipeline("one", cron("@every 1h", start=ago(hours=2, minutes=30), repo="beat"))
    engine.pipeline("two", pfs("images", "/*"))
    engine.put("images", {"/a": b"1"})
    engine.settle()
    assert (len(engine.jobs("one")), len(engine.jobs("two"))) == (0, 1)
    engine.loop.submit(lambda tx: commits.finish(tx, opened.num)).result()
    engine.wait_for(lambda: len(engine.heads("beat")) == 3)
    engine.settle()
    assert len(engine.tree("beat")) == 2


def test_u4_the_repo_of_ticks_goes_with_its_pipeline_unless_another_reads_it(engine: Rig) -> None:
    engine.pipeline("one", cron("@every 1h", start=ago(hours=1, minutes=30)))
    engine.pipeline("two", pfs("one_tick", "/*"))
    engine.settle()
    assert len(engine.tree("two")) == 1
    with pytest.raises(Conflict, match="two"):
        engine.loop.submit(lambda tx: pipelines.delete(tx, "one")).result()
    with pytest.raises(Conflict, match="ticks of pipeline one"):
        engine.pipeline("three", cron("@daily", repo="one_tick"))
    engine.loop.submit(lambda tx: pipelines.delete(tx, "two")).result()
    engine.loop.submit(lambda tx: pipelines.delete(tx, "one")).result()
    engine.repo("one_tick")
    engine.put("images", {"/a": b"1"})
    assert engine.tree("one_tick") == {}


def test_t6_a_branch_that_follows_by_the_clock_moves_at_its_times(engine: Rig) -> None:
    rule = {"cron_spec": "@every 1s"}
    engine.pipeline("slow", pfs("images", "/", trigger=rule))
    names = [engine.put("images", {f"/{n}": b"x"}) for n in range(6)]
    engine.wait_for(lambda: engine.heads("slow")[:1] == names[-1:])
    engine.settle()
    read = [job.inputs[0].commit for job in reversed(engine.jobs("slow"))]
    assert (read[0], read[-1]) == (names[0], names[-1])
    assert read == [name for name in names if name in read], "in order, each once"
    assert engine.tree("slow")["/all"].count(b"=x") == 6


def test_t6_a_rate_limit_comes_on_top_of_the_other_conditions(engine: Rig) -> None:
    rule = {"commits": 2, "rate_limit_spec": "@yearly"}
    engine.pipeline("slow", pfs("images", "/", trigger=rule))
    for n in range(7):
        engine.put("images", {f"/{n}": b"x"})
    engine.settle()
    assert [job.state for job in engine.jobs("slow")] == ["SUCCESS"]
    assert engine.tree("slow")["/all"].count(b"=x") == 2


@pytest.mark.parametrize(
    ("trigger", "facts", "answer"),
    [
        (Trigger(rate_limit_spec="x"), Facts(now=NOW, commits=1), Move()),
        (
            Trigger(rate_limit_spec="x"),
            Facts(now=NOW, commits=1, limit=NOW + timedelta(1)),
            Wait(NOW + timedelta(1)),
        ),
        (Trigger(rate_limit_spec="x"), Facts(now=NOW, commits=1, limit=NOW), Move()),
        (
            Trigger(commits=2, rate_limit_spec="x"),
            Facts(now=NOW, commits=1, limit=NOW + timedelta(1)),
            Nothing(),
        ),
        (
            Trigger(cron_spec="x", rate_limit_spec="x"),
            Facts(now=NOW, commits=1, tick=NOW + timedelta(2), limit=NOW + timedelta(1)),
            Wait(NOW + timedelta(2)),
        ),
    ],
)
def test_t6_a_rate_limit_puts_a_move_off(
    trigger: Trigger, facts: Facts, answer: Move | Wait | Nothing
) -> None:
    assert decide(trigger, facts) == answer
