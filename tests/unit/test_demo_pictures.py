"""The demo's own pictures, and which pictures of a folder it plays."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vedette.model.errors import Invalid, NotFound
from vedette_cameras import names
from vedette_cameras.demo.figures import NONE, added, taken_off, together
from vedette_cameras.demo.shots import Shot, length, shots
from vedette_cameras.demo.sources import Folder
from vedette_cameras.pictures import PictureError, decode

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def played() -> list[Shot]:
    return list(shots(START, seed=1))


def test_the_play_is_as_long_as_it_says_and_no_name_comes_twice(played: list[Shot]) -> None:
    assert len(played) == length()
    assert len({shot.name for shot in played}) == len(played)


def test_several_devices_give_pictures_in_the_order_of_time(played: list[Shot]) -> None:
    named = [names.parse(shot.name) for shot in played if "_" in shot.name]
    assert len({name.device for name in named}) >= 4
    assert [name.captured_at for name in named] == sorted(name.captured_at for name in named)


def test_one_picture_is_damaged_one_has_no_name_and_all_others_are_whole(
    played: list[Shot],
) -> None:
    damaged = []
    for shot in played:
        try:
            decode(shot.data)
        except PictureError as error:
            damaged.append((shot.name, error.reason))
    nameless = [shot.name for shot in played if "_" not in shot.name]
    assert [reason for _, reason in damaged] == ["truncated"]
    assert len(nameless) == 1
    with pytest.raises(names.PictureNameError):
        names.parse(nameless[0])


def test_another_run_has_other_bytes_under_other_names(played: list[Shot]) -> None:
    first = next(shots(datetime(2026, 1, 2, tzinfo=UTC), seed=2))
    assert first.name != played[0].name
    assert first.data != played[0].data


def test_a_folder_is_played_in_the_order_of_names_without_what_is_no_picture(
    tmp_path: Path,
) -> None:
    (tmp_path / "garden").mkdir()
    (tmp_path / ".hidden").mkdir()
    shown = ("b_1511891098.jpg", "a_1511891098.PNG", "garden/IMG0001.jpg", "notes.txt")
    for name in (*shown, "x.jpg.part", ".c_1511891098.jpg", ".hidden/d_1511891098.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    os.utime(tmp_path / "garden/IMG0001.jpg", (1_600_000_000, 1_600_000_000))
    folder = Folder(tmp_path)
    uploads = list(folder.uploads())
    assert folder.total == 3
    assert [upload.name for upload in uploads] == [
        "a_1511891098.PNG", "b_1511891098.jpg", "garden/IMG0001.jpg",
    ]  # fmt: skip
    assert [upload.device for upload in uploads] == ["-", "-", "garden"]
    assert uploads[2].taken == datetime.fromtimestamp(1_600_000_000, UTC)
    assert "2 other files" in folder.title


def test_a_folder_that_is_missing_or_empty_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is not a folder"):
        Folder(tmp_path / "none")
    with pytest.raises(Invalid, match="holds no picture") as told:
        Folder(tmp_path)
    assert "\n" not in told.value.message


def test_counts_are_added_and_taken_off_state_by_state() -> None:
    two = added(added(NONE, "alerted"), "invalid")
    assert (two.received, two.alerted, two.invalid) == (2, 1, 1)
    assert taken_off(two, two) == NONE
    assert together(two, two).received == 4
