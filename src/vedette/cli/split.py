"""Cuts a source into numbered files (`put-file --split`, ENGINE P3)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from vedette.client import Client
from vedette.model.errors import Invalid, NotFound

_NUMBER = re.compile(r"[0-9a-f]{16}")
_PAGE = 1000


def pieces(data: bytes, how: str, count: int) -> Iterator[bytes]:
    """Parts of `count` lines or JSON values each, in order; every line keeps its end."""
    parts = data.splitlines(keepends=True) if how == "line" else list(_values(data))
    for at in range(0, len(parts), count):
        yield b"".join(parts[at : at + count])


def _values(data: bytes) -> Iterator[bytes]:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Invalid(f"this is not JSON: {error}") from None
    decoder = json.JSONDecoder()
    at = 0
    while (at := _past_space(text, at)) < len(text):
        try:
            _, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise Invalid(f"this is not JSON: {error}") from None
        yield text[at:end].encode() + b"\n"
        at = end


def _past_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


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
