"""What one picture tells about its camera: covered, blinded or dead (CAMERAS 3, flags)."""

from __future__ import annotations

from typing import Literal

from vedette_cameras.pictures import Pixels

Flag = Literal["black", "white", "low_contrast"]

_STEP = 8
_DARK = 10
_BRIGHT = 245
_FLAT = 4.0


def flags(pixels: Pixels) -> tuple[Flag, ...]:
    """Flags of one picture, from every eighth pixel of every eighth row.

    `black`: 99 % of the pixels are below 10 of 255; `white`: 99 % above 245; `low_contrast`: the
    standard deviation of brightness is under 4 (a covered lens, thick fog).
    """
    sample = pixels[::_STEP, ::_STEP].mean(axis=2)
    if (sample < _DARK).mean() >= 0.99:
        return ("black",)
    if (sample > _BRIGHT).mean() >= 0.99:
        return ("white",)
    if sample.std() < _FLAT:
        return ("low_contrast",)
    return ()
