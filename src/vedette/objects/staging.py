"""Bytes on their way to a remote store: kept in local files until they have arrived.

Small objects gather in a pack; a pack and a large object are one file each. Nothing here outlives
a process: no row names what has not arrived.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

from vedette.model.errors import NoSpace, TooLarge
from vedette.model.ids import ObjectId, object_hasher

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Staged:
    """One file on its way to a key. Guarded by the store's lock."""

    def __init__(self, key: str, path: Path, size: int = 0) -> None:
        self.key, self.path, self.size = key, path, size
        self.upload: Future[None] | None = None
        self.failed = False


class Staging:
    """A folder of files on their way, emptied when it is opened."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.iterdir():
                left.unlink()
        except OSError as error:
            self.refuse(error)

    def begin(self, key: str) -> Staged:
        """An empty file for a key."""
        path = self._folder / uuid4().hex
        try:
            path.touch(exist_ok=False)
        except OSError as error:
            self.refuse(error)
        return Staged(key, path)

    def append(self, staged: Staged, data: bytes) -> int:
        """Write bytes at the end; where they begin. One thread at a time."""
        offset = staged.size
        try:
            descriptor = os.open(staged.path, os.O_WRONLY)
            try:
                view, at = memoryview(data), offset
                while view:
                    written = os.pwrite(descriptor, view, at)
                    view, at = view[written:], at + written
            finally:
                os.close(descriptor)
        except OSError as error:
            self.refuse(error)
        staged.size = offset + len(data)
        return offset

    def spool(self, head: bytes, rest: Iterator[bytes], limit: int) -> tuple[ObjectId, int, Path]:
        """Write a stream to a file of its own; its id, size and path. Raises TooLarge, NoSpace."""
        path, size, hasher = self._folder / uuid4().hex, 0, object_hasher()
        try:
            with path.open("xb", buffering=0) as file:
                for piece in _chain(head, rest):
                    size += len(piece)
                    if size > limit:
                        raise TooLarge(f"the upload has more than {limit} bytes: send less")
                    hasher.update(piece)
                    view = memoryview(piece)
                    while view:
                        view = view[file.write(view) :]
        except BaseException as error:
            path.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno in _FULL:
                self.refuse(error)
            raise
        return ObjectId(hasher.digest()), size, path

    def refuse(self, error: OSError) -> NoReturn:
        """Say that the disk is full, where it is that."""
        if error.errno in _FULL:
            raise NoSpace(
                f"the disk that holds {self._folder} is full: nothing was accepted, make room"
            ) from error
        raise error


def read_file(path: Path, first: int, count: int) -> bytes | None:
    """Bytes of a file, None when it is gone."""
    try:
        with path.open("rb") as file:
            file.seek(first)
            return file.read(count)
    except FileNotFoundError:
        return None


def _chain(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest
