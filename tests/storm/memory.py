"""What a storm remembers from outside, to compare with what the installation says afterwards."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
from msgspec import Struct


class Accepted(Struct, frozen=True, kw_only=True):
    """A file that was answered for: `object` is its content's id, `commit` the answer's."""

    repo: str
    path: str
    object: str
    commit: str


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

    `senders`: how many messages may be under way at once.
    """

    accepted: list[Accepted] = []
    commits: dict[str, str] = {}
    sent: list[Sent] = []
    upsets: list[Upset] = []
    senders: int = 4


class Memory:
    """What several threads note."""

    def __init__(self, senders: int = 4) -> None:
        self.noted = Noted(senders=senders)
        self._lock = threading.Lock()

    def accept(self, accepted: Accepted) -> None:
        """A client was told that a file is kept."""
        with self._lock:
            self.noted.accepted.append(accepted)

    def count(self) -> int:
        """How many files were answered for."""
        with self._lock:
            return len(self.noted.accepted)

    def save(self, path: Path) -> None:
        """Write all of it down."""
        with self._lock:
            path.write_bytes(msgspec.json.encode(self.noted))


def load(path: Path) -> Noted:
    """What `save` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Noted)
