"""Validate: the name, then a full decode, with a reason from the closed list (CAMERAS 3)."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vedette.stage import Datum
from vedette_cameras.pictures import (
    DEFAULT_LIMITS,
    Limits,
    PictureError,
    Pixels,
    Reason,
    decode,
    decoded_size,
)
from vedette_cameras.validate import command
from vedette_cameras.validate.check import check
from vedette_cameras.validate.flags import flags
from vedette_cameras.validate.stage import validate

NAME = "dev1_1511891098.jpg"


def scene(height: int = 120, width: int = 160) -> Pixels:
    rows, columns = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(7).integers(0, 60, (height, width))
    return np.stack(
        [(rows * 2 + noise) % 256, (columns + noise) % 256, noise * 3 % 256], axis=2
    ).astype(np.uint8)


def jpeg(pixels: Pixels) -> bytes:
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=90))


def saved(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (image or Image.fromarray(scene())).save(buffer, kind, **options)
    return buffer.getvalue()


def huge_png(width: int, height: int) -> bytes:
    """A PNG that is small as a file and large when decoded: all black, one bit a pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 + (width + 7) // 8) * height, 9)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def zeroed(data: bytes, count: int) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(count) + data[middle + count :]


def reason_of(data: bytes, limits: Limits = DEFAULT_LIMITS) -> str:
    fault = check(NAME, data, limits)
    assert fault is not None
    assert fault.reason in get_args(Reason)
    assert fault.detail
    assert "\n" not in fault.detail
    return fault.reason


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "JPEG"])
def test_every_supported_kind_is_valid_whatever_its_extension(kind: str) -> None:
    assert check(NAME, saved(kind)) is None


def test_lossless_kinds_decode_to_the_very_pixels() -> None:
    for kind in ("PNG", "BMP"):
        assert np.array_equal(decode(saved(kind)), scene())


def test_grey_sixteen_bit_palette_and_ink_pictures_decode_to_red_green_blue() -> None:
    grey = Image.fromarray(scene()[:, :, 0])
    assert decode(saved("JPEG", grey)).shape == (120, 160, 3)
    deep = Image.fromarray(scene()[:, :, 0].astype(np.uint16) << 8)
    assert np.array_equal(decode(saved("PNG", deep))[:, :, 1], scene()[:, :, 0])
    assert decode(saved("PNG", Image.fromarray(scene()).quantize(16))).shape == (120, 160, 3)
    ink = decode(saved("JPEG", Image.fromarray(scene()).convert("CMYK"), quality=95))
    assert abs(ink.astype(int) - scene()).mean() < 12


def test_a_jpeg_cut_in_half_is_truncated() -> None:
    whole = jpeg(scene(480, 640))
    assert reason_of(whole[: len(whole) // 2]) == "truncated"


def test_a_jpeg_with_a_kilobyte_zeroed_in_the_middle_is_truncated() -> None:
    assert reason_of(zeroed(jpeg(scene(480, 640)), 1024)) == "truncated"


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP"])
def test_other_kinds_cut_in_half_are_truncated(kind: str) -> None:
    whole = saved(kind)
    assert reason_of(whole[: len(whole) // 2]) == "truncated"


def test_a_png_with_a_kilobyte_zeroed_is_truncated_by_its_checksum() -> None:
    assert reason_of(zeroed(saved("PNG"), 1024)) == "truncated"


def test_a_png_cut_inside_its_header_is_truncated() -> None:
    assert reason_of(saved("PNG")[:20]) == "truncated"
    assert reason_of(jpeg(scene())[:10]) == "truncated"


@pytest.mark.parametrize("data", [b"", b"these are words, not a picture\n" * 9, b"\0" * 500])
def test_what_is_no_picture_is_not_an_image(data: bytes) -> None:
    assert reason_of(data) == "not_an_image"


@pytest.mark.parametrize(
    "data", [b"II*\0" + bytes(99), b"%PDF-1.7" + bytes(99), b"\0\0\0\x18ftypheic" + bytes(99)]
)
def test_a_kind_that_is_known_but_not_read_is_unsupported(data: bytes) -> None:
    assert reason_of(data) == "unsupported_format"


def test_a_hundred_megapixels_are_refused_from_the_header_alone() -> None:
    bomb = huge_png(10_000, 10_000)
    assert len(bomb) < 100_000
    assert reason_of(bomb) == "too_many_pixels"
    assert reason_of(huge_png(60_000, 60_000)) == "too_many_pixels"
    header_only = bomb[:60]
    assert reason_of(header_only) == "too_many_pixels"


def test_fifty_megapixels_are_fine() -> None:
    data = huge_png(10_000, 5_000)
    assert decoded_size(data) == 150_000_000
    assert check(NAME, data) is None


@given(
    st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP"]),
    st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=9)), max_size=4),
    st.floats(0, 1),
)
def test_no_damage_comes_out_as_anything_but_a_reason(
    kind: str, patches: list[tuple[float, bytes]], end: float
) -> None:
    data = bytearray(saved(kind, Image.fromarray(scene(24, 32))))
    for place, patch in patches:
        start = int(place * len(data))
        data[start : start + len(patch)] = patch
    limits = Limits(max_pixels=100_000)
    cut = bytes(data[: max(1, int(end * len(data)))])
    for whole in (bytes(data), cut):
        try:
            pixels = decode(whole, limits)
        except PictureError as error:
            assert error.reason in get_args(Reason)
        else:
            assert pixels.dtype == np.uint8
            assert pixels.shape[2] == 3


def test_limits_are_told_apart_by_their_reason() -> None:
    data = jpeg(scene())
    assert reason_of(data, Limits(max_bytes=1000)) == "too_large"
    assert reason_of(data, Limits(max_pixels=19_199)) == "too_many_pixels"
    assert check(NAME, data, Limits(max_pixels=19_200)) is None
    assert reason_of(jpeg(scene(7, 90))) == "too_small"
    assert check(NAME, jpeg(scene(8, 90))) is None


def test_the_future_is_judged_only_where_the_caller_tells_the_time() -> None:
    data = jpeg(scene())
    assert check("dev1_99999999999.jpg", data) is None
    fault = check("dev1_99999999999.jpg", data, latest=datetime(2030, 1, 1, tzinfo=UTC))
    assert fault is not None
    assert fault.reason == "future_timestamp"


def test_the_size_of_a_decoded_picture_is_told_from_its_header() -> None:
    for data in (jpeg(scene()), saved("PNG"), saved("GIF")):
        assert decoded_size(data) == decode(data).nbytes
    with pytest.raises(PictureError):
        decoded_size(b"words")


def test_flags_tell_a_covered_or_blinded_camera() -> None:
    assert flags(np.zeros((120, 160, 3), np.uint8)) == ("black",)
    assert flags(np.full((120, 160, 3), 255, np.uint8)) == ("white",)
    assert flags(np.full((120, 160, 3), 120, np.uint8)) == ("low_contrast",)
    assert flags(scene()) == ()


def test_the_stage_passes_a_valid_picture_on_by_reference_and_nothing_else() -> None:
    datum = Datum.of(inputs={"images": {f"/{NAME}": jpeg(scene())}})
    validate(datum)
    assert list(datum.outputs) == [f"/valid/{NAME}"]
    assert list(datum.links) == [f"/valid/{NAME}"]


def test_the_stage_writes_the_reason_beside_an_invalid_picture() -> None:
    datum = Datum.of(inputs={"images": {"/blah.jpg": jpeg(scene())}})
    validate(datum)
    assert list(datum.links) == ["/invalid/blah.jpg"]
    record = json.loads(datum.outputs["/reasons/blah.jpg.json"])
    assert record["reason"] == "bad_name"
    assert record["image"] == "/blah.jpg"
    assert record["object"] == datum.inputs["images"].file.object
    assert "bad_name" in datum.logged[0]


def test_the_stage_flags_a_black_picture_and_still_calls_it_valid() -> None:
    datum = Datum.of(inputs={"images": {f"/{NAME}": jpeg(np.zeros((64, 64, 3), np.uint8))}})
    validate(datum)
    assert f"/valid/{NAME}" in datum.links
    assert json.loads(datum.outputs[f"/flags/{NAME}.json"])["flags"] == ["black"]


def test_a_folder_of_pictures_is_sorted_one_by_one() -> None:
    files = {f"/day/{NAME}": jpeg(scene()), "/day/dev2_1511891099.jpg": b"words"}
    datum = Datum.of(inputs={"images": files})
    validate(datum)
    assert set(datum.links) == {f"/valid/{NAME}", "/invalid/dev2_1511891099.jpg"}


def test_limits_can_be_given_to_the_stage_and_a_wrong_one_is_named() -> None:
    datum = Datum.of(inputs={"images": {f"/{NAME}": saved("PNG")}})
    validate(datum, "max_pixels=100")
    assert f"/invalid/{NAME}" in datum.links
    with pytest.raises(ValueError, match="max_pixel=1"):
        validate(datum, "max_pixel=1")


def test_the_command_links_pictures_into_valid_and_invalid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / NAME).write_bytes(jpeg(scene()))
    (tmp_path / "in" / "blah.jpg").write_bytes(jpeg(scene()))
    out = tmp_path / "out"
    arguments = [str(tmp_path / "in"), str(out / "valid"), str(out / "invalid")]
    assert command.main(arguments) == 0
    assert (out / "valid" / NAME).is_symlink()
    assert (out / "valid" / NAME).read_bytes() == (tmp_path / "in" / NAME).read_bytes()
    assert [path.name for path in (out / "invalid").iterdir()] == ["blah.jpg"]
    assert "blah.jpg is invalid: bad_name" in capsys.readouterr().out
    assert command.main(arguments) == 0, "a second run replaces its links"


def test_the_command_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["one"]) == 2
    assert "usage: validate.py" in capsys.readouterr().err
    assert command.main(["/nowhere", "a", "b"]) == 2
    assert "/nowhere does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("vedette_cameras.validate.command", ["openvino", "matplotlib", "onnxruntime"]),
        ("vedette_cameras.validate.stage", ["openvino", "matplotlib", "onnxruntime"]),
        ("vedette_cameras.detect.stage", ["openvino", "matplotlib", "onnxruntime"]),
        ("vedette_cameras.judge.stage", ["openvino", "numpy", "PIL"]),
        ("vedette_cameras.threat.stage", ["openvino", "numpy", "PIL"]),
        ("vedette_cameras.threat.command", ["openvino", "numpy", "PIL"]),
        ("vedette_cameras.plot.stage", ["matplotlib", "numpy", "PIL"]),
    ],
)
def test_a_stage_imports_only_what_it_needs(module: str, unwanted: list[str]) -> None:
    code = f"import sys, {module}; print([m for m in {unwanted} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
