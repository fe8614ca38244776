"""What time brings about: ticks, triggers, retries of crashing pipelines, lapsed leases."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from vedette.decide import cron, trigger
from vedette.model.inputs import Trigger
from vedette.model.schedule import parse_schedule
from vedette.scheduling import clocks, finishing, hosts, leasing, planning
from vedette.scheduling.rounds import Round
from vedette.versioning.times import maybe, microseconds, moment


def due(round: Round) -> int | None:
    """Do what is due; when something is next (microseconds), or None."""
    times = [_triggers(round), clocks.upcoming(round), finishing.overdue(round)]
    for pipeline in round.memory.order:
        if pipeline.state == "CRASHING" and pipeline.jobs and pipeline.retry_at > round.now:
            times.append(pipeline.retry_at)
        if pipeline.problem:
            times.append(hosts.look(round, pipeline))
    watched = [w.seen for w in round.memory.workers.values() if w.leases or w.host]
    if watched:  # those who beat in the meantime are found alive
        times.append(max(round.now + 200_000, min(watched) + int(leasing.LEASE * 1e6) + 1000))
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
    times = _pass(round)
    # What moved may be followed in turn. Branches that follow each other in a ring move no longer
    # than there are branches.
    for _ in range(len(memory.order)):
        if not times.moved:
            break
        times = _pass(round)
    memory.next_trigger = min(times.waits) if times.waits else 0
    return memory.next_trigger or None


@dataclass
class _Pass:
    """What one look at all triggered branches found: did one move, and when may the others?"""

    moved: bool = False
    waits: list[int] = field(default_factory=list)


def _pass(round: Round) -> _Pass:
    found = _Pass()
    for row in round.rows.all("triggered_branches"):
        _id, repo, name, head, rule, moved, _follows, source = row
        if source is None or source == head or rule is None:
            continue
        decoded = msgspec.json.decode(rule, type=Trigger)
        decision = trigger.decide(decoded, _facts(round, decoded, head, source, moved))
        if isinstance(decision, trigger.Move):
            round.rows.run("move_branch", repo=repo, name=name, head=source, moved=round.now)
            planning.plan_move(round, (repo, name), source)
            found.moved = True
        elif isinstance(decision, trigger.Wait):
            found.waits.append(microseconds(decision.until))
    return found


def _facts(
    round: Round, rule: Trigger, head: int | None, source: int, since: int | None
) -> trigger.Facts:
    moved = None if head is None else maybe(since)
    row = round.rows.one(
        "commits_between", after=head or 0, until=source, most=max(rule.commits or 1, 1)
    )
    commits, grown = row if row is not None else (1, 0)
    return trigger.Facts(
        now=moment(round.now), moved=moved, commits=max(commits, 1), bytes=grown,
        tick=_next_of(rule.cron_spec, moved, round.now),
        limit=_next_of(rule.rate_limit_spec, moved, round.now),
    )  # fmt: skip


def _next_of(text: str, moved: datetime | None, now: int) -> datetime | None:
    """The first time of a schedule after a branch moved; at once for one that never has."""
    if not text:
        return None
    return moment(now) if moved is None else cron.following(parse_schedule(text), moved)
