"""Rows in PostgreSQL, for several servers on one database.

One connection writes, in READ COMMITTED transactions of one writer at a time; readers have
connections of their own, in REPEATABLE READ snapshots. Connections that break are made anew. When
the answer to a COMMIT is lost, the database is asked what became of the transaction, so that
`write` never reports as failed what was kept.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any

import psycopg
from psycopg import RawServerCursor
from psycopg.pq import TransactionStatus

from vedette.metadata import dialect, postgres_schema
from vedette.metadata.postgres_connection import Binary, connect
from vedette.metadata.postgres_errors import meaning, place
from vedette.metadata.queries import Query, queries
from vedette.metadata.store import Row
from vedette.model.errors import Unavailable

_IDLE_READERS = 8
_READERS = 64
_READER_SECONDS = 30.0
_PAGE = 1000
_ASK_AGAIN_SECONDS = 0.2
_INSERT = re.compile(r"\s*INSERT INTO (\w+)")
_EPOCH = "SELECT epoch FROM leader FOR SHARE"
_NUMBER = "SELECT pg_current_xact_id()::text"
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE"


class PostgresRows:
    """One open transaction on a connection."""

    def __init__(
        self, connection: psycopg.Connection, sql: Mapping[str, dialect.Statement],
        keys: Mapping[str, str],
    ) -> None:  # fmt: skip
        self._connection = connection
        self._cursor = Binary(connection)
        self._sql = sql
        self._keys = keys
        self._depth = 0

    def all(self, query: str, /, **values: Any) -> list[Row]:
        """Every row of the answer."""
        return self._execute(query, values).fetchall()

    def one(self, query: str, /, **values: Any) -> Row | None:
        """The first row of the answer, or None."""
        return self._execute(query, values).fetchone()

    def run(self, query: str, /, **values: Any) -> int:
        """Change rows; how many were changed."""
        return self._execute(query, values).rowcount

    def insert(self, query: str, /, **values: Any) -> int:
        """Add a row; its integer key, or what the statement returns first."""
        found = self._sql[query]
        sql = found.sql
        if "RETURNING" not in sql:
            into = _INSERT.match(sql)
            sql += f" RETURNING {self._keys[into[1]] if into else 1}"
        cursor = self._cursor.execute(sql, [values[name] for name in found.names])
        (key,) = cursor.fetchall()[0]
        return int(key)

    def many(self, query: str, values: Sequence[Mapping[str, Any]], /) -> None:
        """Change rows once for each set of values, in one pipeline."""
        found = self._sql[query]
        if len(values) == 1:
            self._execute(query, values[0])
        else:
            self._cursor.executemany(found.sql, [[v[n] for n in found.names] for v in values])

    def iterate(self, query: str, /, **values: Any) -> Iterator[Row]:
        """The rows of the answer one by one, inside this transaction."""
        found = self._sql[query]
        name = f"rows{id(values)}"
        with RawServerCursor(self._connection, name) as cursor:
            cursor.itersize = _PAGE
            cursor.execute(found.sql, [values[name] for name in found.names])
            yield from cursor

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of the transaction that an exception undoes alone. They nest."""
        name = f"part{self._depth}"
        self._connection.execute(f"SAVEPOINT {name}")
        self._depth += 1
        try:
            yield
        except BaseException:
            if _alive(self._connection):
                self._connection.execute(f"ROLLBACK TO {name}")
                self._connection.execute(f"RELEASE {name}")
            raise
        else:
            self._connection.execute(f"RELEASE {name}")
        finally:
            self._depth -= 1

    def _execute(self, query: str, values: Mapping[str, Any]) -> Binary:
        found = self._sql[query]
        return self._cursor.execute(found.sql, [values[name] for name in found.names])


def _alive(connection: psycopg.Connection) -> bool:
    return not connection.closed and connection.info.transaction_status in (
        TransactionStatus.INTRANS,
        TransactionStatus.INERROR,
    )


class PostgresStore:
    """Rows in a database. `named` stands in for the package's queries, for tests.

    `url` is a connection string of libpq's: postgresql://USER:PASSWORD@HOST:PORT/NAME. Raises
    Invalid, Unavailable or Conflict when the database cannot be used.
    """

    def __init__(self, url: str, named: Mapping[str, Query] | None = None) -> None:
        self.where = place(url)
        self._url = url
        texts = queries("postgres") if named is None else named
        self._sql = {name: dialect.statement(query.sql) for name, query in texts.items()}
        self._epoch: int | None = None
        self._named: int | None = None
        self._turn = threading.Lock()
        self._idle: list[psycopg.Connection] = []
        self._guard = threading.Lock()
        self._room = threading.BoundedSemaphore(_READERS)
        self._closed = threading.Event()
        try:
            self._writer = connect(url, "vedette writer")
            with _closed(self._writer):
                postgres_schema.check(self._writer)
                postgres_schema.migrate(self._writer)
                postgres_schema.declare_alive(self._writer)
                self._keys = _keys(self._writer)
        except psycopg.Error as error:
            raise meaning(error, self.where) or error from error

    def hold(self, epoch: int) -> None:
        """Write in this epoch of the leader only; once there is a later one, writes are refused."""
        self._epoch = epoch

    @contextmanager
    def write(self) -> Iterator[PostgresRows]:
        """A transaction that may change rows; durable when the context ends."""
        with self._turn:
            try:
                connection, number = self._begin_to_write()
                with _undone(connection):
                    yield PostgresRows(connection, self._sql, self._keys)
                self._commit(connection, number)
            except psycopg.Error as error:
                raise meaning(error, self.where) or error from error

    def _begin_to_write(self) -> tuple[psycopg.Connection, str]:
        """An open transaction and its number. A later epoch waits for its end."""
        self._refuse_closed()
        try:
            epoch, number = self._opened(self._connected())
        except psycopg.OperationalError:
            if not self._writer.closed:
                raise
            # The database was restarted since the last write; nothing of this one was sent.
            epoch, number = self._opened(self._connected())
        if self._epoch not in (None, epoch):
            self._writer.execute("ROLLBACK")
            raise Unavailable("another server leads now: ask it", retry_after=1)
        return self._writer, number

    def _connected(self) -> psycopg.Connection:
        if self._writer.closed:
            self._writer = connect(self._url, "vedette writer")
            postgres_schema.declare_alive(self._writer)
            self._named = None
        if self._named != self._epoch:
            # By this name the next leader finds what is left of this one.
            name = f"vedette leader {self._epoch}"
            self._writer.execute("SELECT set_config('application_name', $1, false)", [name])
            self._named = self._epoch
        return self._writer

    def _opened(self, connection: psycopg.Connection) -> tuple[int, str]:
        with connection.pipeline():
            connection.execute(_WRITE)
            epoch = connection.execute(_EPOCH)
            number = connection.execute(_NUMBER)
        row = epoch.fetchone()
        return (row[0] if row else 0), number.fetchall()[0][0]

    def _commit(self, connection: psycopg.Connection, number: str) -> None:
        try:
            connection.execute("COMMIT")
        except psycopg.OperationalError:
            if not connection.closed:
                raise
            if not self._kept(number):
                raise

    def _kept(self, number: str) -> bool:
        """What became of a transaction whose COMMIT was not answered. Waits for the database."""
        while not self._closed.wait(_ASK_AGAIN_SECONDS):
            with suppress(psycopg.OperationalError), connect(self._url, "vedette asks") as asking:
                row = asking.execute("SELECT pg_xact_status($1::text::xid8)", [number]).fetchone()
                if row and row[0] != "in progress":
                    return bool(row[0] == "committed")
        raise Unavailable(
            f"the {self.where} went away during a commit: whether it was kept is open"
        )

    @contextmanager
    def read(self) -> Iterator[PostgresRows]:
        """A snapshot, on a connection that no other thread uses meanwhile."""
        if not self._room.acquire(timeout=_READER_SECONDS):
            raise Unavailable(f"{_READERS} readers of the {self.where} are busy: try again")
        connection = None
        try:
            connection = self._begin_to_read()
            with _undone(connection):
                yield PostgresRows(connection, self._sql, self._keys)
            connection.execute("COMMIT")
        except psycopg.Error as error:
            raise meaning(error, self.where) or error from error
        finally:
            self._room.release()
            if connection is not None:
                self._put_back(connection)

    def _begin_to_read(self) -> psycopg.Connection:
        while True:
            self._refuse_closed()
            with self._guard:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = connect(self._url, "vedette reader")
                connection.execute(_READ)
                return connection
            try:
                connection.execute(_READ)
            except psycopg.OperationalError:
                connection.close()  # the server was restarted: its idle connections are dead
            else:
                return connection

    def _put_back(self, connection: psycopg.Connection) -> None:
        with self._guard:
            keep = (
                not self._closed.is_set()
                and len(self._idle) < _IDLE_READERS
                and not connection.closed
                and connection.info.transaction_status == TransactionStatus.IDLE
            )
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()

    def _refuse_closed(self) -> None:
        if self._closed.is_set():
            raise Unavailable(f"the {self.where} is closed: the server is stopping")

    def close(self) -> None:
        """Close all connections."""
        self._closed.set()
        with self._turn, self._guard:
            for connection in self._idle:
                connection.close()
            self._idle.clear()
            self._writer.close()


def servers(url: str) -> int:
    """How many servers use a database. Raises Invalid or Unavailable when it cannot be asked."""
    try:
        with closing(connect(url, "vedette asks")) as connection:
            return postgres_schema.alive(connection)
    except psycopg.Error as error:
        raise meaning(error, place(url)) or error from error


@contextmanager
def _closed(connection: psycopg.Connection) -> Iterator[None]:
    """Close when the block fails."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


@contextmanager
def _undone(connection: psycopg.Connection) -> Iterator[None]:
    """Roll back when the block fails."""
    try:
        yield
    except BaseException:
        if not connection.closed:
            with suppress(psycopg.Error):  # what went wrong first is what matters
                connection.execute("ROLLBACK")
        raise


def _keys(connection: psycopg.Connection) -> dict[str, str]:
    """The column of each table that the database numbers."""
    return dict(
        connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE is_identity = 'YES' AND table_schema = current_schema()"
        ).fetchall()
    )
