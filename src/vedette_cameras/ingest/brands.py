"""How cameras name their files: a table of patterns, one a brand (CAMERAS 2).

A pattern is matched against the end of a file's path, since some brands put the date into folders.
Its groups say what is what: `device` or `prefix` and `channel`, `time` (17 digits: with
milliseconds, 14 without) or `date` with `hour`, `minute` and `second`, `event`, and `index` within
a burst. Times are local to the camera. A new brand is one more pattern in the configuration file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from vedette.model.errors import Invalid
from vedette_cameras import names
from vedette_cameras.ingest.kinds import EXTENSIONS

_ENDING = r"\.(?:" + "|".join((*EXTENSIONS, "jpeg")) + ")"
_AMBIGUITY = timedelta(minutes=30)


class Brand(Struct, frozen=True):
    """A way of naming files. `pattern` is a regular expression without the extension."""

    name: str
    pattern: str


BRANDS: tuple[Brand, ...] = (
    Brand(
        "hikvision",
        r"(?P<prefix>[^_/]+)_(?P<channel>[^_/]+)_(?P<time>\d{17})(?:_(?P<event>[^/]+))?",
    ),
    Brand(
        "dahua",
        r"(?:(?P<device>[^/]+)/)?(?P<date>\d{4}-\d\d-\d\d)/\d+/jpg/(?P<hour>\d\d)/(?P<minute>\d\d)"
        r"[./](?P<second>\d\d)\[(?P<event>\w+)\]\[[^\]/]*\]\[(?P<index>\d+)\]",
    ),
    Brand("reolink", r"(?P<prefix>[^_/]+)_(?P<channel>\d\d)_(?P<time>\d{14})"),
    Brand("vivotek", r"(?P<prefix>[^_/]+)_(?P<time>\d{14})_(?P<index>\d+)_(?P<event>pre|trg|pos)"),
)  # fmt: skip
"""The brands known out of the box."""


class Parsed(Struct, frozen=True, kw_only=True):
    """What a file's name says. `local` is naive camera time; `utc` is set by the original's own
    grammar instead. `stamp` holds the digits of the original's grammar as written."""

    brand: str
    device: str = ""
    local: datetime | None = None
    utc: datetime | None = None
    milliseconds: bool = False
    stamp: str = ""
    event: str = ""
    index: int | None = None


class NameReader:
    """Reads file names by the original's grammar first, then by the brands' patterns."""

    def __init__(self, extra: Sequence[Brand] = ()) -> None:
        """Add `extra` brands before those known; raises `Invalid` for a faulty pattern."""
        self._patterns = [(brand.name, _compile(brand)) for brand in (*extra, *BRANDS)]

    def read(self, path: str) -> Parsed | None:
        """What the path of a file (`/` between folders) says of device and time, or None."""
        base = path.rpartition("/")[2]
        try:
            found = names.parse(base)
        except names.PictureNameError:
            pass
        else:
            exact = len(found.stamp) == 13
            return Parsed(
                brand="vedette", device=found.device, utc=found.captured_at, stamp=found.stamp,
                milliseconds=exact,
            )  # fmt: skip
        for brand, pattern in self._patterns:
            if match := pattern.search(path):
                parsed = _parsed(brand, match)
                if parsed is not None:
                    return parsed
        return None


def _compile(brand: Brand) -> re.Pattern[str]:
    try:
        pattern = re.compile(rf"(?:^|/){brand.pattern}{_ENDING}$", re.IGNORECASE | re.ASCII)
    except re.error as error:
        raise Invalid(
            f"brand {brand.name!r}: its pattern is faulty at character {error.pos}: {error.msg}"
        ) from None
    groups = pattern.groupindex.keys()
    if "time" not in groups and not {"date", "hour", "minute", "second"} <= groups:
        raise Invalid(
            f"brand {brand.name!r}: its pattern needs a group (?P<time>...),"
            " or the groups date, hour, minute and second"
        )
    return pattern


def _parsed(brand: str, match: re.Match[str]) -> Parsed | None:
    groups = match.groupdict(default="")
    digits = groups.get("time") or "".join(
        groups.get(part, "") for part in ("date", "hour", "minute", "second")
    ).replace("-", "")
    try:
        local = datetime.strptime(digits[:14], "%Y%m%d%H%M%S")  # noqa: DTZ007, RUF100
    except ValueError:
        return None
    exact = len(digits) == 17
    if exact:
        local += timedelta(milliseconds=int(digits[14:]))
    parts = [groups.get(part, "") for part in ("prefix", "channel")]
    index = groups.get("index", "")
    return Parsed(
        brand=brand,
        device=groups.get("device") or "-".join(part for part in parts if part),
        local=local,
        milliseconds=exact,
        event=groups.get("event", ""),
        index=int(index) if index else None,
    )


def zone(name: str) -> ZoneInfo | timezone:
    """The time zone of this name ("" is UTC); raises `Invalid` for one that does not exist."""
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(
            f"time zone {name!r} is not known: use a name such as 'Europe/Berlin'"
        ) from None


def to_utc(local: datetime, where: ZoneInfo | timezone, received: datetime) -> datetime:
    """Camera time as UTC. An hour that happens twice (the end of summer time) is the first of the
    two, unless the picture was received within half an hour of the second; an hour that does not
    exist (its start) is read with the offset that was in force before.
    """
    first = local.replace(tzinfo=where, fold=0).astimezone(UTC)
    second = local.replace(tzinfo=where, fold=1).astimezone(UTC)
    return second if first < second and abs(received - second) <= _AMBIGUITY else first
