"""However large what passes through is, the memory of the server is bounded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import pytest
from tests.program import Server, serving

from vedette.cli.packing import header

PIECE = 1 << 20
ROOM = 96 << 20
"""Bytes that the server may take on top, however much passes through."""


def most_memory(server: Server) -> int:
    """The highest resident memory that the server ever had, in bytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10


def pieces(count: int) -> Iterator[bytes]:
    """Megabytes of bytes that are all different."""
    seed = os.urandom(PIECE)
    for number in range(count):
        yield number.to_bytes(8, "big") + seed[8:]


def through(server: Server, megabytes: int) -> None:
    """Put a file of this size, and get it."""
    put, got = blake2b(), blake2b()

    def sent() -> Iterator[bytes]:
        for piece in pieces(megabytes):
            put.update(piece)
            yield piece

    path = f"{server.address}/v1/repos/files"
    answer = server.http.put(f"{path}/branches/master/files/large", content=sent(), timeout=None)
    assert answer.status_code == 200, answer.text
    target = f"{path}/commits/master/files/large"
    with server.http.stream("GET", target, timeout=None) as content:
        assert int(content.headers["content-length"]) == megabytes * PIECE
        for chunk in content.iter_bytes(PIECE):
            got.update(chunk)
    assert got.digest() == put.digest()


def test_a_file_larger_than_the_memory_allowed_passes_through(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        server("create-repo", "files")
        through(server, 8)
        before = most_memory(server)
        through(server, 2 * (ROOM >> 20))
        assert most_memory(server) < before + ROOM


@pytest.mark.slow
def test_a_file_of_gigabytes_passes_through(tmp_path: Path) -> None:
    """VEDETTE_LARGE_FILE_MB says how many megabytes instead of 2,048: 10240 is 10 GB."""
    megabytes = int(os.environ.get("VEDETTE_LARGE_FILE_MB", "2048"))
    if shutil.disk_usage(tmp_path).free < 3 * megabytes << 20:
        pytest.skip(f"the disk has no room for a file of {megabytes} MB")
    with serving(tmp_path / "data") as server:
        server("create-repo", "files")
        through(server, 8)
        before = most_memory(server)
        through(server, megabytes)
        assert most_memory(server) < before + ROOM


def many(count: int, first: int) -> Iterator[bytes]:
    """A tar of empty files."""
    for number in range(first, first + count, 1000):
        yield b"".join(header(f"many/{file:07}", 0) for file in range(number, number + 1000))
    yield bytes(1024)


def listed_in_pages(tmp_path: Path, count: int, limit: int) -> None:
    """Put `count` files in streams of 10,000, and list them in pages of `limit`."""
    with serving(tmp_path / "data") as server:
        server("create-repo", "files")
        for first in range(0, count, 10_000):
            answer = server.http.post(
                f"{server.address}/v1/repos/files/branches/master/files",
                content=many(10_000, first),
                headers={"content-type": "application/x-tar"},
            )
            assert answer.status_code == 200, answer.text
        before = most_memory(server)
        seen, after = 0, ""
        while page := server.get(
            "/v1/repos/files/commits/master/list/many", limit=str(limit), after=after
        ):
            assert page[0]["path"] == f"/many/{seen:07}"
            seen, after = seen + len(page), page[-1]["path"]
        assert seen == count
        assert most_memory(server) < min(before + ROOM, 500 << 20)


def test_a_list_of_many_files_comes_in_pages_and_bounded_memory(tmp_path: Path) -> None:
    """ENGINE G7: the same page by page as at once, which is refused above the limit of a page."""
    listed_in_pages(tmp_path, 30_000, 5000)


@pytest.mark.slow
def test_a_long_list_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    """ENGINE G7. VEDETTE_MANY_FILES says how many instead, in tens of thousands: a million, say."""
    listed_in_pages(tmp_path, int(os.environ.get("VEDETTE_MANY_FILES", "200000")), 10_000)
