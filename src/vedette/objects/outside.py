"""Places outside of the installation to which outputs are copied: folders and buckets."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from vedette.model.errors import Invalid, Unavailable
from vedette.objects.bucket import Bucket


class Outside(Protocol):
    """A place that takes files. Putting one again is harmless."""

    def put(self, path: str, data: bytes) -> None:
        """Copy a file to its path there. Raises VedetteError, OSError."""

    def sync(self) -> None:
        """See to it that what was put is durable."""


class OutsideFolder:
    """A folder of this host. Files appear whole; no link leads out of it."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._real = os.path.realpath(folder)
        self._touched: set[Path] = set()

    def put(self, path: str, data: bytes) -> None:
        """Copy a file to its path there. Raises Invalid where a link leads out, OSError."""
        target = self._folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        real = os.path.realpath(target.parent)
        if real != self._real and not real.startswith(self._real.rstrip("/") + "/"):
            raise Invalid(f"{target.parent} leads out of {self._folder}: remove the link")
        part = target.with_name(f".{target.name[:100]}.vedette-part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(part, flags, 0o644), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
        self._touched.add(target.parent)
        if len(self._touched) > 1000:
            self.sync()

    def sync(self) -> None:
        """Make the names durable too."""
        for folder in self._touched:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self._touched.clear()


class OutsideBucket:
    """The keys under a prefix of a bucket."""

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        self._bucket = Bucket(url, environ, patience=10.0)

    def put(self, path: str, data: bytes) -> None:
        """Copy a file to its key there. Raises VedetteError."""
        with tempfile.NamedTemporaryFile(prefix="egress-") as file:
            file.write(data)
            file.flush()
            self._bucket.put(path.lstrip("/"), Path(file.name), len(data))

    def sync(self) -> None:
        """A bucket's files are durable when they are there."""


def unreachable(url: str, error: OSError) -> Unavailable:
    """What went wrong with a place, in a line."""
    where = f"{error.filename}: " if error.filename else ""
    return Unavailable(f"egress to {url}: {where}{error.strerror or error}")
