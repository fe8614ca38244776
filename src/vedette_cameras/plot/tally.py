"""Threats counted from their names alone: no file is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from vedette_cameras.names import PictureNameError, moment


class Tally(Struct, frozen=True, kw_only=True):
    """Threats of one device: by UTC day (2017-11-28) and by UTC hour (2017-11-28T17)."""

    device: str
    total: int
    days: dict[str, int]
    hours: dict[str, int]


def tally(device: str, file_names: Iterable[str]) -> Tally:
    """Count the files `<time>.json` of one device; names that are no time count in `total` only."""
    days: Counter[str] = Counter()
    hours: Counter[str] = Counter()
    total = 0
    for name in file_names:
        total += 1
        try:
            at = moment(name.removesuffix(".json"))
        except PictureNameError:
            continue
        days[at.strftime("%Y-%m-%d")] += 1
        hours[at.strftime("%Y-%m-%dT%H")] += 1
    return Tally(
        device=device,
        total=total,
        days=dict(sorted(days.items())),
        hours=dict(sorted(hours.items())),
    )


def to_json(counted: Tally) -> bytes:
    """The bytes of `/<device>.json`."""
    return msgspec.json.encode(counted) + b"\n"


def read(data: bytes, path: str) -> Tally:
    """Read a `/<device>.json`; raises `ValueError` naming the file."""
    try:
        return msgspec.json.decode(data, type=Tally)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{path} holds no counts: {error}") from None
