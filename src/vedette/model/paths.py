"""Paths in a repo (ENGINE P1, P6)."""

from __future__ import annotations

import re

from vedette.model.errors import InvalidName, InvalidPath

MAX_PATH_BYTES = 1024
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")


def clean(path: str) -> str:
    """The canonical form of a path: absolute, without a slash at the end; the root is "/".

    >>> clean("a/b/")
    '/a/b'
    """
    trimmed = path.removeprefix("/").removesuffix("/")
    if not trimmed:
        return "/"
    if "\0" in trimmed:
        raise InvalidPath(f"path {path!r} holds a NUL character: remove it")
    try:
        size = len(trimmed.encode()) + 1
    except UnicodeEncodeError:
        raise InvalidPath(f"path {path!r} is not valid Unicode: rename the file") from None
    if size > MAX_PATH_BYTES:
        raise InvalidPath(f"path {path[:60]!r}... has {size} bytes: at most {MAX_PATH_BYTES}")
    for element in trimmed.split("/"):
        if element in ("", ".", ".."):
            raise InvalidPath(f"path {path!r} holds the element {element!r}: write it without")
    return "/" + trimmed


def parents(path: str) -> list[str]:
    """The directories above a clean path, nearest first, without the root."""
    found = []
    while (path := path.rpartition("/")[0]) != "":
        found.append(path)
    return found


def below(path: str) -> tuple[str, str]:
    """Bounds (low, high) such that low < p < high holds for exactly the paths below `path`."""
    base = "" if path == "/" else path
    return base + "/", base + "0"


def check_name(name: str, what: str) -> str:
    """Return `name` if it may name a repo, branch or pipeline; `what` says which."""
    if not _NAME.fullmatch(name):
        raise InvalidName(
            f"{what} name {name!r}: use 1 to 63 letters, digits, '_' and '-'", name=name
        )
    return name
