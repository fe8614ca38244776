"""Pictures: from bytes to pixels, or the reason why not.

Everything that looks at a picture decodes it here, so that all see the same pixels and none can be
harmed by a hostile file: sizes are read from the header before anything is decoded, and damage that
other decoders pass over is refused. Of four decoders tried on a JPEG cut in half or with 1 KB
zeroed, only simplejpeg refused both; so JPEG is simplejpeg's, and PNG is checked by its checksums.
"""

from __future__ import annotations

import io
import warnings
from typing import Literal

import numpy as np
import simplejpeg
from msgspec import Struct
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

Pixels = NDArray[np.uint8]
"""Height x width x 3, red green blue, 0 to 255."""

Reason = Literal[
    "bad_name",
    "bad_timestamp",
    "future_timestamp",
    "stale_timestamp",
    "duplicate_bytes",
    "not_an_image",
    "truncated",
    "too_large",
    "too_many_pixels",
    "too_small",
    "unsupported_format",
    "unknown_device",
    "device_disabled",
    "quota_exceeded",
]
"""The closed list of reasons for which a picture is invalid (CAMERAS 3)."""

_MEGA = 1_000_000
_JPEG = b"\xff\xd8"
# A header that ends early has a colour space or subsampling that simplejpeg has no name for.
_JPEG_DAMAGE = (ValueError, KeyError)
_PILLOW = ("PNG", "WEBP", "GIF", "BMP", "JPEG")
_OTHER_KINDS = (
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\1\0", "an icon"),
    (b"%PDF", "PDF"),
)
_HEIF_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")


class Limits(Struct, frozen=True, kw_only=True):
    """What is accepted: bytes, pixels (width x height) and the shorter side in pixels."""

    max_bytes: int = 200 * _MEGA
    max_pixels: int = 64 * _MEGA
    min_side: int = 8


class PictureError(Exception):
    """Bytes that are no acceptable picture: `reason` from the closed list, `detail` for people."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


DEFAULT_LIMITS = Limits()


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Pixels:
    """Decode a whole JPEG, PNG, WebP, GIF (first frame) or BMP; raises `PictureError`."""
    if len(data) > limits.max_bytes:
        raise PictureError(
            "too_large", f"{len(data):,} bytes: at most {limits.max_bytes:,} are accepted"
        )
    if data.startswith(_JPEG):
        return _jpeg(data, limits)
    return _pillow(data, limits)


def decoded_size(data: bytes, limits: Limits = DEFAULT_LIMITS) -> int:
    """Bytes that the decoded picture takes, from its header; raises `PictureError`."""
    if data.startswith(_JPEG):
        height, width = _jpeg_header(data)[:2]
        return height * width * 3
    with _open(data) as image:
        return image.width * image.height * 3


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise PictureError(
            "too_many_pixels",
            f"{width} x {height} is {width * height / _MEGA:.1f} megapixels:"
            f" at most {limits.max_pixels / _MEGA:g} are accepted",
        )
    if min(width, height) < limits.min_side:
        raise PictureError(
            "too_small", f"{width} x {height} pixels: at least {limits.min_side} on each side"
        )


def _jpeg_header(data: bytes) -> tuple[int, int, str]:
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except _JPEG_DAMAGE as error:
        raise PictureError("truncated", f"the JPEG header is damaged: {_line(error)}") from None
    return height, width, space


def _jpeg(data: bytes, limits: Limits) -> Pixels:
    height, width, space = _jpeg_header(data)
    _check_size(width, height, limits)
    if space in ("CMYK", "YCCK"):
        # libjpeg-turbo does not turn printers' inks into RGB; Pillow does.
        return _pillow(data, limits)
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", strict=True)
    except _JPEG_DAMAGE as error:
        raise PictureError("truncated", f"the JPEG data is damaged: {_line(error)}") from None
    return pixels


def _open(data: bytes) -> Image.Image:
    """Read the header only; Pillow decodes when the pixels are asked for."""
    if not data:
        raise PictureError("not_an_image", "the file is empty")
    try:
        with warnings.catch_warnings():
            # Pillow only warns of a bomb; ours is the check that refuses, before any decoding.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(data), formats=_PILLOW)
    except UnidentifiedImageError:
        raise _unknown(data) from None
    except Image.DecompressionBombError as error:
        raise PictureError("too_many_pixels", _line(error)) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise PictureError("truncated", f"the header is damaged: {_line(error)}") from None


def _pillow(data: bytes, limits: Limits) -> Pixels:
    with _open(data) as image:
        _check_size(image.width, image.height, limits)
        kind = image.format or "picture"
        try:
            if kind == "PNG":
                _check_png(data)
            return _rgb(image)
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise PictureError("truncated", f"the {kind} data is damaged: {_line(error)}") from None


def _check_png(data: bytes) -> None:
    """Compare every chunk's checksum: decoding alone passes over some damage."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            image.verify()


def _rgb(image: Image.Image) -> Pixels:
    if image.mode.startswith("I"):
        # 16 bits of grey: keep the upper eight, where convert() would clip.
        grey = (np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    return np.asarray(image.convert("RGB"))


def _unknown(data: bytes) -> PictureError:
    supported = "JPEG, PNG, WebP, GIF and BMP are supported"
    for start, kind in _OTHER_KINDS:
        if data.startswith(start):
            return PictureError("unsupported_format", f"the file is {kind}: {supported}")
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return PictureError("unsupported_format", f"the file is HEIF or AVIF: {supported}")
    if data.startswith((b"\x89PNG", b"GIF8", b"BM")) or data[8:12] == b"WEBP":
        return PictureError("truncated", "the header is damaged")
    return PictureError("not_an_image", f"the file does not start like a picture: {supported}")


def _line(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return "it ends early"
    return " ".join(str(error).split())[:200] or type(error).__name__
