"""All rows of a SQLite file into a PostgreSQL database: in pages, resumable, compared afterwards.

Nothing here knows a table: tables, columns and keys are read from the file. A page is a
transaction, and pages are in the order of the key, so that the last key that arrived says where
to go on. Both engines sort by bytes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import psycopg
from msgspec import Struct
from psycopg import RawServerCursor

from vedette.metadata.postgres_connection import connect
from vedette.metadata.postgres_errors import meaning, place
from vedette.model.errors import Conflict, Corrupt

PAGE = 5000
_FETCHED = 500
_PAGE_BYTES = 32 * 1024 * 1024
_OWN = {"schema_version", "setting"}
"""Tables that are not copied: each database has its own migrations, and who moves says the rest."""

Change = Callable[[str, dict[str, Any]], dict[str, Any]]
"""What becomes of a row of a table on its way, by the names of its columns."""
Tell = Callable[[str, int], None]
"""Told the table and the number of rows that were copied just now."""


class Table(Struct, frozen=True):
    """A table: all columns in order, and those of its primary key."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def quoted(self) -> str:
        """The columns, for a statement."""
        return ", ".join(f'"{column}"' for column in self.columns)

    @property
    def order(self) -> str:
        """The key, for a statement."""
        return ", ".join(f'"{column}"' for column in self.key)


def tables(connection: sqlite3.Connection) -> list[Table]:
    """Every table of a file, by name. Raises Corrupt for one without a key."""
    found = []
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_' "
        "ORDER BY name"
    )
    for (name,) in names.fetchall():
        if name in _OWN:
            continue
        columns = connection.execute(f'PRAGMA table_info("{name}")').fetchall()
        keys = sorted((row[5], row[1]) for row in columns if row[5])
        if not keys:
            raise Corrupt(f"table {name} has no key: restore a backup of the metadata")
        found.append(Table(name, tuple(row[1] for row in columns), tuple(key for _, key in keys)))
    return found


class RowCopy:
    """A copy of the rows in the file `source` to the database at `url`.

    `change` is applied to every row on its way. Nobody may write to either meanwhile.
    """

    def __init__(self, source: Path, url: str, change: Change) -> None:
        self.where = place(url)
        self._url = url
        self._change = change
        self._source = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
        self._source.execute("BEGIN")
        self.tables = tables(self._source)

    def counts(self) -> dict[str, int]:
        """How many rows each table of the source has."""
        return {
            table.name: self._source.execute(f'SELECT count(*) FROM "{table.name}"').fetchone()[0]
            for table in self.tables
        }

    def copy(self, tell: Tell) -> None:
        """Copy what has not arrived yet, then set what gives the next numbers."""
        with self._target() as target:
            for table in self.tables:
                self._copy_table(target, table, tell)
            self._number(target)

    def compare(self) -> str:
        """Read everything on both sides; the first table that differs, or nothing."""
        with self._target() as target:
            for table in self.tables:
                if not self._same(target, table):
                    return table.name
        return ""

    def empty(self) -> None:
        """Take all rows out of the target."""
        with self._target() as target, target.transaction():
            names = ", ".join(f'"{table.name}"' for table in self.tables)
            target.execute(f"TRUNCATE {names} RESTART IDENTITY")

    def refuse_filled(self) -> None:
        """Raise Conflict when the target has rows."""
        with self._target() as target:
            for table in self.tables:
                if target.execute(f'SELECT 1 FROM "{table.name}" LIMIT 1').fetchone():
                    raise Conflict(
                        f"the {self.where} is not empty (table {table.name} has rows): "
                        "name an empty one"
                    )

    def close(self) -> None:
        """Let go of the source."""
        self._source.close()

    @contextmanager
    def _target(self) -> Iterator[psycopg.Connection]:
        try:
            with closing(connect(self._url, "vedette migrates")) as connection:
                yield connection
        except psycopg.Error as error:
            raise meaning(error, self.where) or error from error

    def _copy_table(self, target: psycopg.Connection, table: Table, tell: Tell) -> None:
        last = target.execute(
            f'SELECT {table.order} FROM "{table.name}" ORDER BY '
            + ", ".join(f'"{column}" DESC' for column in table.key)
            + " LIMIT 1"
        ).fetchone()
        rows = self._rows(table, last)
        while page := _page(rows):
            with target.transaction(), target.cursor() as cursor:
                into = f'COPY "{table.name}"({table.quoted}) FROM STDIN'
                with cursor.copy(into.encode()) as copy:
                    for row in page:
                        copy.write_row(row)
            tell(table.name, len(page))

    def _rows(self, table: Table, after: Sequence[Any] | None = None) -> Iterator[tuple[Any, ...]]:
        """The rows of the source in the order of the key, as the target shall have them."""
        where = ""
        if after is not None:
            marks = ", ".join("?" * len(table.key))
            where = f"WHERE ({table.order}) > ({marks})"
        found = self._source.execute(
            f'SELECT {table.quoted} FROM "{table.name}" {where} ORDER BY {table.order}',
            list(after or ()),
        )
        for row in found:
            changed = self._change(table.name, dict(zip(table.columns, row, strict=True)))
            yield tuple(_text(value) for value in changed.values())

    def _same(self, target: psycopg.Connection, table: Table) -> bool:
        with target.transaction(), RawServerCursor[Any](target, "compared") as cursor:
            cursor.format = psycopg.pq.Format.BINARY
            cursor.itersize = _FETCHED
            cursor.execute(f'SELECT {table.quoted} FROM "{table.name}" ORDER BY {table.order}')
            return all(ours == theirs for ours, theirs in zip_longest(self._rows(table), cursor))

    def _number(self, target: psycopg.Connection) -> None:
        """Numbers that were given once never come back, even if their rows are gone."""
        highest = dict(self._source.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
        identities = target.execute(
            "SELECT table_name::text, column_name::text FROM information_schema.columns "
            "WHERE is_identity = 'YES' AND table_schema = current_schema()"
        ).fetchall()
        with target.transaction():
            for table, column in identities:
                if number := highest.get(table):
                    target.execute(
                        "SELECT setval(pg_get_serial_sequence($1, $2), $3)", [table, column, number]
                    )
            for table in ("job", "datum"):  # numbered by the scheduler itself
                if number := highest.get(table):
                    target.execute(
                        "INSERT INTO given(name, value) VALUES ($1, $2) "
                        "ON CONFLICT(name) DO UPDATE SET value = excluded.value",
                        [table, number],
                    )


def _page(rows: Iterator[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    page: list[tuple[Any, ...]] = []
    size = 0
    for row in rows:
        page.append(row)
        size += sum(len(value) for value in row if isinstance(value, bytes | str))
        if len(page) >= PAGE or size >= _PAGE_BYTES:
            break
    return page


def _text(value: Any) -> Any:
    """PostgreSQL has no NUL in texts; logs of programs may have one."""
    return value.replace("\0", "\N{SYMBOL FOR NULL}") if isinstance(value, str) else value
