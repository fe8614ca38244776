"""The words by which a spec says when a clock ticks (ENGINE D6).

>>> parse_schedule("CRON_TZ=Europe/Berlin 30 6 * * mon-fri")
Schedule(fields='30 6 * * mon-fri', zone='Europe/Berlin', every=0)
>>> parse_schedule("@every 1m30s").every
90
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from msgspec import Struct

from vedette.model.errors import Invalid
from vedette.model.spec_words import duration

_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FORMS = "five fields such as '0 6 * * *', @daily, or '@every 1m'"
_LONGEST = 200


class Schedule(Struct, frozen=True):
    """When a clock ticks: by five cron fields in a time zone, or `every` so many seconds (0: not).

    `zone` is a name of the IANA time zone database.
    """

    fields: str
    zone: str = "UTC"
    every: int = 0


def parse_schedule(text: str) -> Schedule:
    """Read a schedule. Raises Invalid, saying what is wrong and what is understood.

    Pachyderm's forms: five fields, `@hourly` and its kin, `@every DURATION` (at least 1 s, as ticks
    are named by the second). A leading `CRON_TZ=ZONE` or `TZ=ZONE` gives the zone; else it is UTC.
    """
    if len(text) > _LONGEST:
        raise Invalid(f"a schedule of {len(text)} characters: at most {_LONGEST}")
    first, _, rest = text.strip().partition(" ")
    zone = "UTC"
    if first.startswith(("CRON_TZ=", "TZ=")):
        zone, text = _zone(first.partition("=")[2]), rest
    words = text.split()
    if words[:1] == ["@every"]:
        return Schedule("", zone, _every(text, words[1:]))
    if len(words) == 1 and words[0].startswith("@"):
        if words[0] not in _NAMED:
            known = ", ".join((*_NAMED, "@every 1m"))
            raise Invalid(f"schedule {text!r}: {words[0]} is not one of {known}")
        words = _NAMED[words[0]].split()
    if len(words) != 5:
        raise Invalid(f"schedule {text!r} has {len(words)} fields: write {_FORMS}")
    fields = " ".join(words)
    try:
        found = next(CronSim(fields, datetime(2024, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        raise Invalid(f"schedule {text!r}: {error}; write {_FORMS}") from None
    if found is None:
        raise Invalid(f"schedule {text!r} never comes: no such day is in any year")
    return Schedule(fields, zone)


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(f"time zone {name!r} is not known: write one such as Europe/Berlin") from None
    return name


def _every(text: str, words: list[str]) -> int:
    seconds = duration(words[0]) if len(words) == 1 else None
    if seconds is None or seconds != int(seconds) or not 1 <= seconds <= 366 * 86400:
        raise Invalid(f"schedule {text!r}: @every needs whole seconds, such as '@every 1m30s'")
    return int(seconds)


def parse_start(text: str) -> datetime:
    """The time of `start`, RFC 3339 with a zone. Raises Invalid."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = datetime.min
    if found.tzinfo is None or found.year < 1970:
        raise Invalid(f"{text!r} is not a time such as 2026-11-21T06:00:00Z")
    return found.astimezone(UTC).replace(microsecond=0)
