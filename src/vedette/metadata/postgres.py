"""Rows in PostgreSQL, for several servers on one database.

One connection writes, in READ COMMITTED transactions of one writer at a time; readers have
connections of their own, in REPEATABLE READ snapshots. Connections that break are made anew. When
the answer to a COMMIT is lost, the database is asked what became of the transaction, so that
`write` never reports as failed what was kept.
"""

from __future__ import annotations

import copy
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import NamedTuple

import psycopg
from psycopg.pq import TransactionStatus

from vedette.metadata import dialect, postgres_schema
from vedette.metadata.postgres_away import PATIENCE, Away, in_event_loop
from vedette.metadata.postgres_connection import GivenUp, Line, connect
from vedette.metadata.postgres_errors import meaning, place
from vedette.metadata.postgres_pipeline import Asked, Pipeline
from vedette.metadata.postgres_rows import PostgresRows
from vedette.metadata.queries import Query, queries
from vedette.model.errors import Unavailable

_IDLE_READERS = 8
_READERS = 64
_READER_SECONDS = 30.0
_ASK_AGAIN_SECONDS = 0.2
_MARK = "UPDATE leader SET mark = $1 RETURNING epoch"
_READ = Asked("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
# Whoever asks waits for the transaction that has changed the row, if it is still under way.
_BECAME = "SELECT epoch, mark FROM leader FOR SHARE"
_WRITE = Asked("BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE")
_ROLLBACK = Asked("ROLLBACK")


class Mark(NamedTuple):
    """By what a transaction that wrote is known again: what it left in the row of the leader."""

    epoch: int
    text: str


class PostgresStore:
    """Rows in a database. `named` stands in for the package's queries, for tests.

    `url` is a connection string of libpq's: postgresql://USER:PASSWORD@HOST:PORT/NAME. Raises
    Invalid, Unavailable or Conflict when the database cannot be used.
    """

    _writer: Pipeline | None

    def __init__(self, url: str, named: Mapping[str, Query] | None = None) -> None:
        self.where = place(url)
        self._url = url
        texts = queries("postgres") if named is None else named
        self._sql = {name: dialect.statement(query.sql) for name, query in texts.items()}
        self._begin(None)
        try:
            connection = self._connect("vedette writer")
            with _closed(connection):
                postgres_schema.check(connection)
                postgres_schema.migrate(connection)
                postgres_schema.declare_alive(connection)
                self._keys = _keys(connection)
            self._writer = Pipeline(connection)
        except psycopg.Error as error:
            raise meaning(error, self.where) or error from error

    def _begin(self, epoch: int | None) -> None:
        """What no two stores share."""
        self._epoch = epoch
        self._writer = None
        self._turn = threading.Lock()
        self._idle: list[Pipeline] = []
        self._guard = threading.Lock()
        self._room = threading.BoundedSemaphore(_READERS)
        self._closed = threading.Event()
        self._away = Away(self._url, self.where, self._closed)

    def leading(self, epoch: int) -> PostgresStore:
        """A store over the same database, to be closed by itself, for the leader of an epoch.

        It writes in this epoch only: once there is a later one, its writes are refused.
        """
        made = copy.copy(self)
        made._begin(epoch)
        return made

    def _connect(self, name: str) -> Line:
        return connect(self._url, name, given_up=self._closed)

    @contextmanager
    def write(self) -> Iterator[PostgresRows]:
        """A transaction that may change rows; durable when the context ends."""
        with self._turn:
            try:
                writer, mark = self._begin_to_write()
                rows = PostgresRows(writer, self._sql, self._keys, self.where)
                with _undone(writer):
                    yield rows
                    self._commit(rows, writer, mark)
            except psycopg.Error as error:
                raise meaning(error, self.where) or error from error

    def _begin_to_write(self) -> tuple[Pipeline, Mark]:
        """An open transaction and its mark. A later epoch waits for its end."""
        self._refuse_closed()
        try:
            writer = self._connected()
            mark = self._opened(writer)
        except psycopg.OperationalError:
            if self._writer is not None and not self._writer.connection.closed:
                raise
            # The database was restarted since the last write; nothing of this one was sent.
            writer = self._connected()
            mark = self._opened(writer)
        if self._epoch not in (None, mark.epoch):
            writer.ask(_ROLLBACK)
            raise Unavailable("another server leads now: ask it", retry_after=1)
        return writer, mark

    def _connected(self) -> Pipeline:
        if self._writer is None or self._writer.connection.closed:
            # By this name the next leader finds what is left of this one.
            name = "vedette writer" if self._epoch is None else f"vedette leader {self._epoch}"
            connection = self._connect(name)
            with _closed(connection):
                postgres_schema.declare_alive(connection)
            self._writer = Pipeline(connection)
        return self._writer

    def _opened(self, writer: Pipeline) -> Mark:
        text = secrets.token_hex(8)
        _, marked = writer.ask(_WRITE, Asked(_MARK, (text,)))
        return Mark(marked.rows[0][0] if marked.rows else 0, text)

    def _commit(self, rows: PostgresRows, writer: Pipeline, mark: Mark) -> None:
        try:
            rows.commit()
        except psycopg.OperationalError:
            if not writer.connection.closed or not self._kept(mark):
                raise

    def _kept(self, mark: Mark) -> bool:
        """What became of a transaction whose COMMIT was not answered. Waits for the database.

        Its number would not tell: after a crash the database may give the number of a transaction
        that it lost to another one. The mark is in a row that each transaction of the leader
        changes, and is followed by none before this has its answer.
        """
        while not self._closed.wait(_ASK_AGAIN_SECONDS):
            with suppress(psycopg.OperationalError), self._connect("vedette asks") as asking:
                row = asking.execute(_BECAME).fetchone()
                if row is None or row[0] != mark.epoch:
                    break
                return bool(row[1] == mark.text)
        raise Unavailable(
            f"the {self.where} went away during a commit: whether it was kept is open",
            retry_after=1,
        )

    @contextmanager
    def read(self) -> Iterator[PostgresRows]:
        """A snapshot, on a connection that no other thread uses meanwhile."""
        patience = PATIENCE if in_event_loop() else None
        if patience is not None:
            self._away.refuse()
        if not self._room.acquire(timeout=_READER_SECONDS):
            raise Unavailable(f"{_READERS} readers of the {self.where} are busy: try again")
        reader = None
        try:
            reader = self._begin_to_read(patience)
            with _undone(reader):
                rows = PostgresRows(reader, self._sql, self._keys, self.where)
                yield rows
                rows.commit()
        except psycopg.Error as error:
            self._away.note(error)
            raise meaning(error, self.where) or error from error
        finally:
            self._room.release()
            if reader is not None:
                self._put_back(reader)

    def _begin_to_read(self, patience: float | None) -> Pipeline:
        while True:
            self._refuse_closed()
            with self._guard:
                reader = self._idle.pop() if self._idle else None
            if reader is None:
                reader = Pipeline(self._connect("vedette reader"))
                reader.connection.patience = patience
                reader.ask(_READ)
                return reader
            reader.connection.patience = patience
            try:
                reader.ask(_READ)
            except psycopg.OperationalError as error:
                reader.connection.close()
                if isinstance(error, GivenUp):
                    raise
                self._drop_idle()  # they are as dead, and each would wait for its own silence
            else:
                return reader

    def _drop_idle(self) -> None:
        with self._guard:
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.connection.close()

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

    def give_up(self) -> None:
        """Wait for the database no more: what is under way, and all that comes, is Unavailable."""
        self._closed.set()

    def close(self) -> None:
        """Close all connections. What is still under way is given up."""
        self.give_up()
        with self._turn:
            self._drop_idle()
            if self._writer is not None:
                self._writer.connection.close()


def servers(url: str) -> int:
    """How often servers are connected to a database. Raises Invalid or Unavailable."""
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
