"""What time brings about: triggers, retries of crashing pipelines, lapsed leases."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from vedette.decide import trigger
from vedette.model.inputs import Trigger
from vedette.scheduling import planning
from vedette.scheduling.leasing import LEASE
from vedette.scheduling.rounds import Round
from vedette.versioning.times import maybe, moment

_EPOCH = moment(0)


def due(round: Round) -> int | None:
    """Do what is due; when something is next (microseconds), or None."""
    times = [_triggers(round)]
    for pipeline in round.memory.order:
        if pipeline.state == "CRASHING" and pipeline.jobs and pipeline.retry_at > round.now:
            times.append(pipeline.retry_at)
    watched = [w.seen for w in round.memory.workers.values() if w.leases or w.host]
    if watched:  # those who beat in the meantime are found alive
        times.append(max(round.now + 200_000, min(watched) + int(LEASE * 1e6) + 1000))
    found = [time for time in times if time is not None]
    return min(found) if found else None


def _triggers(round: Round) -> int | None:
    """Move the branches whose trigger asks for it; when the next may."""
    memory = round.memory
    if not memory.followed:
        return None
    waits = memory.next_trigger > round.now
    if waits and (memory.timed or not memory.followed & round.moved):
        return memory.next_trigger
    if not memory.next_trigger and not memory.followed & round.moved and memory.looked:
        return None
    memory.looked = True
    times = []
    for row in round.rows.all("triggered_branches"):
        _id, repo, name, head, rule, moved, follows, source = row
        if source is None or source == head or rule is None:
            continue
        decision = trigger.decide(
            msgspec.json.decode(rule, type=Trigger),
            _facts(round, repo, follows, head, source, moved),
        )
        if isinstance(decision, trigger.Move):
            round.rows.run("move_branch", repo=repo, name=name, head=source, moved=round.now)
            planning.plan_move(round, (repo, name), source)
        elif isinstance(decision, trigger.Wait):
            times.append(_microseconds(decision.until))
    memory.next_trigger = min(times) if times else 0
    return min(times) if times else None


def _facts(
    round: Round, repo: int, follows: str, head: int | None, source: int, moved: int | None
) -> trigger.Facts:
    row = round.rows.one(
        "commits_between", repo=repo, branch=follows, after=head or 0, until=source
    )
    commits, size = row if row is not None else (1, 0)
    return trigger.Facts(
        now=moment(round.now), moved=None if head is None else maybe(moved),
        commits=max(commits, 1), bytes=size,
    )  # fmt: skip


def _microseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)
