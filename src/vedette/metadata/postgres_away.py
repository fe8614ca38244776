"""A database that does not answer, and an event loop that must not wait for it.

A server reads short things in its event loop. While the database is paused or cut off, each such
read would hold up everybody, and one request after the other would begin another.
"""

from __future__ import annotations

import asyncio
import threading

import psycopg
from psycopg.errors import ConnectionTimeout

from vedette.metadata.postgres_connection import GivenUp, answers
from vedette.model.errors import Unavailable

PATIENCE = 5.0
"""Seconds that an event loop waits for one answer."""

_ASK_SECONDS = 3
_PAUSE_SECONDS = 0.5


def in_event_loop() -> bool:
    """Whether this thread runs one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class Away:
    """Whether a database is away. Once it was, a thread asks until it answers, or it is closed."""

    def __init__(self, url: str, where: str, closed: threading.Event) -> None:
        self._url, self._where, self._closed = url, where, closed
        self._since = threading.Event()
        self._lock = threading.Lock()

    def refuse(self) -> None:
        """Raise Unavailable while it is away."""
        if self._since.is_set():
            raise Unavailable(f"the {self._where} does not answer: try again", retry_after=1)

    def note(self, error: psycopg.Error) -> None:
        """It is away from now on, if that is what an error means."""
        if not isinstance(error, GivenUp | ConnectionTimeout):
            return
        with self._lock:
            if not self._since.is_set() and not self._closed.is_set():
                self._since.set()
                threading.Thread(target=self._ask, name="database-away", daemon=True).start()

    def _ask(self) -> None:
        while not self._closed.wait(_PAUSE_SECONDS):
            if answers(self._url, _ASK_SECONDS):
                break
        self._since.clear()
