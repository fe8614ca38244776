"""A picture on its way in, the name that it gets, and the record of its arrival (CAMERAS 2)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
from msgspec import Struct

from vedette.model.ids import object_id
from vedette_cameras.ingest.brands import NameReader, to_utc, zone
from vedette_cameras.ingest.kinds import Kind, exif_time, look

TimeSource = Literal["sender", "name", "exif", "mail", "xml", "arrival"]
IMAGES = "images"
ARRIVALS = "arrivals"
GENERIC = frozenset(
    ("blob", "camera", "file", "frame", "image", "img", "photo", "picture", "snap", "snapshot",
     "upload")
)  # fmt: skip
"""Base names that say nothing: a camera that sends these always sends the same one."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)  # the first second with ten digits
_MILLISECOND = timedelta(milliseconds=1)
_MAX_STEM = 150
_SPACE = re.compile(r"\s+")


class Offer(Struct, frozen=True, kw_only=True):
    """A picture as it came. `device` is empty when only the name can tell; `original_name` may hold
    folders; `captured_at` is what the sender said, None when it said nothing.

    `fallback` is the time to use when neither the name nor the picture tells one; without it such
    a picture is kept under its own base name.
    """

    data: bytes
    device: str = ""
    original_name: str = ""
    captured_at: datetime | None = None
    received_at: datetime
    fallback: datetime | None = None
    source: str


class Arrival(Struct, frozen=True, kw_only=True):
    """What `arrivals` holds for each picture, at `/<name in images>.json`."""

    device: str | None
    captured_at: datetime | None
    captured_at_source: TimeSource | None
    received_at: datetime
    source: str
    original_name: str
    event_type: str = ""
    burst_id: str = ""
    burst_index: int | None = None
    object: str
    bytes: int
    width: int
    height: int


class Named(Struct, frozen=True, kw_only=True):
    """A picture whose device and time are settled; `device` and `captured_at` may be unknown."""

    offer: Offer
    kind: Kind
    device: str = ""
    captured_at: datetime | None = None
    milliseconds: bool = False
    stamp: str = ""
    time_source: TimeSource | None = None
    event: str = ""
    index: int | None = None
    object: str

    @property
    def extension(self) -> str:
        """That of the actual kind, else the one it came with, else jpg."""
        if self.kind.extension:
            return self.kind.extension
        given = self.offer.original_name.rpartition("/")[2].rpartition(".")
        ending = given[2].lower() if given[1] else ""
        return ending if re.fullmatch("[a-z0-9]{1,8}", ending) else "jpg"

    def stem(self) -> str:
        """`<device>_<time>`, the first name to try; empty when device or time is not known."""
        if not self.device or self.captured_at is None:
            return ""
        if self.stamp:
            return f"{self.device}_{self.stamp}"
        since = self.captured_at - _EPOCH
        whole = since // (_MILLISECOND if self.milliseconds else timedelta(seconds=1))
        return f"{self.device}_{whole}"

    def stems(self) -> Iterator[str]:
        """Names without extension, in the order in which they are tried.

        A second that is taken by other bytes gives way to its milliseconds, a base name that is
        taken to `-2`, `-3`.
        """
        first = self.stem()
        if not first:
            base = clean_base(self.offer.original_name)
            yield base
            for n in range(2, 100_000):
                yield f"{base}-{n}"
            return
        assert self.captured_at is not None
        yield first
        start = (self.captured_at - _EPOCH) // _MILLISECOND
        for n in range(0 if len(first.rpartition("_")[2]) != 13 else 1, 60_000):
            yield f"{self.device}_{start + n}"

    def arrival(self) -> bytes:
        """The record of its arrival, as JSON."""
        offer = self.offer
        record = Arrival(
            device=self.device or None,
            captured_at=self.captured_at,
            captured_at_source=self.time_source,
            received_at=offer.received_at,
            source=offer.source,
            original_name=offer.original_name,
            event_type=self.event,
            burst_index=self.index,
            object=self.object,
            bytes=len(offer.data),
            width=self.kind.width,
            height=self.kind.height,
        )
        return msgspec.json.encode(record)


def settle(offer: Offer, device: str, reader: NameReader, time_zone: str) -> Named:
    """Find out when and by which camera a picture was taken.

    `device` is what the sender is known to be, or empty. The time is what the sender said, else
    what the name says, else the EXIF, else `offer.fallback`.
    """
    kind = look(offer.data)
    parsed = reader.read(offer.original_name) if offer.original_name else None
    device = device or (parsed.device if parsed else "")
    where = zone(time_zone)
    digest = object_id(offer.data).hex()
    named = Named(offer=offer, kind=kind, device=device.replace("_", "-"), object=digest)
    if parsed is not None:
        named = msgspec.structs.replace(named, event=parsed.event, index=parsed.index)
    if not device:
        return named
    moment: datetime | None
    source: TimeSource
    stamp = ""
    if offer.captured_at is not None:
        moment, source = offer.captured_at, "sender"
        exact = moment.microsecond >= 1000
        if moment.tzinfo is None:
            moment = to_utc(moment, where, offer.received_at)
    elif parsed is not None:
        moment, exact, source = parsed.utc, parsed.milliseconds, "name"
        stamp = parsed.stamp
        if parsed.local is not None:
            moment = to_utc(parsed.local, where, offer.received_at)
    elif (taken := exif_time(offer.data)) is not None:
        moment, exact, source = taken[0], taken[1], "exif"
        if moment.tzinfo is None:
            moment = to_utc(moment, where, offer.received_at)
    else:
        moment, exact, source = offer.fallback, True, "arrival"
    if moment is None or moment < _EARLIEST:
        return named
    return msgspec.structs.replace(
        named, captured_at=moment, milliseconds=exact, stamp=stamp, time_source=source
    )


def clean_base(original: str) -> str:
    """The base name of a file without its extension, in signs that every system can hold.

    >>> clean_base("C:/cam/../blah (1).jpg")
    'blah (1)'
    """
    base = original.replace("\\", "/").rpartition("/")[2]
    stem, dot, ending = base.rpartition(".")
    if not dot or len(ending) > 8:
        stem = base
    shown = "".join("-" if unicodedata.category(sign)[0] == "C" else sign for sign in stem)
    shown = _SPACE.sub(" ", shown).strip(" .")
    while len(shown.encode("utf-8", "replace")) > _MAX_STEM:
        shown = shown[:-1]
    return shown or "unnamed"


def is_generic(original: str) -> bool:
    """Whether a file name is one that cameras give to every picture."""
    stem = clean_base(original).casefold()
    return stem in GENERIC or stem == "unnamed"
