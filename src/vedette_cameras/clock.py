"""The time, passed in so that tests can say what it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """A moment as RFC 3339 in UTC, with milliseconds only where there are any.

    >>> rfc3339(datetime(2017, 11, 28, 17, 44, 58, tzinfo=UTC))
    '2017-11-28T17:44:58Z'
    """
    moment = moment.astimezone(UTC)
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
