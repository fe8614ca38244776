"""Who user code believes to be: `transform.user` (ENGINE R5)."""

from __future__ import annotations

import grp
import pwd

from msgspec import Struct

_KNOWN = {"root": 0, "nobody": 65534}
MAX_NUMBER = 2**31 - 1


class Identity(Struct, frozen=True, kw_only=True):
    """A user and a group by number, and the user's name."""

    user: int = 0
    group: int = 0
    name: str = "root"

    def users(self) -> bytes:
        """`/etc/passwd` of the private root."""
        lines = {
            0: "root:x:0:0:root:/tmp:/bin/sh",
            65534: "nobody:x:65534:65534:nobody:/tmp:/bin/sh",
        }
        lines[self.user] = f"{self.name}:x:{self.user}:{self.group}::/tmp:/bin/sh"
        return ("\n".join(lines.values()) + "\n").encode()

    def groups(self) -> bytes:
        """`/etc/group` of the private root."""
        lines = {0: "root:x:0:", 65534: "nogroup:x:65534:"}
        lines.setdefault(self.group, f"{self.name}:x:{self.group}:")
        return ("\n".join(lines.values()) + "\n").encode()


def identify(text: str) -> Identity:
    """The identity that "", "name", "1000" or "1000:1000" asks for.

    Names are those of the host, beside root and nobody. Raises `LookupError` with what to do.
    """
    if not text:
        return Identity()
    user, _, group = text.partition(":")
    number, default, name = _user(user, text)
    return Identity(user=number, group=_group(group, text) if group else default, name=name)


def _user(word: str, text: str) -> tuple[int, int, str]:
    if word.isascii() and word.isdigit():
        number = _bounded(int(word), text)
        try:
            found = pwd.getpwuid(number)
        except KeyError:
            return number, number, f"user{number}"
        return number, found.pw_gid, found.pw_name
    if word in _KNOWN:
        return _KNOWN[word], _KNOWN[word], word
    try:
        found = pwd.getpwnam(word)
    except (KeyError, ValueError):
        raise LookupError(
            f"transform.user {text!r}: this host has no user {word!r}: give a number instead"
        ) from None
    return found.pw_uid, found.pw_gid, found.pw_name


def _group(word: str, text: str) -> int:
    if word.isascii() and word.isdigit():
        return _bounded(int(word), text)
    try:
        return grp.getgrnam(word).gr_gid
    except (KeyError, ValueError):
        raise LookupError(
            f"transform.user {text!r}: this host has no group {word!r}: give a number instead"
        ) from None


def _bounded(number: int, text: str) -> int:
    if number > MAX_NUMBER:
        raise LookupError(f"transform.user {text!r}: {number} is more than {MAX_NUMBER}")
    return number
