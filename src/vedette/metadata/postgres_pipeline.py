"""Statements sent together and answered together, on one connection to PostgreSQL.

The driver's own pipelines hand over each statement by itself, which wakes the server for each. Here
all go in one piece, and each is prepared where it comes for the first time.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from msgspec import Struct
from psycopg import errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGresult

from vedette.metadata.postgres_connection import Line
from vedette.metadata.store import Row

_PREPARED = 2000
_LOOK_MILLISECONDS = 100


class Asked(Struct, frozen=True):
    """A statement with its values. One that is `passing` does not come again as it is."""

    sql: str
    values: Sequence[Any] = ()
    passing: bool = False


class Answer(Struct, frozen=True):
    """What became of a statement: the rows that it gives, and how many it gives or changed."""

    rows: list[Row]
    count: int


class _Bound(Struct, frozen=True):
    """A statement as it goes over the wire. `name` is that under which the server knows it."""

    sql: bytes
    values: Sequence[Any]
    types: tuple[int, ...]
    formats: Sequence[int]
    name: bytes
    known: bool


class Pipeline:
    """Asks over one connection, on which nobody else says anything meanwhile."""

    def __init__(self, connection: Line) -> None:
        self.connection = connection
        self._adapt = Transformer.from_context(connection)
        self._names: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._given = 0

    def ask(self, *statements: Asked) -> list[Answer]:
        """Send statements in one piece; what each was answered.

        Raises the psycopg.Error of the first that fails; those after it are not carried out.
        """
        bound = self._bind(statements)
        if self.connection.closed:
            raise psycopg.OperationalError("the connection is closed")
        try:
            self._send(bound)
            answers, fault = self._take(bound)
            self.connection.pgconn.exit_pipeline_mode()
        except BaseException:
            self.connection.close()  # broken, or out of step
            raise
        if fault is not None:
            raise fault
        return answers

    def _send(self, bound: list[_Bound]) -> None:
        pgconn = self.connection.pgconn
        pgconn.enter_pipeline_mode()
        for each in bound:
            if each.name and not each.known:
                pgconn.send_prepare(each.name, each.sql, each.types)
            if each.name:
                pgconn.send_query_prepared(each.name, each.values, each.formats, Format.BINARY)
            else:
                pgconn.send_query_params(
                    each.sql, each.values, each.types, each.formats, Format.BINARY
                )
        pgconn.pipeline_sync()

    def _bind(self, statements: Sequence[Asked]) -> list[_Bound]:
        """Statements with values as the server takes them. Raises psycopg.Error for odd ones."""
        found: list[_Bound] = []
        new: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        for each in statements:
            values: Sequence[Any] = each.values
            types: tuple[int, ...] = ()
            formats: Sequence[int] = ()
            if values:
                values = self._adapt.dump_sequence(values, [PyFormat.AUTO] * len(values))
                types = tuple(self._adapt.types or ())
                formats = self._adapt.formats or ()
            key = (each.sql.encode(), types)
            name = self._names.get(key, b"")
            known = bool(name)
            if not name and key in new:
                name, known = new[key], True
            elif not name and not each.passing and len(self._names) + len(new) < _PREPARED:
                self._given += 1
                name = new[key] = b"v%d" % self._given
            found.append(_Bound(key[0], values, types, formats, name, known))
        return found

    def _take(self, bound: list[_Bound]) -> tuple[list[Answer], psycopg.Error | None]:
        """All answers, up to the first fault, and that."""
        answers: list[Answer] = []
        fault: psycopg.Error | None = None
        results = self._results()
        try:
            for each in bound:
                if each.name and not each.known:
                    prepared = next(results)
                    if prepared.status == ExecStatus.COMMAND_OK:
                        self._names[each.sql, each.types] = each.name
                    fault = fault or _fault(prepared)
                result = next(results)
                fault = fault or _fault(result)
                if fault is None:
                    answers.append(self._answer(result))
            for _ in results:
                pass
        except psycopg.OperationalError as error:
            # The connection broke. What the server said last says why.
            raise fault or error from error
        return answers, fault

    def _results(self) -> Iterator[PGresult]:
        """What comes, one by one, until the server has said that this is all."""
        pgconn = self.connection.pgconn
        poll = select.poll()
        poll.register(pgconn.socket, select.POLLIN | select.POLLOUT)
        while pgconn.flush():
            if any(event & ~select.POLLOUT for _, event in self._wait(poll)):
                pgconn.consume_input()
        poll.modify(pgconn.socket, select.POLLIN)
        while True:
            while pgconn.is_busy():
                self._wait(poll)
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is None:
                if pgconn.status != ConnStatus.OK:
                    raise psycopg.OperationalError(pgconn.get_error_message())
                continue
            if result.status == ExecStatus.PIPELINE_SYNC:
                return
            yield result

    def _wait(self, poll: select.poll) -> list[tuple[int, int]]:
        """What `poll` tells. Raises GivenUp when the connection's owner waits no longer."""
        begun = time.monotonic()
        while not (ready := poll.poll(_LOOK_MILLISECONDS)):
            self.connection.heed(begun)
        return ready

    def _answer(self, result: PGresult) -> Answer:
        if result.status != ExecStatus.TUPLES_OK:
            return Answer([], result.command_tuples or 0)
        self._adapt.set_pgresult(result, set_loaders=True, format=Format.BINARY)
        return Answer(self._adapt.load_rows(0, result.ntuples, tuple), result.ntuples)


def _fault(result: PGresult) -> psycopg.Error | None:
    if result.status == ExecStatus.FATAL_ERROR:
        return errors.error_from_result(result)
    return None
