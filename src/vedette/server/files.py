"""Operations that read files."""

from __future__ import annotations

import asyncio
import tarfile
from collections.abc import AsyncIterator, Iterator
from typing import TypeVar

from vedette.model.errors import Corrupt, NotFound
from vedette.model.files import FileInfo
from vedette.model.glob import compile_glob
from vedette.model.ids import ObjectId, object_hasher
from vedette.model.paths import clean
from vedette.server.call import Call, Content
from vedette.server.site import Site
from vedette.versioning import commits, contents, files, retention

T = TypeVar("T")
_HERE = 256 << 10
_WHOLE = 4 << 20
_PIECE = 1 << 20
_PAGE = 200
_MEDIA = {
    "bmp": "image/bmp", "csv": "text/csv", "gif": "image/gif", "html": "text/html",
    "jpeg": "image/jpeg", "jpg": "image/jpeg", "json": "application/json", "log": "text/plain",
    "md": "text/markdown", "pdf": "application/pdf", "png": "image/png", "svg": "image/svg+xml",
    "toml": "application/toml", "txt": "text/plain", "webp": "image/webp", "yaml": "text/yaml",
}  # fmt: skip


async def get_file(site: Site, call: Call) -> Content:
    """The bytes of a file."""
    repo, path = call.params["repo"], clean(call.params["path"])
    with site.read() as rows:
        commit = commits.resolve(rows, repo, call.params["ref"])
        found = files.stat(rows, commit, path)
        if found is None:
            there = files.exists_below(rows, commit, path)
            hint = "is a directory: get it with -r" if there else "is not there"
            raise NotFound(f"{repo}@{call.params['ref']}:{path} {hint}", repo=repo, path=path)
        retention.refuse_gone(rows, repo, found)
        data = None
        if found.size <= _HERE and call.etag != found.object.hex():
            data = contents.read(rows, site.objects, found.object)
    chunks: bytes | AsyncIterator[bytes]
    if data is not None:
        chunks = data
    elif call.etag == found.object.hex():
        chunks = b""
    elif found.size <= _WHOLE:
        chunks = await asyncio.to_thread(_whole, site, found.object)
    else:
        chunks = in_thread(pieces_of(site, found.object, 0, found.size, whole=True))
    return Content(chunks=chunks, media=media_of(path), etag=found.object.hex(), size=found.size)


async def list_file(site: Site, call: Call) -> list[FileInfo]:
    """What is in a directory."""
    repo, query = call.params["repo"], call.query
    limit = site.page(query.limit)

    def look() -> list[FileInfo]:
        with site.read() as rows:
            commit = commits.resolve(rows, repo, call.params["ref"])
            return files.list_files(rows, commit, clean(call.params["path"]), query.after, limit)

    return await asyncio.to_thread(look)


async def glob_file(site: Site, call: Call) -> list[FileInfo]:
    """Files and directories that match a pattern."""
    repo, query = call.params["repo"], call.query
    limit = site.page(query.limit)
    pattern = compile_glob(query.pattern)

    def look() -> list[FileInfo]:
        with site.read() as rows:
            commit = commits.resolve(rows, repo, call.params["ref"])
            return files.glob(rows, commit, pattern, query.after, limit)

    return await asyncio.to_thread(look)


async def inspect_file(site: Site, call: Call) -> FileInfo:
    """One file or directory."""
    repo = call.params["repo"]

    def look() -> FileInfo:
        with site.read() as rows:
            commit = commits.resolve(rows, repo, call.params["ref"])
            return files.inspect(rows, commit, clean(call.params["path"]))

    return await asyncio.to_thread(look)


async def archive(site: Site, call: Call) -> Content:
    """All files at or below a path as a tar stream, with the paths they have in the repo."""
    repo, path = call.params["repo"], clean(call.params["path"])
    with site.read() as rows:
        commit = commits.resolve(rows, repo, call.params["ref"])
        found = files.stat(rows, commit, path) or files.exists_below(rows, commit, path)
        if not found and path != "/":
            raise NotFound(f"{repo}@{call.params['ref']}:{path} is not there", repo=repo)
    return Content(chunks=in_thread(_tar(site, commit, path)), media="application/x-tar")


def media_of(path: str) -> str:
    """The content type of a file by the end of its name."""
    return _MEDIA.get(path.rpartition(".")[2].lower(), "application/octet-stream")


async def in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, each made in a thread."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def _whole(site: Site, name: ObjectId) -> bytes:
    with site.read() as rows:
        return contents.read(rows, site.objects, name)


def pieces_of(
    site: Site, name: ObjectId, first: int, count: int, *, whole: bool
) -> Iterator[bytes]:
    """Many bytes of an object in pieces. The `whole` of it is verified at the end: a reader of
    damaged bytes sees a broken end.

    Each piece is read in a transaction of its own, so that none stays open for a slow reader.
    """
    hasher = object_hasher()
    end = first + count
    for offset in range(first, end, _PIECE):
        with site.read() as rows:
            piece = contents.read(rows, site.objects, name, offset, min(_PIECE, end - offset))
        hasher.update(piece)
        if whole and offset + _PIECE >= end and hasher.digest() != name:
            raise Corrupt(f"object {name.hex()} is not what it should be: restore it from a backup")
        yield piece


def _tar(site: Site, commit: commits.CommitRow, path: str) -> Iterator[bytes]:
    after = ""
    held: list[bytes] = []
    size = 0
    while True:
        with site.read() as rows:
            page = files.walk(rows, commit, path, after, _PAGE)
        for file in page:
            if file.gone is not None:
                continue  # deleted for good: it has no bytes to send
            info = tarfile.TarInfo(file.path.lstrip("/"))
            info.size = file.size
            held.append(info.tobuf(tarfile.PAX_FORMAT))
            if file.size > _WHOLE:
                yield b"".join(held)
                yield from pieces_of(site, file.object, 0, file.size, whole=True)
                held, size = [], 0
            else:
                held.append(_whole(site, file.object))
                size += file.size + tarfile.BLOCKSIZE
            held.append(bytes(-file.size % tarfile.BLOCKSIZE))
            if size >= _PIECE:
                yield b"".join(held)
                held, size = [], 0
        if len(page) < _PAGE:
            break
        after = page[-1].path
    yield b"".join(held) + bytes(2 * tarfile.BLOCKSIZE)
