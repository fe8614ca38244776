"""`put-file`: files, folders, standard input and web addresses into a repo (ENGINE P2, P3)."""

from __future__ import annotations

import os
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, NamedTuple
from urllib.parse import unquote, urlsplit

import click

from vedette.cli.session import place, speak
from vedette.cli.web import Ahead, fetched, is_address, local
from vedette.model.errors import Invalid, NotFound
from vedette.model.paths import clean

if TYPE_CHECKING:
    from vedette.client import Client

_PIECE = 1 << 20
_WHOLE = 4 << 20
# The header of an empty file without a name: the rest is name, size and the sum of all bytes.
_HEAD = tarfile.TarInfo("").tobuf(tarfile.USTAR_FORMAT)
_SHORT, _SMALL = 100, (8 << 30) - 1
_SUM = sum(_HEAD[:124]) + sum(_HEAD[135:148]) + 8 * ord(" ") + sum(_HEAD[156:])


class Source(NamedTuple):
    """One file to put: where it goes and where it comes from."""

    path: str
    origin: str


@click.command("put-file")
@click.argument("where", nargs=-1, metavar="REPO BRANCH [PATH] | REPO@BRANCH[:PATH]")
@click.option("-f", "--file", "files", multiple=True, metavar="SRC",
              help="A file, - for standard input, a web address, or with -r a folder.")  # fmt: skip
@click.option("-i", "--input-file", metavar="LIST", help="Read sources from a file, one a line.")
@click.option("-r", "--recursive", is_flag=True, help="Put all that is below a folder.")
@click.option("-a", "--append", is_flag=True, help="Add to what is there instead of replacing it.")
@click.option("-o", "--overwrite", is_flag=True, help="Replace what is there (the default).")
@click.option("-c", "--commit", is_flag=True, help="Accepted: a put makes its own commit anyway.")
@click.option("-p", "--parallelism", type=click.IntRange(1), default=10,
              help="Web addresses read at a time; files are sent in one stream.")  # fmt: skip
@click.option("--full-path", is_flag=True, help="Without PATH: keep the whole path of SRC.")
@click.option("--split", type=click.Choice(["line", "json"]),
              help="Cut SRC into files PATH/0000000000000000, ...")  # fmt: skip
@click.option("--target-file-datums", type=click.IntRange(1), default=1, metavar="N",
              help="With --split: so many lines or values a file.")  # fmt: skip
@click.option("--compat", type=click.Choice(["1.x"]), help="1.x: append, as that release did.")
def put_file(
    where: tuple[str, ...],
    files: tuple[str, ...],
    input_file: str | None,
    recursive: bool,
    append: bool,
    overwrite: bool,
    commit: bool,
    parallelism: int,
    full_path: bool,
    split: str | None,
    target_file_datums: int,
    compat: str | None,
) -> None:
    """Write files into a branch: into its open commit if it has one, else as one new commit."""
    repo, branch, path = place(where)
    origins = [*files, *_listed(input_file)] or ["-"]
    sources = list(_sources(origins, path, recursive=recursive, full_path=full_path))
    if not sources:
        raise NotFound(f"there is no file below {', '.join(origins)}")
    adds = append or (compat == "1.x" and not overwrite)
    if len(origins) > 1 and not adds and split is None:
        _refuse_equal(sources)

    async def put(client: Client) -> None:
        if split is not None:
            await _put_split(client, repo, branch, sources, split, target_file_datums)
        elif len(sources) == 1:
            await _put_one(client, repo, branch, sources[0], adds)
        else:
            # Made anew when it must be sent again: then the files are read again.
            tar = partial(_tar, sources, parallelism)
            await client.put_tar(repo, branch, tar, append=adds)

    speak(put, together=any(is_address(source.origin) for source in sources))


def _listed(input_file: str | None) -> list[str]:
    if input_file is None:
        return []
    data = sys.stdin.buffer.read() if input_file == "-" else Path(input_file).read_bytes()
    lines = (line.strip(" \t\r") for line in os.fsdecode(data).split("\n"))
    return [line for line in lines if line]


def _refuse_equal(sources: Sequence[Source]) -> None:
    """Raise Invalid where one source would replace another in one call."""
    seen: dict[str, str] = {}
    for path, origin in sources:
        first = seen.setdefault(clean(path), origin)
        if first is not origin:
            raise Invalid(
                f"{first} and {origin} would both be {clean(path)}: put them by two commands, or "
                "add them up with --append"
            )


def _sources(
    origins: Sequence[str], path: str | None, *, recursive: bool, full_path: bool
) -> Iterator[Source]:
    """Where each file goes. A path that ends in a slash, or serves many, is a directory."""
    into = path is not None and (path.endswith("/") or len(origins) > 1 or not path)
    for origin in map(local, origins):
        if origin == "-":
            if path is None or into:
                raise Invalid("standard input has no name: give the PATH it shall have")
            yield Source(path, origin)
            continue
        name = _name(origin, full_path)
        if is_address(origin):
            yield Source(_target(path, name, into), origin)
        elif Path(origin).is_dir():
            if not recursive:
                raise Invalid(f"{origin} is a folder: use -r to put all that is below it")
            base = name if path is None else path
            base, folder = base.rstrip("/"), origin.rstrip("/")
            for relative in _below(folder):
                yield Source(f"{base}/{relative}", f"{folder}/{relative}")
        elif Path(origin).exists():
            yield Source(_target(path, name, into), origin)
        else:
            raise NotFound(f"no file {origin}: name one that is there")


def _name(origin: str, full_path: bool) -> str:
    if is_address(origin):
        parts = urlsplit(origin)
        whole = unquote(parts.netloc + parts.path if full_path else parts.path)
        name = whole.strip("/") if full_path else whole.rstrip("/").rpartition("/")[2]
        if not name:
            raise Invalid(f"{origin} ends without a file name: give the PATH it shall have")
        return name
    if full_path:
        return os.path.normpath(origin).lstrip("/.")
    return Path(origin).resolve().name if origin in (".", "..") else Path(origin).name


def _target(path: str | None, name: str, into: bool) -> str:
    if path is None:
        return name
    return f"{path.rstrip('/')}/{name}" if into else path


def _below(folder: str) -> Iterator[str]:
    """The files below a folder, by their paths from there: those in it first, then its folders'."""
    left = [""]
    while left:
        base = left.pop()
        with os.scandir(f"{folder}/{base}") as found:
            entries = sorted(found, key=lambda entry: entry.name)
        inner = []
        for entry in entries:
            if entry.is_file():
                yield base + entry.name
            elif entry.is_dir(follow_symlinks=False):
                inner.append(entry.name)
            else:
                what = "a link to a folder" if entry.is_dir() else "neither a file nor a folder"
                print(f"vedette: {entry.path!r} is left out: it is {what}", file=sys.stderr)
        left.extend(f"{base}{name}/" for name in reversed(inner))


async def _put_one(client: Client, repo: str, branch: str, source: Source, append: bool) -> None:
    path = clean(source.path)
    if source.origin == "-":
        await client.put_file(repo, branch, path, _read(sys.stdin.buffer), append=append)
    elif is_address(source.origin):
        web = partial(fetched, source.origin)
        await client.put_file(repo, branch, path, web, append=append)
    elif (file := Path(source.origin)).stat().st_size <= _WHOLE:
        await client.put_file(repo, branch, path, file.read_bytes(), append=append)
    else:
        await client.put_file(repo, branch, path, partial(_bytes_of, source), append=append)


async def _put_split(
    client: Client, repo: str, branch: str, sources: Sequence[Source], how: str, count: int
) -> None:
    from vedette.cli.split import next_number, pieces

    async def tar() -> AsyncIterator[bytes]:
        numbers: dict[str, int] = {}  # several sources may be cut into one directory
        for source in sources:
            path = clean(source.path)
            if path not in numbers:
                numbers[path] = await next_number(client, repo, branch, path)
            number = numbers[path]
            async for piece in pieces(_bytes_of(source), how, count):
                head = header(f"{path.lstrip('/')}/{number:016x}", len(piece))
                yield head + piece + bytes(-len(piece) % tarfile.BLOCKSIZE)
                number += 1
            numbers[path] = number
        yield bytes(2 * tarfile.BLOCKSIZE)

    from_stdin = any(source.origin == "-" for source in sources)
    await client.put_tar(repo, branch, tar() if from_stdin else tar)


async def _bytes_of(source: Source) -> AsyncIterator[bytes]:
    if is_address(source.origin):
        async for piece in fetched(source.origin):
            yield piece
    elif source.origin == "-":
        async for piece in _read(sys.stdin.buffer):
            yield piece
    else:
        with Path(source.origin).open("rb") as file:
            async for piece in _read(file):
                yield piece


async def _read(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


async def _tar(sources: Sequence[Source], parallel: int) -> AsyncIterator[bytes]:
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
