"""Rows in SQLite: a file in WAL mode for use, a database in memory for tests.

The file is written through one connection, in `BEGIN IMMEDIATE` transactions with
`synchronous=FULL`: a transaction is on disk when `write` ends. Readers have connections of their
own and never wait for the writer.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from vedette.metadata.migrate import migrate
from vedette.metadata.queries import Query, queries
from vedette.metadata.store import Row
from vedette.model.errors import Corrupt, NoSpace, Unavailable, VedetteError

_STATEMENTS = 512
_BUSY_SECONDS = 30
# A checkpoint every 4,000 pages (16 MB) costs one fsync of the database per some thousand commits.
_PRAGMAS = """
PRAGMA synchronous=FULL; PRAGMA foreign_keys=OFF; PRAGMA temp_store=MEMORY;
PRAGMA cache_size=-32768; PRAGMA wal_autocheckpoint=4000; PRAGMA journal_size_limit=67108864;
"""
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_WRITE}
_READER = "PRAGMA cache_size=-4096; PRAGMA query_only=ON;"
_IDLE_READERS = 8
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _meaning(error: sqlite3.Error, where: str) -> VedetteError | None:
    """The error of ours that says what SQLite's means, where it is not a fault in a program."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    if code in _FULL:
        return NoSpace(f"the disk that holds {where} is full: nothing was kept, make room")
    if code & 0xFF in _BROKEN:
        return Corrupt(f"the metadata in {where} is damaged ({error}): restore a backup")
    if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable(f"{where} is in use by another program: stop that one")
    return None


class SqliteRows:
    """One open transaction on a connection."""

    def __init__(self, connection: sqlite3.Connection, sql: Mapping[str, str], where: str) -> None:
        self._execute = connection.execute
        self._connection = connection
        self._sql = sql
        self._where = where
        self._depth = 0

    def all(self, query: str, /, **values: Any) -> list[Row]:
        """Every row of the answer."""
        return self._execute(self._sql[query], values).fetchall()

    def one(self, query: str, /, **values: Any) -> Row | None:
        """The first row of the answer, or None."""
        found: Row | None = self._execute(self._sql[query], values).fetchone()
        return found

    def run(self, query: str, /, **values: Any) -> int:
        """Change rows; how many were changed."""
        return self._execute(self._sql[query], values).rowcount

    def later(
        self, query: str, then: Callable[[int], None] | None = None, /, **values: Any
    ) -> None:
        """Change rows by the time of the next question; `then` is told how many were changed."""
        changed = self._execute(self._sql[query], values).rowcount
        if then is not None:
            then(changed)

    def insert(self, query: str, /, **values: Any) -> int:
        """Add a row; its integer key, or what the statement returns first."""
        cursor = self._execute(self._sql[query], values)
        if cursor.description is not None:
            (key,) = cursor.fetchall()[0]
            return int(key)
        return int(cursor.lastrowid or 0)

    def many(self, query: str, values: Sequence[Mapping[str, Any]], /) -> None:
        """Change rows once for each set of values."""
        self._connection.executemany(self._sql[query], values)

    def iterate(self, query: str, /, **values: Any) -> Iterator[Row]:
        """The rows of the answer one by one, inside this transaction."""
        return iter(self._execute(self._sql[query], values))

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of the transaction that an exception undoes alone. They nest."""
        name = f"part{self._depth}"
        self._execute(f"SAVEPOINT {name}")
        self._depth += 1
        try:
            yield
        except BaseException as error:
            # A full disk may have undone the whole transaction, and the savepoint with it.
            if self._connection.in_transaction:
                self._execute(f"ROLLBACK TO {name}")
                self._execute(f"RELEASE {name}")
            if isinstance(error, sqlite3.Error) and (told := _meaning(error, self._where)):
                raise told from error
            raise
        else:
            self._execute(f"RELEASE {name}")
        finally:
            self._depth -= 1


@contextmanager
def _transaction(
    connection: sqlite3.Connection, begin: str, sql: Mapping[str, str], where: str
) -> Iterator[SqliteRows]:
    try:
        connection.execute(begin)
        yield SqliteRows(connection, sql, where)
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            with suppress(sqlite3.Error):  # what went wrong first is what matters
                connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error) and (told := _meaning(error, where)):
            raise told from error
        raise


def _texts(named: Mapping[str, Query] | None) -> dict[str, str]:
    return {name: query.sql for name, query in (queries() if named is None else named).items()}


class SqliteStore:
    """Rows in a file. `named` stands in for the package's queries, for tests."""

    def __init__(self, path: Path, named: Mapping[str, Query] | None = None) -> None:
        self._path = path
        self._where = str(path)
        self._sql = _texts(named)
        self._turn = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._readers = threading.Lock()
        self._closed = False
        try:
            self._writer = self._connect()
            migrate(self._writer)
        except sqlite3.Error as error:
            raise _meaning(error, self._where) or error from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS,
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(_PRAGMAS)
        return connection

    @contextmanager
    def write(self) -> Iterator[SqliteRows]:
        """A transaction that may change rows; durable when the context ends."""
        with (
            self._turn,
            _transaction(self._writer, "BEGIN IMMEDIATE", self._sql, self._where) as rows,
        ):
            yield rows

    @contextmanager
    def read(self) -> Iterator[SqliteRows]:
        """A snapshot, on a connection that no other thread uses meanwhile."""
        with self._readers:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = self._connect()
            connection.executescript(_READER)
        try:
            with _transaction(connection, "BEGIN", self._sql, self._where) as rows:
                yield rows
        finally:
            with self._readers:
                keep = not self._closed and len(self._idle) < _IDLE_READERS
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()

    def close(self) -> None:
        """Close all connections; the last one folds the log back into the database."""
        with self._turn, self._readers:
            self._closed = True
            for connection in self._idle:
                connection.close()
            self._idle.clear()
            self._writer.close()


class MemoryStore:
    """Rows in memory, gone with the object. A snapshot is a copy: meant for small databases."""

    def __init__(self, named: Mapping[str, Query] | None = None) -> None:
        self._sql = _texts(named)
        self._turn = threading.Lock()
        self._writer = sqlite3.connect(
            ":memory:",
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS,
        )
        migrate(self._writer)
        self._image = self._writer.serialize()

    @contextmanager
    def write(self) -> Iterator[SqliteRows]:
        """A transaction that may change rows."""
        with self._turn:
            with _transaction(self._writer, "BEGIN IMMEDIATE", self._sql, "memory") as rows:
                yield rows
            self._image = self._writer.serialize()

    @contextmanager
    def read(self) -> Iterator[SqliteRows]:
        """A snapshot."""
        connection = sqlite3.connect(
            ":memory:", isolation_level=None, cached_statements=_STATEMENTS
        )
        try:
            connection.deserialize(self._image)
            connection.execute("PRAGMA query_only=ON")
            with _transaction(connection, "BEGIN", self._sql, "memory") as rows:
                yield rows
        finally:
            connection.close()

    def close(self) -> None:
        """Forget everything."""
        with self._turn:
            self._writer.close()


def copy_rows(source: Path, target: Path) -> None:
    """Copy a database, as it is at this instant, while others read and write it.

    Raises Corrupt when the copy is not sound.
    """
    try:
        with (
            closing(sqlite3.connect(source, timeout=_BUSY_SECONDS)) as old,
            closing(sqlite3.connect(target)) as made,
        ):
            old.execute("PRAGMA query_only=ON")
            old.backup(made)
            made.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
            (sound,) = made.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        where = target if getattr(error, "sqlite_errorcode", 0) in _FULL else source
        raise _meaning(error, str(where)) or error from error
    if sound != "ok":
        raise Corrupt(f"the metadata in {source} is damaged ({sound}): restore a backup")
