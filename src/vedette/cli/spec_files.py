"""Specs of pipelines as commands are given them: in files, on the web, in standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from vedette.cli.web import fetched, is_address
from vedette.model.errors import Invalid
from vedette.model.spec import parse_documents

_LARGEST = 16 << 20


def documents(files: Iterable[str]) -> list[dict[str, Any]]:
    """The specs in files, at web addresses, and in standard input (`-`), in order."""
    found: list[dict[str, Any]] = []
    for name in files:
        text = _text(name)
        if len(text) > _LARGEST:
            raise Invalid(f"{name} has more than {_LARGEST} bytes: that is no file of specs")
        try:
            found += parse_documents(text)
        except Invalid as error:
            raise type(error)(f"{name}: {error.message}") from None
    return found


def _text(name: str) -> bytes:
    """At most a piece more than may be."""
    if is_address(name):
        import asyncio

        return asyncio.run(_from_web(name))
    if name == "-":
        return sys.stdin.buffer.read(_LARGEST + 1)
    with Path(name).open("rb") as file:
        return file.read(_LARGEST + 1)


async def _from_web(address: str) -> bytes:
    text = b""
    async with aclosing(fetched(address)) as pieces:
        async for piece in pieces:
            text += piece
            if len(text) > _LARGEST:
                break
    return text
