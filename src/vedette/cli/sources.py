"""What `put-file` is told to put, and where each file goes (ENGINE P2)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from vedette.cli.web import is_address, local
from vedette.model.errors import Invalid, NotFound
from vedette.model.paths import clean


class Source(NamedTuple):
    """One file to put: where it goes and where it comes from."""

    path: str
    origin: str


def listed(input_file: str | None) -> list[str]:
    """The sources that a file names, one a line; - is standard input."""
    if input_file is None:
        return []
    data = sys.stdin.buffer.read() if input_file == "-" else _bytes(input_file)
    lines = (line.strip(" \t\r") for line in os.fsdecode(data).split("\n"))
    return [line for line in lines if line]


def _bytes(name: str) -> bytes:
    with open(name, "rb") as file:
        return file.read()


def refuse_equal(sources: Sequence[Source]) -> None:
    """Raise Invalid where one source would replace another in one call."""
    seen: dict[str, str] = {}
    for path, origin in sources:
        first = seen.setdefault(clean(path), origin)
        if first is not origin:
            raise Invalid(
                f"{first} and {origin} would both be {clean(path)}: put them by two commands, or "
                "add them up with --append"
            )


def sources_of(
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
        elif os.path.isdir(origin):
            if not recursive:
                raise Invalid(f"{origin} is a folder: use -r to put all that is below it")
            base = name if path is None else path
            base, folder = base.rstrip("/"), origin.rstrip("/")
            for relative in _below(folder):
                yield Source(f"{base}/{relative}", f"{folder}/{relative}")
        elif os.path.exists(origin):
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
    name = origin.rpartition("/")[2]
    if name not in ("", ".", ".."):
        return name
    from pathlib import Path

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
