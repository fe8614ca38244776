"""How a picture is named: `<device>_<time>.<ext>`, as the original pipeline has it.

Exactly one `_`, a device that is not empty, and a time of digits only, at least ten: seconds since
1970, or milliseconds when there are thirteen.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Literal

from msgspec import Struct

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND_DIGITS = 13
_MIN_DIGITS = 10
_STAMP = re.compile(r"[0-9]+")


class PictureName(Struct, frozen=True, kw_only=True):
    """A name taken apart. `stamp` is the time as written; `captured_at` is in UTC."""

    device: str
    stamp: str
    captured_at: datetime


class PictureNameError(Exception):
    """A name that gives no device or no time; `reason` is from the closed list of CAMERAS 3."""

    def __init__(self, reason: Literal["bad_name", "bad_timestamp"], detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def parse(name: str) -> PictureName:
    """Take the base name of a picture apart; raises `PictureNameError`.

    >>> parse("dev1_1511891098.jpg").device
    'dev1'
    """
    stem, dot, extension = name.rpartition(".")
    if not dot or not extension:
        raise PictureNameError("bad_name", f"{name!r} has no extension: use <device>_<seconds>.jpg")
    if stem.count("_") != 1:
        found = stem.count("_")
        raise PictureNameError(
            "bad_name", f"{name!r} has {found} '_' where one is needed: use <device>_<seconds>.jpg"
        )
    device, _, stamp = stem.partition("_")
    if not device:
        raise PictureNameError("bad_name", f"{name!r} has no device before '_'")
    return PictureName(device=device, stamp=stamp, captured_at=moment(stamp))


def moment(stamp: str) -> datetime:
    """The time that digits mean, in UTC; raises `PictureNameError` with reason `bad_timestamp`.

    >>> moment("1511891098123").isoformat(timespec="milliseconds")
    '2017-11-28T17:44:58.123+00:00'
    """
    if not _STAMP.fullmatch(stamp) or len(stamp) < _MIN_DIGITS:
        raise PictureNameError(
            "bad_timestamp", f"time {stamp[:40]!r} is not 10 digits (seconds) or 13 (milliseconds)"
        )
    unit = "milliseconds" if len(stamp) == _MILLISECOND_DIGITS else "seconds"
    try:
        return _EPOCH + timedelta(**{unit: int(stamp)})
    except (OverflowError, ValueError):
        raise PictureNameError(
            "bad_timestamp", f"time {stamp[:40]!r} is no date when read as {unit} since 1970"
        ) from None


def result_path(name: PictureName) -> str:
    """Where the stages put what they find out about a picture: `/<device>/<time>.json`."""
    return f"/{name.device}/{name.stamp}.json"
