"""The small decisions: when to try again, how many workers, when a trigger moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.decide.retry import backoff
from vedette.decide.scale import wanted
from vedette.decide.trigger import Facts, Move, Nothing, Wait, decide
from vedette.model.inputs import Trigger

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def test_c3_waits_double_up_to_a_minute() -> None:
    assert [backoff(failures) for failures in range(9)] == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff(10**9) == 60
    assert backoff(1, first=0.1, longest=5) == 0.1


@given(st.integers(0, 200), st.floats(0, 1))
def test_c3_spreading_takes_away_at_most_half_of_a_wait(failures: int, spread: float) -> None:
    full = backoff(failures)
    assert full / 2 <= backoff(failures, spread=spread) <= full


@pytest.mark.parametrize(
    ("slots", "queued", "running", "workers", "answer"),
    [
        (4, 0, 0, 0, 0),
        (4, 0, 0, 3, 0),
        (4, 1, 0, 0, 1),
        (4, 9, 0, 0, 4),
        (4, 0, 2, 2, 2),
        (4, 1, 2, 2, 3),
        (4, 1, 0, 4, 4),
        (4, 1, 0, 7, 4),
        (0, 9, 0, 0, 0),
    ],
)
def test_there_are_workers_for_the_work_and_none_without(
    slots: int, queued: int, running: int, workers: int, answer: int
) -> None:
    assert wanted(slots, queued, running, workers) == answer


RATE = Trigger(branch="master", rate=10.0)


@pytest.mark.parametrize(
    ("trigger", "facts", "answer"),
    [
        (RATE, Facts(now=NOW, moved=ago(99)), Nothing()),
        (RATE, Facts(now=NOW, commits=1), Move()),
        (RATE, Facts(now=NOW, commits=1, moved=ago(10)), Move()),
        (RATE, Facts(now=NOW, commits=1, moved=ago(4)), Wait(NOW + timedelta(seconds=6))),
        (Trigger(commits=3), Facts(now=NOW, commits=2), Nothing()),
        (Trigger(commits=3), Facts(now=NOW, commits=3), Move()),
        (Trigger(size=100), Facts(now=NOW, commits=1, bytes=99), Nothing()),
        (Trigger(size=100), Facts(now=NOW, commits=1, bytes=100), Move()),
        (Trigger(), Facts(now=NOW, commits=1), Move()),
        (
            Trigger(rate=10, commits=3),
            Facts(now=NOW, commits=3, moved=ago(1)),
            Move(),
        ),
        (
            Trigger(rate=10, commits=3),
            Facts(now=NOW, commits=1, moved=ago(1)),
            Wait(NOW + timedelta(seconds=9)),
        ),
        (
            Trigger(rate=10, commits=3, all=True),
            Facts(now=NOW, commits=1, moved=ago(99)),
            Nothing(),
        ),
        (
            Trigger(rate=10, commits=3, all=True),
            Facts(now=NOW, commits=3, moved=ago(1)),
            Wait(NOW + timedelta(seconds=9)),
        ),
        (
            Trigger(rate=10, commits=3, all=True),
            Facts(now=NOW, commits=3, moved=ago(10)),
            Move(),
        ),
        (Trigger(cron_spec="@daily"), Facts(now=NOW, commits=1), Nothing()),
        (
            Trigger(cron_spec="@daily"),
            Facts(now=NOW, commits=1, tick=NOW + timedelta(hours=12)),
            Wait(NOW + timedelta(hours=12)),
        ),
    ],
)
def test_t6_a_trigger_moves_by_its_rule(
    trigger: Trigger, facts: Facts, answer: Move | Wait | Nothing
) -> None:
    assert decide(trigger, facts) == answer


@given(st.integers(1, 50), st.floats(0, 30), st.floats(0.1, 20))
def test_t6_after_the_wait_that_it_asked_for_a_rate_moves(
    commits: int, since: float, rate: float
) -> None:
    facts = Facts(now=NOW, commits=commits, moved=ago(since))
    answer = decide(Trigger(rate=rate), facts)
    if isinstance(answer, Wait):
        assert answer.until > NOW
        later = Facts(now=answer.until, commits=commits, moved=facts.moved)
        assert decide(Trigger(rate=rate), later) == Move()
    else:
        assert answer == Move()
