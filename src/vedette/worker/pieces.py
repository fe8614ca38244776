"""Files in pieces, so that none is ever in memory as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator

PIECE = 1 << 20
"""Bytes a piece."""

WHOLE = 4 << 20
"""Bytes up to which a file is moved as a whole."""


def write(descriptor: int, data: bytes) -> None:
    """Write all of `data` where the file stands."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def pieces(descriptor: int) -> Iterator[bytes]:
    """All bytes of a file, from its beginning."""
    offset = 0
    while data := os.pread(descriptor, PIECE, offset):
        yield data
        offset += len(data)
