"""When does a clock tick next, and which ticks has it missed? (ENGINE D6)

Time is passed in. Where clocks are put forward, a tick in the hour that does not exist comes at the
first moment after it; where they are put back, one in the hour that exists twice comes once. Ticks
that come every hour or more often follow the time that passes, so they miss and double nothing.
These are the rules of Debian's cron, which `cronsim` follows.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from vedette.model.schedule import Schedule


def following(schedule: Schedule, after: datetime) -> datetime | None:
    """The first tick after a moment, in UTC; None if the schedule never comes again.

    An interval counts from `after`, which is a tick or where counting starts.
    """
    if schedule.every:
        return after.replace(microsecond=0) + timedelta(seconds=schedule.every)
    local = after.astimezone(ZoneInfo(schedule.zone)) if schedule.zone != "UTC" else after
    for tick in CronSim(schedule.fields, local):
        found = tick.astimezone(UTC)
        if found > after:
            return found
    return None


def missed(
    schedule: Schedule, last: datetime, now: datetime, limit: int
) -> tuple[list[datetime], datetime | None]:
    """Up to `limit` ticks after `last` that are due by `now`, and when the one after them comes."""
    found: list[datetime] = []
    upcoming = following(schedule, last)
    while upcoming is not None and upcoming <= now and len(found) < limit:
        found.append(upcoming)
        upcoming = following(schedule, upcoming)
    return found, upcoming
