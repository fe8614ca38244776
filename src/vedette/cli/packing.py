"""Sources of `put-file` as one tar stream."""

from __future__ import annotations

import os
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from vedette.cli.sources import Source
from vedette.cli.web import Ahead, fetched, is_address
from vedette.model.errors import Invalid
from vedette.model.paths import clean

if TYPE_CHECKING:
    from vedette.client import Client
    from vedette.model.files import WriteResult

_PIECE = 1 << 20
_WHOLE = 4 << 20
# The header of an empty file without a name: the rest is name, size and the sum of all bytes.
_HEAD = tarfile.TarInfo("").tobuf(tarfile.USTAR_FORMAT)
_SHORT, _SMALL = 100, (8 << 30) - 1
_SUM = sum(_HEAD[:124]) + sum(_HEAD[135:148]) + 8 * ord(" ") + sum(_HEAD[156:])


async def packed(sources: Sequence[Source], parallel: int) -> AsyncIterator[bytes]:
    """All sources as one tar stream, in pieces of about a megabyte."""
    held: list[bytes] = []
    size = 0
    ahead = Ahead([s.origin for s in sources if is_address(s.origin)], parallel)
    try:
        for source in sources:
            name = clean(source.path).lstrip("/")
            if is_address(source.origin):
                length, document = await ahead.next()
                contents = _all_of(document)
            else:
                length, contents = _file(source.origin)
            held.append(header(name, length))
            size += tarfile.BLOCKSIZE
            for piece in contents:
                held.append(piece)
                size += len(piece)
                if size >= _PIECE:
                    yield b"".join(held)
                    held, size = [], 0
            held.append(bytes(-length % tarfile.BLOCKSIZE))
        yield b"".join(held) + bytes(2 * tarfile.BLOCKSIZE)
    finally:
        await ahead.close()


async def put_split(
    client: Client, repo: str, branch: str, sources: Sequence[Source], how: str, count: int
) -> WriteResult:
    """Put what sources are cut into, as numbered files (ENGINE P3)."""
    from vedette.cli.split import next_number, pieces

    async def tar() -> AsyncIterator[bytes]:
        numbers: dict[str, int] = {}  # several sources may be cut into one directory
        for source in sources:
            path = clean(source.path)
            if path not in numbers:
                numbers[path] = await next_number(client, repo, branch, path)
            number = numbers[path]
            async for piece in pieces(bytes_of(source), how, count):
                head = header(f"{path.lstrip('/')}/{number:016x}", len(piece))
                yield head + piece + bytes(-len(piece) % tarfile.BLOCKSIZE)
                number += 1
            numbers[path] = number
        yield bytes(2 * tarfile.BLOCKSIZE)

    from_stdin = any(source.origin == "-" for source in sources)
    return await client.put_tar(repo, branch, tar() if from_stdin else tar)


async def bytes_of(source: Source) -> AsyncIterator[bytes]:
    """What is in one source, in pieces."""
    if is_address(source.origin):
        async for piece in fetched(source.origin):
            yield piece
    elif source.origin == "-":
        async for piece in read_pieces(sys.stdin.buffer):
            yield piece
    else:
        with Path(source.origin).open("rb") as file:
            async for piece in read_pieces(file):
                yield piece


async def read_pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    """What is left of a file, in pieces."""
    while piece := file.read(_PIECE):
        yield piece


def _all_of(document: IO[bytes]) -> Iterator[bytes]:
    with document:
        while piece := document.read(_PIECE):
            yield piece


def header(name: str, size: int) -> bytes:
    """The tar header of a file, as `tarfile` makes it.

    Short names are put together here: with `tarfile` that takes longer than to read a small file.
    """
    if len(name) > _SHORT or not name.isascii() or size > _SMALL:
        info = tarfile.TarInfo(name)
        info.size = size
        return info.tobuf(tarfile.PAX_FORMAT)
    called, large = name.encode(), b"%011o" % size
    check = _SUM + sum(called) + sum(large)
    return b"".join(
        (called, _HEAD[len(called) : 124], large, _HEAD[135:148], b"%06o" % check, _HEAD[154:])
    )


def _file(origin: str) -> tuple[int, Iterator[bytes]]:
    """A file's size and bytes: read at once if it is small."""
    descriptor = os.open(origin, os.O_RDONLY)
    try:
        length = os.fstat(descriptor).st_size
        if not length:  # a pipe says so too
            return _to_end(descriptor)
        if length <= _PIECE:
            data = os.read(descriptor, length)
            if len(data) == length:
                return length, iter((data,))
    finally:
        os.close(descriptor)
    return length, _exactly(origin, length)


def _to_end(descriptor: int) -> tuple[int, Iterator[bytes]]:
    """What a file without a size holds, kept on disk until it is sent."""
    kept = tempfile.SpooledTemporaryFile(max_size=_WHOLE)  # noqa: SIM115 - its reader closes it
    while piece := os.read(descriptor, _PIECE):
        kept.write(piece)
    length = kept.tell()
    kept.seek(0)
    return length, _all_of(kept)


def _exactly(origin: str, length: int) -> Iterator[bytes]:
    """A file's bytes. One that changes its size meanwhile would spoil the stream: refused."""
    left = length
    with Path(origin).open("rb") as file:
        while left:
            piece = file.read(min(_PIECE, left))
            if not piece:
                raise Invalid(f"{origin} became shorter while it was read: put it again")
            left -= len(piece)
            yield piece
