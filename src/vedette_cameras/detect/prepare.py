"""From a picture to the pixels that a model looks at, and back from its boxes to the picture.

Only the resizing happens here, in bytes; colour order, mean and standard deviation are the
runtime's, which does them inside the graph where that is free.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from PIL import Image

from vedette_cameras.detect.record import InputSpec
from vedette_cameras.pictures import Pixels

Boxes = NDArray[np.float32]
"""N x 4: left, top, right, bottom."""


class Frame(Struct, frozen=True, kw_only=True):
    """A prepared picture: where it lies in the model's input, in parts of that input's sides."""

    pixels: Pixels
    left: float
    top: float
    width: float
    height: float

    def to_picture(self, boxes: Boxes) -> Boxes:
        """Boxes in parts of the model's input as parts of the picture, cut at its edges."""
        origin = np.array([self.left, self.top] * 2, dtype=np.float32)
        extent = np.array([self.width, self.height] * 2, dtype=np.float32)
        cut: Boxes = np.clip((boxes - origin) / extent, 0.0, 1.0)
        return cut


def prepare(pixels: Pixels, spec: InputSpec) -> Frame:
    """Resize a picture as `spec` says: bilinear over the whole area that a pixel stands for."""
    if spec.resize == "none":
        return Frame(pixels=pixels, left=0.0, top=0.0, width=1.0, height=1.0)
    if spec.resize == "stretch":
        whole = _resized(pixels, spec.width, spec.height)
        return Frame(pixels=whole, left=0.0, top=0.0, width=1.0, height=1.0)
    height, width = pixels.shape[:2]
    scale = min(spec.width / width, spec.height / height)
    inner_width = max(1, round(width * scale))
    inner_height = max(1, round(height * scale))
    left = top = 0
    if spec.resize == "letterbox":
        left = (spec.width - inner_width) // 2
        top = (spec.height - inner_height) // 2
    canvas = np.full((spec.height, spec.width, 3), spec.pad, dtype=np.uint8)
    inner = _resized(pixels, inner_width, inner_height)
    canvas[top : top + inner_height, left : left + inner_width] = inner
    return Frame(
        pixels=canvas,
        left=left / spec.width,
        top=top / spec.height,
        width=inner_width / spec.width,
        height=inner_height / spec.height,
    )


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    if pixels.shape[:2] == (height, width):
        return pixels
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)
