"""What kind of file some bytes are, and how large the picture is, from the first bytes alone.

This is on the path of every request, so nothing is decoded: whether the picture is whole is for
validate to find out.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO

from msgspec import Struct

EXTENSIONS = ("jpg", "png", "webp", "gif", "bmp")
"""The extensions that pictures get here, by their actual kind."""

_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_NO_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))
_EXIF_TIME, _EXIF_OFFSET, _EXIF_SUBSECOND, _EXIF_IFD = 0x9003, 0x9011, 0x9291, 0x8769


class Kind(Struct, frozen=True):
    """Extension without a dot, empty when the bytes are no known picture; sizes in pixels or 0."""

    extension: str
    width: int = 0
    height: int = 0


def look(data: bytes) -> Kind:
    """The kind of picture that these bytes start like."""
    if data.startswith(b"\xff\xd8"):
        return Kind("jpg", *_jpeg_size(data))
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        return Kind("png", int.from_bytes(data[16:20]), int.from_bytes(data[20:24]))
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        return Kind("gif", *(int.from_bytes(data[at : at + 2], "little") for at in (6, 8)))
    if data.startswith(b"BM") and len(data) >= 26:
        sizes = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (18, 22))
        return Kind("bmp", *map(abs, sizes))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Kind("webp")
    return Kind("")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height from the first frame header; zeros when the header is damaged."""
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return 0, 0
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _SOF:
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        elif marker in _NO_LENGTH:
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4]))
    return 0, 0


def exif_time(data: bytes) -> tuple[datetime, bool] | None:
    """When a JPEG's EXIF says that it was taken: (time, milliseconds are known).

    The time is naive, local to the camera, unless the EXIF names an offset. None when it says
    nothing, or nothing sensible.
    """
    if not data.startswith(b"\xff\xd8") or b"Exif\0\0" not in data[:65536]:
        return None
    from PIL import Image

    try:
        with Image.open(BytesIO(data), formats=["JPEG"]) as image:
            exif = image.getexif().get_ifd(_EXIF_IFD)
        taken = datetime.strptime(str(exif[_EXIF_TIME]).strip("\0 "), "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007, RUF100
    except (OSError, SyntaxError, ValueError, KeyError, TypeError):
        return None
    fraction = str(exif.get(_EXIF_SUBSECOND, "")).strip("\0 ")
    if known := fraction.isdigit():
        taken += timedelta(milliseconds=int(fraction[:3].ljust(3, "0")))
    offset = _offset(str(exif.get(_EXIF_OFFSET, "")).strip("\0 "))
    return (taken if offset is None else taken.replace(tzinfo=offset).astimezone(UTC)), known


def _offset(text: str) -> timezone | None:
    if len(text) == 6 and text[0] in "+-" and text[3] == ":" and (text[1:3] + text[4:]).isdigit():
        distance = timedelta(hours=int(text[1:3]), minutes=int(text[4:]))
        if distance < timedelta(hours=24):
            return timezone(-distance if text[0] == "-" else distance)
    return None
