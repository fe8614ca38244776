"""What a storm remembers from outside, to compare with what the installation says afterwards."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from vedette.model.ids import object_id

SEEN = b"seen"
"""What the pipeline `marked` writes behind each file."""


class Accepted(Struct, frozen=True, kw_only=True):
    """Something about a file that was answered for; those of one path are in order.

    put: it has the content whose id is `object` from `commit`, the answer's, on. deleted: from
    `commit` on it is not there. entombed: the bytes of all versions so far were deleted for good.
    """

    repo: str
    path: str
    object: str = ""
    commit: str = ""
    kind: Literal["put", "deleted", "entombed"] = "put"


class Squashed(Struct, frozen=True, kw_only=True):
    """A commit that was taken out of the history; without a repo, of all repos."""

    commit: str
    repo: str = ""


class Derived(Struct, frozen=True, kw_only=True):
    """What must be made of a content: how long it is, and the id of it with `SEEN` behind it."""

    size: int
    marked: str


class Sent(Struct, frozen=True, kw_only=True):
    """A message that the provider took. Times are seconds of one clock: asked, then taken.

    `unheard`: the provider itself lost its answer.
    """

    id: str
    asked: float
    taken: float
    unheard: bool = False


class Upset(Struct, frozen=True, kw_only=True):
    """A moment at which the process that sends messages died, or another took its place."""

    at: float
    what: str


class Noted(Struct, kw_only=True):
    """All of it, as it is written to a file. `commits`: REPO@ID to a digest of all its files.

    `senders`: how many messages may be under way at once. `derived` is by object. `once`: repos
    that only these clients write to, with a key for each call. `retained`: how many commits a repo
    keeps the bytes of. `limits`: how many bytes all versions of its files may have.
    """

    accepted: list[Accepted] = []
    squashed: list[Squashed] = []
    derived: dict[str, Derived] = {}
    commits: dict[str, str] = {}
    sent: list[Sent] = []
    upsets: list[Upset] = []
    senders: int = 4
    once: list[str] = []
    retained: dict[str, int] = {}
    limits: dict[str, int] = {}


class Memory:
    """What several threads note."""

    def __init__(self, senders: int = 4) -> None:
        self.noted = Noted(senders=senders)
        self._lock = threading.Lock()

    def accept(self, accepted: Accepted, content: bytes | None = None) -> None:
        """A client was told that something is done."""
        with self._lock:
            self.noted.accepted.append(accepted)
            if content is not None:
                marked = object_id(content + SEEN).hex()
                self.noted.derived[accepted.object] = Derived(size=len(content), marked=marked)

    def squash(self, squashed: Squashed) -> None:
        """A client was told that a commit is no more."""
        with self._lock:
            self.noted.squashed.append(squashed)

    def count(self) -> int:
        """How much was answered for."""
        with self._lock:
            return len(self.noted.accepted)

    def save(self, path: Path) -> None:
        """Write all of it down."""
        with self._lock:
            path.write_bytes(msgspec.json.encode(self.noted))


def load(path: Path) -> Noted:
    """What `save` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Noted)
