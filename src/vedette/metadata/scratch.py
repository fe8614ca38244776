"""Rows for one question, on disk where they are many, gone with the object."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing

_TABLE = """CREATE TABLE found(
  shelf TEXT NOT NULL, key TEXT NOT NULL, path TEXT NOT NULL, object BLOB, size INTEGER NOT NULL,
  PRIMARY KEY(shelf, key, path)) WITHOUT ROWID"""
_PRAGMAS = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16000"

Found = tuple[str, bytes | None, int]
"""A path, the object of a file, and its size."""


class Scratch:
    """Paths by key, on shelves."""

    def __init__(self) -> None:
        # An empty name is a file of SQLite's own, written when its cache is full.
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._connection.executescript(_PRAGMAS)
        self._connection.execute(_TABLE)

    def fill(self, shelf: str, rows: Iterable[tuple[str, str, bytes | None, int]]) -> None:
        """Put (key, path, object, size) on a shelf."""
        self._connection.execute("BEGIN")
        self._connection.executemany(
            "INSERT INTO found VALUES (?, ?, ?, ?, ?)", ((shelf, *row) for row in rows)
        )
        self._connection.execute("COMMIT")

    def at(self, shelf: str, key: str) -> Iterator[Found]:
        """What has a key, in the order of paths."""
        query = "SELECT path, object, size FROM found WHERE shelf = ? AND key = ? ORDER BY path"
        with closing(self._connection.execute(query, (shelf, key))) as rows:
            yield from rows

    def keys(self, shelf: str) -> Iterator[str]:
        """The keys of a shelf in order."""
        query = "SELECT DISTINCT key FROM found WHERE shelf = ? ORDER BY key"
        with closing(self._connection.execute(query, (shelf,))) as rows:
            for (key,) in rows:
                yield key

    def close(self) -> None:
        """Forget everything."""
        self._connection.close()
