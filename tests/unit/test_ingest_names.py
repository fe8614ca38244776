"""How files are named by cameras, and what ingest makes of it (CAMERAS 2)."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.cameras import picture

from vedette.model.errors import Invalid
from vedette.model.paths import clean
from vedette_cameras import names
from vedette_cameras.devices import check_device
from vedette_cameras.ingest.brands import Brand, NameReader, to_utc, zone
from vedette_cameras.ingest.kinds import Kind, exif_time, look
from vedette_cameras.ingest.offer import Offer, clean_base, is_generic, settle

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
READER = NameReader()


@pytest.mark.parametrize(
    ("name", "brand", "device", "local", "event"),
    [
        (
            "192.168.1.65_01_20250905115636245_MOTION_DETECTION.jpg",
            "hikvision", "192.168.1.65-01", datetime(2025, 9, 5, 11, 56, 36, 245000),
            "MOTION_DETECTION",
        ),
        (
            "gg_733804851_20190319124752348_MOTION_DETECTION.jpg",
            "hikvision", "gg-733804851", datetime(2019, 3, 19, 12, 47, 52, 348000),
            "MOTION_DETECTION",
        ),
        (
            "2018-02-25/001/jpg/18/09/42[M][0@0][0].jpg",
            "dahua", "", datetime(2018, 2, 25, 18, 9, 42), "M",
        ),
        (
            "porch/2018-02-25/001/jpg/13/28.47[M][0@0][0].jpg",
            "dahua", "porch", datetime(2018, 2, 25, 13, 28, 47), "M",
        ),
        ("K3TA_00_20220307125217.jpg", "reolink", "K3TA-00", datetime(2022, 3, 7, 12, 52, 17), ""),
        (
            "gate_20050107180655_3_pre.jpg",
            "vivotek", "gate", datetime(2005, 1, 7, 18, 6, 55), "pre",
        ),
        (
            "gate_20050107180655_5_pos.jpg",
            "vivotek", "gate", datetime(2005, 1, 7, 18, 6, 55), "pos",
        ),
    ],
)  # fmt: skip
def test_names_of_each_brand_tell_device_and_local_time(
    name: str, brand: str, device: str, local: datetime, event: str
) -> None:
    found = READER.read(name)
    assert found is not None
    assert (found.brand, found.device, found.local, found.event) == (brand, device, local, event)


def test_the_originals_own_names_are_read_first_and_in_utc() -> None:
    found = READER.read("anywhere/dev1_1511891098.jpg")
    assert found is not None
    assert found.device == "dev1"
    assert found.utc == datetime(2017, 11, 28, 17, 44, 58, tzinfo=UTC)
    assert found.stamp == "1511891098"


@pytest.mark.parametrize("name", ["blah.jpg", "a_b_c.jpg", "K3TA_00_20229907125217.jpg", "x_1.jpg"])
def test_names_without_device_or_time_tell_nothing(name: str) -> None:
    assert READER.read(name) is None


def test_a_new_brand_is_a_pattern() -> None:
    reader = NameReader([Brand("acme", r"(?P<device>[a-z]+)@(?P<time>\d{14})")])
    found = reader.read("door@20240102030405.jpg")
    assert found is not None
    assert (found.brand, found.device) == ("acme", "door")


@pytest.mark.parametrize(("pattern", "say"), [("(", "character"), (r"(?P<device>\w+)", "time")])
def test_a_faulty_pattern_is_refused_by_name(pattern: str, say: str) -> None:
    with pytest.raises(Invalid, match=f"acme.*{say}"):
        NameReader([Brand("acme", pattern)])


def test_local_time_follows_daylight_saving() -> None:
    berlin = zone("Europe/Berlin")
    winter = to_utc(datetime(2024, 1, 15, 12, 0), berlin, NOW)
    summer = to_utc(datetime(2024, 7, 15, 12, 0), berlin, NOW)
    assert winter.hour == 11
    assert summer.hour == 10


def test_the_hour_that_happens_twice_is_the_first_unless_it_came_with_the_second() -> None:
    berlin = zone("Europe/Berlin")
    local = datetime(2024, 10, 27, 2, 30)
    first = datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    second = datetime(2024, 10, 27, 1, 30, tzinfo=UTC)
    assert to_utc(local, berlin, NOW) == first
    assert to_utc(local, berlin, first + timedelta(seconds=5)) == first
    assert to_utc(local, berlin, second + timedelta(seconds=5)) == second


def test_the_hour_that_does_not_exist_is_read_with_the_offset_before_it() -> None:
    found = to_utc(datetime(2024, 3, 31, 2, 30), zone("Europe/Berlin"), NOW)
    assert found == datetime(2024, 3, 31, 1, 30, tzinfo=UTC)


def test_an_unknown_time_zone_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match="Europe/Nowhere"):
        zone("Europe/Nowhere")


@pytest.mark.parametrize(
    ("kind", "extension"),
    [("JPEG", "jpg"), ("PNG", "png"), ("GIF", "gif"), ("BMP", "bmp"), ("WEBP", "webp")],
)
def test_kind_and_size_are_read_from_the_first_bytes(kind: str, extension: str) -> None:
    found = look(picture(kind=kind, size=(64, 48)))
    assert found.extension == extension
    if extension != "webp":
        assert (found.width, found.height) == (64, 48)


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8", b"BM", b"GIF89a", b"\x89PNG"]))
def test_no_bytes_at_all_break_the_look(rest: bytes, start: bytes) -> None:
    assert isinstance(look(start + rest), Kind)


def test_the_time_in_the_picture_counts_when_the_name_gives_none() -> None:
    image = Image.new("RGB", (8, 8))
    exif = image.getexif()
    ifd = exif.get_ifd(0x8769)
    ifd[0x9003], ifd[0x9291], ifd[0x9011] = "2024:07:15 12:00:00", "25", "+02:00"
    held = io.BytesIO()
    image.save(held, "JPEG", exif=exif)
    assert exif_time(held.getvalue()) == (datetime(2024, 7, 15, 10, 0, 0, 250000, tzinfo=UTC), True)
    named = settle(
        Offer(data=held.getvalue(), device="gate", original_name="x.jpg", received_at=NOW,
              source="http"),
        "gate", READER, "",
    )  # fmt: skip
    assert (named.stem(), named.time_source) == ("gate_1721037600250", "exif")
    assert exif_time(picture()) is None


def stems(name: str, device: str = "", captured_at: datetime | None = None) -> list[str]:
    offer = Offer(
        data=b"x", original_name=name, received_at=NOW, source="http", captured_at=captured_at
    )
    parsed = READER.read(name)
    wanted = device or (parsed.device if parsed else "")
    return list(islice(settle(offer, wanted, READER, "").stems(), 3))


def test_a_taken_second_gives_way_to_milliseconds_and_a_base_name_to_numbers() -> None:
    assert stems("dev1_1511891098.jpg") == [
        "dev1_1511891098", "dev1_1511891098000", "dev1_1511891098001"
    ]  # fmt: skip
    assert stems("blah.jpg") == ["blah", "blah-2", "blah-3"]
    assert stems("dev1_1511891098123.jpg")[:2] == ["dev1_1511891098123", "dev1_1511891098124"]


def test_a_time_that_is_known_to_the_millisecond_keeps_it() -> None:
    moment = datetime(2017, 11, 28, 17, 44, 58, 123000, tzinfo=UTC)
    assert stems("x.jpg", "dev1", captured_at=moment)[0] == "dev1_1511891098123"
    assert stems("x.jpg", "dev1", captured_at=moment.replace(microsecond=0))[0] == "dev1_1511891098"


@given(st.text(max_size=300))
def test_every_base_name_becomes_one_that_a_repo_can_hold(name: str) -> None:
    base = clean_base(name)
    assert clean(f"/{base}.jpg") == f"/{base}.jpg"
    assert "/" not in base


def test_names_that_every_camera_gives_to_every_picture_say_nothing() -> None:
    assert is_generic("snapshot.jpg")
    assert not is_generic("blah.jpg")


@pytest.mark.parametrize(
    ("name", "offer"), [("front_door", "front-door"), ("_", "camera"), ("a__b", "a--b")]
)
def test_a_device_with_an_underscore_is_refused_and_a_name_offered(name: str, offer: str) -> None:
    with pytest.raises(Invalid, match=offer):
        check_device(name)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "x" * 64, " a", "a\n", "-", "a%b"])
def test_devices_that_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(Invalid):
        check_device(name)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.-]{0,20}", fullmatch=True))
def test_every_name_made_here_is_valid_to_the_pipeline(device: str) -> None:
    check_device(device)
    moment = datetime(2017, 11, 28, 17, 44, 58, tzinfo=UTC)
    stem = stems("x.jpg", device, captured_at=moment)[0]
    assert names.parse(f"{stem}.jpg").device == device
