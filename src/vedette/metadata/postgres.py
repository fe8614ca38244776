"""Rows in PostgreSQL, for several servers on one database.

One connection writes, in READ COMMITTED transactions of one writer at a time; readers have
connections of their own, in REPEATABLE READ snapshots. Connections that break are made anew. When
the answer to a COMMIT is lost, the database is asked what became of the transaction, so that
`write` never reports as failed what was kept.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress

import psycopg
from psycopg.pq import TransactionStatus

from vedette.metadata import dialect, postgres_schema
from vedette.metadata.postgres_connection import connect
from vedette.metadata.postgres_errors import meaning, place
from vedette.metadata.postgres_pipeline import Asked, Pipeline
from vedette.metadata.postgres_rows import PostgresRows
from vedette.metadata.queries import Query, queries
from vedette.model.errors import Unavailable

_IDLE_READERS = 8
_READERS = 64
_READER_SECONDS = 30.0
_ASK_AGAIN_SECONDS = 0.2
_EPOCH = Asked("SELECT epoch FROM leader FOR SHARE")
_NUMBER = Asked("SELECT pg_current_xact_id()::text")
_READ = Asked("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
_WRITE = Asked("BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE")
_ROLLBACK = Asked("ROLLBACK")


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
        self._idle: list[Pipeline] = []
        self._guard = threading.Lock()
        self._room = threading.BoundedSemaphore(_READERS)
        self._closed = threading.Event()
        try:
            connection = connect(url, "vedette writer")
            with _closed(connection):
                postgres_schema.check(connection)
                postgres_schema.migrate(connection)
                postgres_schema.declare_alive(connection)
                self._keys = _keys(connection)
            self._writer = Pipeline(connection)
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
                writer, number = self._begin_to_write()
                rows = PostgresRows(writer, self._sql, self._keys)
                with _undone(writer):
                    yield rows
                    self._commit(rows, number)
            except psycopg.Error as error:
                raise meaning(error, self.where) or error from error

    def _begin_to_write(self) -> tuple[Pipeline, str]:
        """An open transaction and its number. A later epoch waits for its end."""
        self._refuse_closed()
        try:
            epoch, number = self._opened(self._connected())
        except psycopg.OperationalError:
            if not self._writer.connection.closed:
                raise
            # The database was restarted since the last write; nothing of this one was sent.
            epoch, number = self._opened(self._connected())
        if self._epoch not in (None, epoch):
            self._writer.ask(_ROLLBACK)
            raise Unavailable("another server leads now: ask it", retry_after=1)
        return self._writer, number

    def _connected(self) -> Pipeline:
        if self._writer.connection.closed:
            connection = connect(self._url, "vedette writer")
            postgres_schema.declare_alive(connection)
            self._writer = Pipeline(connection)
            self._named = None
        if self._named != self._epoch:
            # By this name the next leader finds what is left of this one.
            name = f"vedette leader {self._epoch}"
            self._writer.connection.execute(
                "SELECT set_config('application_name', $1, false)", [name]
            )
            self._named = self._epoch
        return self._writer

    def _opened(self, writer: Pipeline) -> tuple[int, str]:
        _, epoch, number = writer.ask(_WRITE, _EPOCH, _NUMBER)
        return (epoch.rows[0][0] if epoch.rows else 0), number.rows[0][0]

    def _commit(self, rows: PostgresRows, number: str) -> None:
        try:
            rows.commit()
        except psycopg.OperationalError:
            if not self._writer.connection.closed or not self._kept(number):
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
        reader = None
        try:
            reader = self._begin_to_read()
            with _undone(reader):
                rows = PostgresRows(reader, self._sql, self._keys)
                yield rows
                rows.commit()
        except psycopg.Error as error:
            raise meaning(error, self.where) or error from error
        finally:
            self._room.release()
            if reader is not None:
                self._put_back(reader)

    def _begin_to_read(self) -> Pipeline:
        while True:
            self._refuse_closed()
            with self._guard:
                reader = self._idle.pop() if self._idle else None
            if reader is None:
                reader = Pipeline(connect(self._url, "vedette reader"))
                reader.ask(_READ)
                return reader
            try:
                reader.ask(_READ)
            except psycopg.OperationalError:
                reader.connection.close()  # the server was restarted: idle connections are dead
            else:
                return reader

    def _put_back(self, reader: Pipeline) -> None:
        connection = reader.connection
        with self._guard:
            keep = (
                not self._closed.is_set()
                and len(self._idle) < _IDLE_READERS
                and not connection.closed
                and connection.info.transaction_status == TransactionStatus.IDLE
            )
            if keep:
                self._idle.append(reader)
        if not keep:
            connection.close()

    def _refuse_closed(self) -> None:
        if self._closed.is_set():
            raise Unavailable(f"the {self.where} is closed: the server is stopping")

    def close(self) -> None:
        """Close all connections."""
        self._closed.set()
        with self._turn, self._guard:
            for reader in self._idle:
                reader.connection.close()
            self._idle.clear()
            self._writer.connection.close()


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
def _undone(pipeline: Pipeline) -> Iterator[None]:
    """Roll back when the block fails."""
    try:
        yield
    except BaseException:
        if not pipeline.connection.closed:
            with suppress(psycopg.Error):  # what went wrong first is what matters
                pipeline.ask(_ROLLBACK)
        raise


def _keys(connection: psycopg.Connection) -> dict[str, str]:
    """The column of each table that the database numbers."""
    return dict(
        connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE is_identity = 'YES' AND table_schema = current_schema()"
        ).fetchall()
    )
