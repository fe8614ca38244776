"""Cuts a source into numbered files (`put-file --split`, ENGINE P3)."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from vedette.model.errors import Invalid, NotFound, TooLarge

if TYPE_CHECKING:
    from vedette.client import Client

LONGEST = 64 << 20
"""Bytes that one line or JSON value may have, since it is held whole."""
_NUMBER = re.compile(r"[0-9a-f]{16}")
_SPACE = re.compile(r"\s*")
_PAGE = 1000


async def pieces(data: AsyncIterator[bytes], how: str, count: int) -> AsyncIterator[bytes]:
    """Parts of `count` lines or JSON values each, in order; every line keeps its end.

    Holds one part at a time. Raises Invalid for what is not JSON, TooLarge for a line or value of
    more than LONGEST bytes.
    """
    held: list[bytes] = []
    async for part in _lines(data) if how == "line" else _values(data):
        held.append(part)
        if len(held) == count:
            yield b"".join(held)
            held = []
    if held:
        yield b"".join(held)


async def _lines(data: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest: list[bytes] = []
    size = 0
    async for chunk in data:
        for line in _split(chunk):
            rest.append(line)
            size += len(line)
            _bounded(size, "line")
            if line.endswith(b"\n"):
                yield b"".join(rest)
                rest, size = [], 0
    if rest:
        yield b"".join(rest)


def _split(chunk: bytes) -> list[bytes]:
    """At newlines alone: a carriage return belongs to the line that it is in."""
    parts = chunk.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


async def _values(data: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    decode = codecs.getincrementaldecoder("utf-8")().decode
    text, tried = "", 0
    async for chunk in data:
        try:
            text += decode(chunk)
        except UnicodeDecodeError as error:
            raise Invalid(f"this is not JSON: {error}") from None
        # A value that goes on beyond the text is read again only when twice as much is there.
        if len(text) < 2 * tried:
            _bounded(len(text), "JSON value")
            continue
        found, text = _complete(text, last=False)
        tried = len(text)
        _bounded(tried, "JSON value")
        for value in found:
            yield value
    found, _ = _complete(text, last=True)
    for value in found:
        yield value


def _complete(text: str, *, last: bool) -> tuple[list[bytes], str]:
    """The values that a text holds whole, and the rest of it."""
    # Only where a value ends is asked: numbers are left as they are, of any length.
    decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_no_constant)
    found: list[bytes] = []
    at = _past_space(text, 0)
    while at < len(text):
        try:
            _, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            if last:
                raise Invalid(f"this is not JSON: {error}") from None
            break
        except RecursionError:
            raise Invalid("this JSON is nested too deeply to be cut: put the file whole") from None
        if end == len(text) and not last:  # a number may go on
            break
        found.append(text[at:end].encode() + b"\n")
        at = _past_space(text, end)
    return found, text[at:]


def _no_constant(word: str) -> None:
    raise Invalid(f"this is not JSON: {word} is no value of it")


def _past_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return at if space is None else space.end()


def _bounded(size: int, what: str) -> None:
    if size > LONGEST:
        raise TooLarge(f"a {what} has more than {LONGEST} bytes: cut it, or put the file whole")


async def next_number(client: Client, repo: str, branch: str, path: str) -> int:
    """The number after the highest one in a directory; 0 where there is none."""
    highest, after = -1, ""
    try:
        while page := await client.list_file(repo, branch, path, after=after, limit=_PAGE):
            names = [file.path.rpartition("/")[2] for file in page]
            numbers = [int(name, 16) for name in names if _NUMBER.fullmatch(name)]
            highest = max([highest, *numbers])
            after = page[-1].path
            if len(page) < _PAGE:
                break
    except NotFound:
        # No such branch or directory yet. A repo that is missing is told by the put itself.
        return 0
    return highest + 1
