"""One open transaction on a connection to PostgreSQL.

Each question costs a round trip, but what needs no answer does not: it waits here and goes with the
next question, in one pipeline. Nothing waits beyond the end of the savepoint that it was said in,
so that a fault is told where it belongs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg
from msgspec import Struct
from psycopg.errors import InFailedSqlTransaction
from psycopg.pq import TransactionStatus

from vedette.metadata.dialect import Statement
from vedette.metadata.postgres_errors import meaning
from vedette.metadata.postgres_pipeline import Answer, Asked, Pipeline
from vedette.metadata.store import Row

_PAGE = 1000
_MOST = 512
"""Statements that may wait; and so many are in memory."""
_INSERT = re.compile(r"\s*INSERT INTO (\w+)")
_OPEN = (TransactionStatus.INTRANS, TransactionStatus.INERROR)


class _Waiting(Struct, frozen=True):
    """A statement that was not sent yet. `then` is told how many rows it changed.

    A harmless one cannot fail, so nobody needs to know at once whether it has.
    """

    asked: Asked
    then: Callable[[int], None] | None = None
    harmless: bool = False


class PostgresRows:
    """One open transaction."""

    def __init__(
        self, pipeline: Pipeline, sql: Mapping[str, Statement], keys: Mapping[str, str],
        where: str,
    ) -> None:  # fmt: skip
        self._pipeline = pipeline
        self._where = where
        self._sql = sql
        self._keys = keys
        self._depth = 0
        self._waiting: list[_Waiting] = []
        self._cursors = count(1)
        self._undone = 0

    def all(self, query: str, /, **values: Any) -> list[Row]:
        """Every row of the answer."""
        return self._ask(self._named(query, values)).rows

    def one(self, query: str, /, **values: Any) -> Row | None:
        """The first row of the answer, or None."""
        return next(iter(self._ask(self._named(query, values)).rows), None)

    def run(self, query: str, /, **values: Any) -> int:
        """Change rows; how many were changed."""
        return self._ask(self._named(query, values)).count

    def later(
        self, query: str, then: Callable[[int], None] | None = None, /, **values: Any
    ) -> None:
        """Change rows by the time of the next question; `then` is told how many were changed."""
        self._wait(self._named(query, values, then))

    def insert(self, query: str, /, **values: Any) -> int:
        """Add a row; its integer key, or what the statement returns first."""
        asked = self._named(query, values)
        if "RETURNING" not in asked.asked.sql:
            into = _INSERT.match(asked.asked.sql)
            key = self._keys[into[1]] if into else "1"
            asked = _Waiting(Asked(f"{asked.asked.sql} RETURNING {key}", asked.asked.values))
        (found,) = self._ask(asked).rows[0]
        return int(found)

    def many(self, query: str, values: Sequence[Mapping[str, Any]], /) -> None:
        """Change rows once for each set of values, by the time of the next question."""
        for each in values:
            self._wait(self._named(query, each))

    def iterate(self, query: str, /, **values: Any) -> Iterator[Row]:
        """The rows of the answer one by one, inside this transaction."""
        asked = self._named(query, values)
        name = f"rows{next(self._cursors)}"
        before = self._undone
        text = f"DECLARE {name} NO SCROLL CURSOR FOR {asked.asked.sql}"
        self._wait(_Waiting(Asked(text, asked.asked.values, passing=True)))
        more = _Waiting(Asked(f"FETCH {_PAGE} FROM {name}", passing=True))
        page = self._ask(more).rows
        try:
            while len(page) == _PAGE:
                yield from page
                page = self._ask(more).rows
            yield from page
        finally:
            # What was undone meanwhile may have taken the cursor with it.
            if before == self._undone:
                self._waiting.append(_Waiting(Asked(f"CLOSE {name}", passing=True), harmless=True))

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of the transaction that an exception undoes alone. They nest."""
        self._flush()  # what was said before is no part of it, nor is its fault
        name = f"part{self._depth}"
        begin = _Waiting(Asked(f"SAVEPOINT {name}"), harmless=True)
        self._waiting.append(begin)
        self._depth += 1
        try:
            yield
            self._flush()
        except psycopg.Error as error:
            self._undo(begin, name)
            raise meaning(error, self._where) or error from error
        except BaseException:
            self._undo(begin, name)
            raise
        else:
            if not self._unsaid(begin):
                self._waiting.append(_Waiting(Asked(f"RELEASE {name}"), harmless=True))
        finally:
            self._depth -= 1

    def _undo(self, begin: _Waiting, name: str) -> None:
        self._undone += 1
        if self._unsaid(begin):
            return
        self._waiting.clear()
        if self._pipeline.connection.info.transaction_status in _OPEN:
            self._pipeline.ask(Asked(f"ROLLBACK TO {name}"), Asked(f"RELEASE {name}"))

    def _unsaid(self, begin: _Waiting) -> bool:
        """Whether a savepoint was not sent yet; then it is forgotten, with what came after it."""
        for place, each in enumerate(self._waiting):
            if each is begin:
                del self._waiting[place:]
                return True
        return False

    def commit(self) -> None:
        """End the transaction, so that it is kept. Nothing can be asked after."""
        if any(each.then is not None for each in self._waiting):
            self._flush()
        if self._pipeline.connection.info.transaction_status == TransactionStatus.INERROR:
            # Asked to commit, the server would undo it all and say nothing.
            raise InFailedSqlTransaction("a statement of this transaction had failed")
        self._ask(_Waiting(Asked("COMMIT")))

    def _named(
        self, query: str, values: Mapping[str, Any], then: Callable[[int], None] | None = None
    ) -> _Waiting:
        found = self._sql[query]
        return _Waiting(Asked(found.sql, [values[name] for name in found.names]), then)

    def _wait(self, statement: _Waiting) -> None:
        self._waiting.append(statement)
        if len(self._waiting) >= _MOST:
            self._flush()

    def _flush(self) -> None:
        """Send what waits and can be at fault."""
        if not all(each.harmless for each in self._waiting):
            self._send()

    def _ask(self, asked: _Waiting) -> Answer:
        self._waiting.append(asked)
        return self._send()

    def _send(self) -> Answer:
        """Send what waits; the last answer."""
        sent, self._waiting = self._waiting, []
        answers = self._pipeline.ask(*(each.asked for each in sent))
        for each, answer in zip(sent, answers, strict=True):
            if each.then is not None:
                each.then(answer.count)
        return answers[-1]
