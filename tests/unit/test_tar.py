"""Tar streams are read as tools write them, in whatever pieces they come."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving import tar_of

from vedette.cli.packing import header
from vedette.client.tar import Entries
from vedette.model.errors import Invalid, TooLarge

FILES = {"a.txt": b"one", "dir/" + "x" * 150 + "/ü.bin": bytes(1500), "empty": b""}


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def read(data: bytes, size: int = 1000, limit: int = 1 << 20) -> dict[str, bytes]:
    async def work() -> dict[str, bytes]:
        entries = Entries(pieces(data, size), limit)
        found = {}
        while (entry := await entries.next()) is not None:
            found[entry[0]] = await entries.bytes.exactly(entry[1])
        return found

    return asyncio.run(work())


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_and_unicode_survive(format: int) -> None:
    assert read(tar_of(FILES, format)) == FILES


@given(st.integers(1, 3000))
def test_the_size_of_pieces_does_not_matter(size: int) -> None:
    assert read(tar_of(FILES), size) == FILES


def test_folders_are_passed_over() -> None:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        folder = tarfile.TarInfo("dir")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    assert read(held.getvalue()) == {}


def test_links_and_devices_are_refused_by_name() -> None:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        link = tarfile.TarInfo("evil")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(Invalid, match="'evil'"):
        read(held.getvalue())


def test_a_stream_cut_short_is_refused() -> None:
    with pytest.raises(Invalid, match="ends in the middle"):
        read(tar_of(FILES)[:1300])


@given(st.binary(min_size=512, max_size=2000))
def test_what_is_no_tar_stream_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        read(b"x" + data)


def test_a_file_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(TooLarge, match="1500 bytes"):
        read(tar_of(FILES), limit=1000)


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
    | st.integers(1, 300).map(lambda length: "d/" * 20 + "x" * length),
    st.integers(0, 1 << 12) | st.sampled_from([(8 << 30) - 1, 8 << 30, 1 << 40]),
)
def test_put_file_writes_the_headers_that_tarfile_writes(name: str, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size = size
    assert header(name, size) == info.tobuf(tarfile.PAX_FORMAT)
