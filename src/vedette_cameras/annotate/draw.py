"""A picture with its boxes, labels and scores drawn, as a JPEG.

What made the alert is drawn in orange red, everything else in a pale blue, so that a glance at a
mail on a phone tells which is which.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import msgspec
import numpy as np
import simplejpeg
from msgspec import Struct
from PIL import Image, ImageDraw, ImageFont

from vedette_cameras.pictures import Pixels

MAIL_BYTES = 200_000
"""What a picture in a mail may weigh (CAMERAS 6)."""

_THREAT = (255, 69, 48)
_OTHER = (160, 205, 255)
_INK = (16, 16, 20)
_CAPPED_SIDE = 1280
_SMALLEST_SIDE = 160
_QUALITIES = (85, 72, 58)

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Mark(Struct, frozen=True, kw_only=True):
    """One box to draw; `box` is left top right bottom in parts of the picture's sides."""

    label: str
    score: str
    box: tuple[float, float, float, float]
    threat: bool = False


class _Object(Struct, frozen=True):
    label: str
    score: str
    box: tuple[float, float, float, float]


class _Step(Struct, frozen=True):
    object: int | None
    passed: bool = msgspec.field(name="pass")


class _Decision(Struct, frozen=True):
    trace: tuple[_Step, ...] = ()


class _Document(Struct, frozen=True):
    objects: tuple[_Object, ...]
    decision: _Decision = _Decision()


def marks_of(data: bytes) -> tuple[Mark, ...]:
    """The marks of a file of object-detect or judge; with a decision, threats are told apart.

    An object is a threat when it passed every step of its trace. Raises `msgspec.MsgspecError`.
    """
    document = msgspec.json.decode(data, type=_Document)
    passed: dict[int, bool] = {}
    for step in document.decision.trace:
        if step.object is not None:
            passed[step.object] = passed.get(step.object, True) and step.passed
    return tuple(
        Mark(label=seen.label, score=seen.score, box=seen.box, threat=passed.get(number, False))
        for number, seen in enumerate(document.objects)
    )


def draw(pixels: Pixels, marks: Sequence[Mark], max_bytes: int | None = None) -> bytes:
    """The picture with its marks, as a JPEG of at most `max_bytes` (None: full size, quality 85).

    Under a limit the longer side is at most 1,280 pixels; quality falls first, then size. A limit
    that even a side of 160 pixels does not meet gets that picture.
    """
    if max_bytes is None:
        return _encode(_drawn(pixels, marks), _QUALITIES[0])
    side = min(_CAPPED_SIDE, max(pixels.shape[:2]))
    while True:
        image = _drawn(_fitted(pixels, side), marks)
        for quality in _QUALITIES:
            data = _encode(image, quality)
            if len(data) <= max_bytes:
                return data
        if side <= _SMALLEST_SIDE:
            return data
        # Bytes go with the area: aim a little under the limit.
        side = max(_SMALLEST_SIDE, int(side * 0.95 * math.sqrt(max_bytes / len(data))))


def _fitted(pixels: Pixels, side: int) -> Pixels:
    height, width = pixels.shape[:2]
    scale = side / max(width, height)
    if scale >= 1.0:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(image)


def _drawn(pixels: Pixels, marks: Sequence[Mark]) -> Image.Image:
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    line = max(3, round(max(image.size) / 320))
    font = _font(max(11, round(max(image.size) / 55)))
    # Threats last, so that nothing covers them.
    for mark in sorted(marks, key=lambda found: found.threat):
        box = _pixels_of(mark.box, image.size)
        colour = _THREAT if mark.threat else _OTHER
        pen.rectangle(box, outline=colour, width=line)
        _write(pen, f"{mark.label} {mark.score}", box, colour, font, image.size)
    return image


def _pixels_of(
    box: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[int, int, int, int]:
    width, height = size
    left, top, right, bottom = box
    x, y = min(round(left * width), width - 1), min(round(top * height), height - 1)
    return (
        x,
        y,
        max(x, min(round(right * width), width - 1)),
        max(y, min(round(bottom * height), height - 1)),
    )


def _write(
    pen: ImageDraw.ImageDraw,
    text: str,
    box: tuple[int, int, int, int],
    colour: tuple[int, int, int],
    font: _Font,
    size: tuple[int, int],
) -> None:
    """Put the text on a plate above the box, or inside it where there is no room above."""
    left, top, right, bottom = font.getbbox(text)
    pad = max(2, round((bottom - top) / 5))
    width = round(right - left) + 2 * pad
    height = round(bottom - top) + 2 * pad
    x = max(0, min(box[0], size[0] - width))
    y = box[1] - height if box[1] >= height else box[1]
    pen.rectangle((x, y, x + width, y + height), fill=colour)
    pen.text((x + pad - left, y + pad - top), text, fill=_INK, font=font)


@cache
def _font(size: int) -> _Font:
    return ImageFont.load_default(size)


def _encode(image: Image.Image, quality: int) -> bytes:
    data: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(image), quality=quality, colorspace="RGB", colorsubsampling="420"
    )
    return data
