"""When the branch of a triggered input moves (ENGINE T6)."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from vedette.model.inputs import Trigger


class Facts(Struct, frozen=True, kw_only=True):
    """What a trigger looks at: the followed branch since the triggered one last moved.

    `commits` came since then (no need to count beyond those that a rule asks for), and by `bytes`
    its files grew. `moved` is None if it never has. `tick` is the first time of `cron_spec` after
    `moved`, for triggers that have one; None if it has no more. `limit` is the same of
    `rate_limit_spec`, None where there is no limit.
    """

    now: datetime
    moved: datetime | None = None
    commits: int = 0
    bytes: int = 0
    tick: datetime | None = None
    limit: datetime | None = None


class Move(Struct, frozen=True):
    """Move the branch to the head of the followed one, now."""


class Wait(Struct, frozen=True):
    """Ask again at this time, or after the next commit, whichever is earlier."""

    until: datetime


class Nothing(Struct, frozen=True):
    """There is nothing to do before the next commit."""


def decide(trigger: Trigger, facts: Facts) -> Move | Wait | Nothing:
    """Whether a triggered branch moves.

    Without a new commit it never does. A trigger without conditions moves with every commit.
    """
    if facts.commits <= 0:
        return Nothing()
    decision = _by_conditions(trigger, facts)
    if facts.limit is None or facts.limit <= facts.now or isinstance(decision, Nothing):
        return decision
    until = decision.until if isinstance(decision, Wait) else facts.now
    return Wait(max(until, facts.limit))


def _by_conditions(trigger: Trigger, facts: Facts) -> Move | Wait | Nothing:
    counted = _counted(trigger, facts)
    timed = _timed(trigger, facts)
    if trigger.cron_spec and facts.tick is None:
        counted.append(False)
    if not counted and not timed:
        return Move()
    late = [time for time in timed if time > facts.now]
    if trigger.all:
        if not all(counted):
            return Nothing()
        return Wait(max(late)) if late else Move()
    if any(counted) or len(late) < len(timed):
        return Move()
    return Wait(min(late)) if late else Nothing()


def _counted(trigger: Trigger, facts: Facts) -> list[bool]:
    """The conditions that only commits can bring about, and whether they hold."""
    found = []
    if trigger.size is not None:
        found.append(facts.bytes >= trigger.size)
    if trigger.commits is not None:
        found.append(facts.commits >= trigger.commits)
    return found


def _timed(trigger: Trigger, facts: Facts) -> list[datetime]:
    """The conditions that time alone brings about, and when they hold."""
    found = []
    if trigger.rate is not None:
        last = facts.moved
        found.append(facts.now if last is None else last + timedelta(seconds=trigger.rate))
    if trigger.cron_spec and facts.tick is not None:
        found.append(facts.tick)
    return found
