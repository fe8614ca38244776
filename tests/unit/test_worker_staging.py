"""The folders of one datum are used for the next when nothing but their files tells (ENGINE R1)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vedette.worker import staging


def marked(folder: Path) -> None:
    os.setxattr(folder, "user.mark", b"x")


def swapped(folder: Path) -> None:
    folder.rmdir()
    folder.symlink_to(folder.parent.parent / "host")


def filled(folder: Path) -> None:
    for number in range(3000):
        (folder / f"{number:0200}").touch()


@pytest.fixture
def pfs(tmp_path: Path) -> Path:
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "kept").write_text("x")
    pfs = tmp_path / "pfs"
    pfs.mkdir(0o755)
    staging.make(pfs, ["out", "images"])
    return pfs


def test_a_folder_is_emptied_and_used_again(pfs: Path) -> None:
    """R1: whatever lies in it."""
    before = (pfs / "out").stat().st_ino
    (pfs / "out" / "deep").mkdir()
    (pfs / "out" / "deep" / "file").write_text("x")
    (pfs / "out" / "link").symlink_to(pfs.parent / "host")
    (pfs / "out" / "deep").chmod(0)
    (pfs / "other").mkdir()
    (pfs / "file").write_text("x")
    assert staging.clear(pfs, ["out", "images"]) == {"out", "images"}
    assert sorted(os.listdir(pfs)) == ["images", "out"]
    assert os.listdir(pfs / "out") == []
    assert (pfs / "out").stat().st_ino == before
    assert (pfs.parent / "host" / "kept").exists()


@pytest.mark.parametrize("change", [lambda folder: folder.chmod(0o500), marked, swapped, filled])
def test_a_folder_that_differs_from_a_new_one_is_not_used_again(
    pfs: Path, change: Callable[[Path], None]
) -> None:
    """R1, R6: what one datum did to a folder tells the next nothing, nor leads it elsewhere."""
    change(pfs / "out")
    assert staging.clear(pfs, ["out", "images"]) == {"images"}
    assert os.listdir(pfs) == ["images"]
    assert (pfs.parent / "host" / "kept").exists()
