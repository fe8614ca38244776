"""The protocol of a launcher: where workers live, and how many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from vedette.model.work import Code, Pool, Source

Codes = Callable[[str], Code]
"""Finds a pipeline version by the key that a task names."""


class Agent(Protocol):
    """All workers of one pool in one place."""

    def want(self, count: int) -> None:
        """Have `count` workers live soon; does not wait."""

    def live(self) -> int:
        """How many workers there are now."""

    def stop(self) -> None:
        """End the workers, giving back what they have not begun."""


class Launcher(Protocol):
    """Starts and ends workers."""

    def start(self, source: Source, codes: Codes | None = None) -> None:
        """Begin; workers will speak to `source`. `codes` defaults to `source.code`."""

    def wanted(self, counts: Mapping[str, tuple[Pool, int]]) -> None:
        """Have so many workers live for each pool, by its key; does not wait.

        A pool that is not named keeps what was last wanted of it.
        """

    def live(self) -> dict[str, int]:
        """How many workers there are, by pool."""

    def stop(self) -> None:
        """End all workers, giving back what they have not begun. Waits for it."""
