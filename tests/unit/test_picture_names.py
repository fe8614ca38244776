"""The original's grammar of names: `<device>_<time>.<ext>` (CAMERAS 1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vedette_cameras.names import PictureNameError, moment, parse, result_path


@pytest.mark.parametrize(
    ("name", "device", "stamp", "captured_at"),
    [
        ("dev1_1511891098.jpg", "dev1", "1511891098", "2017-11-28T17:44:58"),
        ("dev1_1511891098123.jpg", "dev1", "1511891098123", "2017-11-28T17:44:58.123"),
        ("192.168.1.65_0000000000.PNG", "192.168.1.65", "0000000000", "1970-01-01T00:00:00"),
        ("küche-2_99999999999.webp", "küche-2", "99999999999", "5138-11-16T09:46:39"),
    ],
)
def test_a_good_name_gives_device_and_time(
    name: str, device: str, stamp: str, captured_at: str
) -> None:
    found = parse(name)
    assert (found.device, found.stamp) == (device, stamp)
    assert found.captured_at == datetime.fromisoformat(captured_at).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "reason", "told"),
    [
        ("blah.jpg", "bad_name", "0 '_'"),
        ("front_door_1511891098.jpg", "bad_name", "2 '_'"),
        ("_1511891098.jpg", "bad_name", "no device"),
        ("dev1_1511891098", "bad_name", "no extension"),
        ("dev1_1511891098.", "bad_name", "no extension"),
        ("", "bad_name", "no extension"),
        ("dev1_.jpg", "bad_timestamp", "10 digits"),
        ("dev1_151189109.jpg", "bad_timestamp", "10 digits"),
        ("dev1_15118910x8.jpg", "bad_timestamp", "10 digits"),
        ("dev1_-1511891098.jpg", "bad_timestamp", "10 digits"),
        ("dev1_１５１１８９１０９８.jpg", "bad_timestamp", "10 digits"),
        ("dev1_1511891098.0.jpg", "bad_timestamp", "10 digits"),
        ("dev1_20250905115636.jpg", "bad_timestamp", "no date"),
        (f"dev1_{'9' * 4000}.jpg", "bad_timestamp", "no date"),
        (f"dev1_{'9' * 5000}.jpg", "bad_timestamp", "no date"),
    ],
)
def test_a_bad_name_says_what_is_wrong_in_one_line(name: str, reason: str, told: str) -> None:
    with pytest.raises(PictureNameError) as caught:
        parse(name)
    assert caught.value.reason == reason
    assert told in caught.value.detail
    assert "\n" not in caught.value.detail
    assert len(caught.value.detail) < 200


def test_results_lie_under_the_device_by_time() -> None:
    assert result_path(parse("dev1_1511891098.jpg")) == "/dev1/1511891098.json"


def test_a_moment_of_thirteen_digits_is_in_milliseconds() -> None:
    assert moment("1511891098999") - moment("1511891098") == timedelta(milliseconds=999)
