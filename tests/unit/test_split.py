"""put-file --split cuts a stream as it comes (ENGINE P3)."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.cli import split
from vedette.cli.split import pieces
from vedette.model.errors import Invalid, TooLarge


def cut(chunks: Iterable[bytes], how: str, count: int = 1) -> list[bytes]:
    async def source() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def run() -> list[bytes]:
        return [piece async for piece in pieces(source(), how, count)]

    return asyncio.run(run())


def chunked(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(st.lists(st.binary(max_size=6)), st.integers(1, 5), st.integers(1, 3))
def test_p3_lines_are_the_same_however_they_arrive(
    parts: list[bytes], size: int, count: int
) -> None:
    data = b"\n".join(parts)
    lines = [line + b"\n" for line in data.split(b"\n")[:-1]] + [data.split(b"\n")[-1]]
    lines = [line for line in lines if line]
    expected = [b"".join(lines[at : at + count]) for at in range(0, len(lines), count)]
    assert cut(chunked(data, size), "line", count) == expected


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.lists(values, max_size=6), st.integers(1, 7), st.integers(1, 3))
def test_p3_json_values_are_the_same_however_they_arrive(
    found: list[object], size: int, count: int
) -> None:
    data = " \n".join(json.dumps(value, ensure_ascii=False) for value in found).encode()
    parts = cut(chunked(data, size), "json", count)
    assert len(parts) == -(-len(found) // count)
    read = [json.loads(line) for part in parts for line in part.decode().split("\n") if line]
    assert read == found


@pytest.mark.parametrize("data", [b"{", b"[1,", b"\xff", b"1 x", b'"open'])
def test_p3_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid, match="not JSON"):
        cut(chunked(data, 1), "json")


@pytest.mark.parametrize("how", ["line", "json"])
def test_p3_one_endless_line_or_value_is_refused(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "LONGEST", 1000)
    with pytest.raises(TooLarge, match="more than 1000 bytes"):
        cut([b'"'] + [b"x" * 100] * 50, how)


def test_p3_a_long_stream_is_cut_in_bounded_memory() -> None:
    async def source() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b'{"a": 1}\n' * 6_000

    async def run() -> int:
        return sum([1 async for _ in pieces(source(), "json", 1000)])

    tracemalloc.start()
    try:
        assert asyncio.run(run()) == 40 * 6
        assert tracemalloc.get_traced_memory()[1] < 5 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a": NaN}', "NaN is no value"),
        (b"[-Infinity]", "-Infinity is no value"),
    ],
)
def test_p3_what_is_no_json_or_cannot_be_read_is_refused(data: bytes, says: str) -> None:
    """P3."""
    with pytest.raises(Invalid, match=says):
        cut([data], "json")


def test_p3_numbers_of_any_length_are_kept_as_they_are() -> None:
    """P3."""
    data = b"1" * 5000 + b" 1.50 1e400"
    assert b"".join(cut([data], "json")).split() == data.split()
