"""Microseconds since 1970 UTC, as rows hold them, and datetimes, as values show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_START = datetime(1970, 1, 1, tzinfo=UTC)


def moment(microseconds: int) -> datetime:
    """The aware datetime of a stored time."""
    return _START + timedelta(microseconds=microseconds)


def microseconds(time: datetime) -> int:
    """What is stored of an aware datetime."""
    return (time - _START) // timedelta(microseconds=1)


def maybe(microseconds: int | None) -> datetime | None:
    """The same, where a time may be missing."""
    return None if microseconds is None else moment(microseconds)
