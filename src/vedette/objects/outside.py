"""Places outside of the installation to which outputs are copied: folders and buckets."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from vedette.model.errors import Invalid, Unavailable

Fill = Callable[[int], None]
"""Writes a file's bytes, verified, to an open descriptor, in pieces."""


class Outside(Protocol):
    """A place that takes files. Putting one again is harmless."""

    def put(self, path: str, fill: Fill) -> None:
        """Copy what `fill` writes to its path there. Raises VedetteError, OSError."""

    def sync(self) -> None:
        """See to it that what was put is durable."""


class OutsideFolder:
    """A folder of this host. Files appear whole; no link leads out of it."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._real = os.path.realpath(folder)
        self._touched: set[Path] = set()

    def put(self, path: str, fill: Fill) -> None:
        """Copy a file to its path there. Raises Invalid where a link leads out, OSError."""
        target = self._folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        real = os.path.realpath(target.parent)
        if real != self._real and not real.startswith(self._real.rstrip("/") + "/"):
            raise Invalid(f"{target.parent} leads out of {self._folder}: remove the link")
        part = target.with_name(f".{target.name[:100]}.vedette-part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        descriptor = os.open(part, flags, 0o644)
        try:
            fill(descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
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
    """The keys under a prefix of a bucket. `folder` is where a file waits until it is sent."""

    def __init__(self, url: str, environ: Mapping[str, str], folder: Path | None) -> None:
        try:
            from vedette.objects.bucket import Bucket
        except ImportError:
            raise Invalid(
                f"egress to {url} needs another package: pip install 'vedette[s3]'"
            ) from None
        self._bucket = Bucket(url, environ, patience=10.0)
        self._folder = folder

    def put(self, path: str, fill: Fill) -> None:
        """Copy a file to its key there, a large one in parts. Raises VedetteError.

        It lies on the disk first: what is sent has been verified, and is sent again from there.
        """
        with tempfile.NamedTemporaryFile(prefix="egress-", dir=self._folder) as file:
            fill(file.fileno())
            size = os.fstat(file.fileno()).st_size
            self._bucket.put(path.lstrip("/"), Path(file.name), size)

    def sync(self) -> None:
        """A bucket's files are durable when they are there."""


def unreachable(url: str, error: OSError) -> Unavailable:
    """What went wrong with a place, in a line."""
    where = f"{error.filename}: " if error.filename else ""
    return Unavailable(f"egress to {url}: {where}{error.strerror or error}")
