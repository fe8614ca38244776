"""Which pictures the demo plays: its own, or those of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from vedette.model.errors import Invalid, NotFound
from vedette_cameras.demo.shots import length, shots, span
from vedette_cameras.devices import check_device
from vedette_cameras.ingest.brands import NameReader
from vedette_cameras.ingest.folder import TAKEN, UNFINISHED

UNKNOWN_DEVICE = "-"


class Upload(Struct, frozen=True, kw_only=True):
    """One picture on its way to the server. `taken` is given only where no name tells the time."""

    name: str
    data: bytes
    device: str = UNKNOWN_DEVICE
    taken: datetime | None = None


class Source(Protocol):
    """Where pictures come from. `title` completes the sentence "Playing ..."."""

    title: str
    total: int

    def uploads(self) -> Iterator[Upload]:
        """The pictures, one by one, so that a large folder is never in memory as a whole."""
        ...


class OwnPictures:
    """The demo's own pictures, as if they had been taken up to now."""

    def __init__(self, now: datetime) -> None:
        self._start = now - span()
        self.total = length()
        self.title = f"{self.total} pictures of five cameras"

    def uploads(self) -> Iterator[Upload]:
        """In the order in which they were taken."""
        for shot in shots(self._start, seed=int(self._start.timestamp())):
            yield Upload(name=shot.name, data=shot.data)


class Folder:
    """The pictures in a folder and below it, in the order of their names."""

    def __init__(self, folder: Path) -> None:
        """Raises `NotFound` where there is no such folder, `Invalid` where it has no picture."""
        if not folder.is_dir():
            raise NotFound(f"PICTURES={folder} is not a folder: name one that holds pictures")
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        shown = [path for path in files if not _hidden(path.relative_to(folder))]
        self._folder = folder
        self._paths = [path for path in shown if _is_picture(path)]
        if not self._paths:
            raise Invalid(
                f"PICTURES={folder} holds no picture: files ending in .jpg, .png, .webp, .gif or"
                " .bmp are played"
            )
        self.total = len(self._paths)
        left_out = len(shown) - self.total
        beside = f" ({left_out} other files are left out)" if left_out else ""
        plural = "" if self.total == 1 else "s"
        self.title = f"{self.total} picture{plural} from {folder}{beside}"

    def uploads(self) -> Iterator[Upload]:
        """One picture at a time; a sub-folder is a device where the name does not tell."""
        reader = NameReader()
        for path in self._paths:
            name = path.relative_to(self._folder).as_posix()
            device = UNKNOWN_DEVICE
            taken = None
            if reader.read(name) is None and "/" in name:
                device = _device(name.partition("/")[0])
                if device != UNKNOWN_DEVICE:
                    taken = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
            yield Upload(name=name, data=_content(path), device=device, taken=taken)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _is_picture(path: Path) -> bool:
    name = path.name.lower()
    return path.suffix.lower().removeprefix(".") in TAKEN and not name.endswith(UNFINISHED)


def _device(folder: str) -> str:
    try:
        return check_device(folder)
    except Invalid:
        return UNKNOWN_DEVICE


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from None
