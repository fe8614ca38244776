"""Whether a file is a picture that the pipeline can use: its name, then all of its pixels.

The same file always gets the same verdict: a stage has no clock, so `future_timestamp` is given
only where the caller passes the latest time that it accepts.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from vedette_cameras import names, pictures
from vedette_cameras.pictures import Limits, PictureError, Reason


class Fault(Struct, frozen=True):
    """Why a file is invalid."""

    reason: Reason
    detail: str


class ReasonRecord(Struct, frozen=True, kw_only=True):
    """What `/reasons/<name>.json` holds; `image` is a path in the repo."""

    image: str
    object: str
    reason: Reason
    detail: str


class FlagRecord(Struct, frozen=True, kw_only=True):
    """What `/flags/<name>.json` holds."""

    image: str
    object: str
    flags: tuple[str, ...]


def check(
    name: str, data: bytes, limits: Limits = pictures.DEFAULT_LIMITS, latest: datetime | None = None
) -> Fault | None:
    """What is wrong with the file `name` of these bytes, or None when it is valid.

    `latest` is the last acceptable capture time. Decodes the whole picture.
    """
    fault = check_name(name, latest)
    if fault is None:
        try:
            pictures.decode(data, limits)
        except PictureError as error:
            return Fault(error.reason, error.detail)
    return fault


def check_name(name: str, latest: datetime | None = None) -> Fault | None:
    """What is wrong with the name alone, or None."""
    try:
        found = names.parse(name)
    except names.PictureNameError as fault:
        return Fault(fault.reason, fault.detail)
    if latest is not None and found.captured_at > latest:
        return Fault(
            "future_timestamp",
            f"captured at {found.captured_at.isoformat()}, after {latest.isoformat()}:"
            f" set the clock of {found.device}",
        )
    return None


def to_json(record: ReasonRecord | FlagRecord) -> bytes:
    """The bytes of a record, with a line end."""
    return msgspec.json.encode(record) + b"\n"
