"""Brings a PostgreSQL database to the schema of this program, while other servers use it.

The first halves of migrations run when a newer server starts: they only add, so that older servers
go on. The second halves take away what older servers need: they run when somebody says so, and are
refused while an older server is connected. Every server tells its schema by a shared advisory lock
for as long as it lives. Of several that start at once one migrates, the others wait for it.
"""

from __future__ import annotations

import time

import psycopg
from msgspec import structs

from vedette.metadata import dialect
from vedette.metadata.migrate import (
    VERSIONS,
    Migration,
    additions,
    migrations,
    newest_of,
    pending,
    refuse_newer,
    statements,
)
from vedette.metadata.postgres_connection import connect
from vedette.metadata.postgres_errors import meaning, place
from vedette.model.errors import Conflict, Invalid

OLDEST = 14
"""The oldest PostgreSQL: it ends sessions that say nothing (idle_session_timeout)."""

# Classes of advisory locks; a database that others use besides may have the same numbers, but
# hardly both halves of them.
_MIGRATING = "7650, 1"
_ALIVE = 7651
_OWN = "-- schema/postgres/ has it\n"


def check(connection: psycopg.Connection) -> None:
    """Raise Invalid for a server that cannot do what is needed."""
    version = connection.info.server_version // 10000
    if version < OLDEST:
        raise Invalid(f"PostgreSQL {version} is too old: use {OLDEST} or newer")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise Invalid(
            f"database {connection.info.dbname} has encoding {encoding}: make one with "
            "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )


def bring(url: str, *, finish: bool) -> tuple[int, list[str]]:
    """Migrate a database: how many halves were run, and whose second ones are left.

    Raises Invalid, Unavailable or Conflict.
    """
    where = place(url)
    try:
        with connect(url, "vedette migrate") as connection:
            check(connection)
            return migrate(connection, finish=finish), unfinished(connection)
    except psycopg.Error as error:
        raise meaning(error, where) or error from error


def declare_alive(connection: psycopg.Connection) -> None:
    """Tell, while this connection is open, that a server of this program's schema is there."""
    connection.execute(f"SELECT pg_advisory_lock_shared({_ALIVE}, {newest_of(migrations())})")


def migrate(
    connection: psycopg.Connection,
    steps: list[Migration] | None = None,
    *,
    finish: bool = False,
    extra: dict[int, Migration] | None = None,
) -> int:
    """Run first halves that have not been run, with `finish` second ones too; returns how many.

    A database without anything in it gets both. Raises Conflict when a server of an older schema
    is connected and `finish` is wanted, or when the database is too new for this program.
    """
    if extra is None:
        extra = additions() if steps is None else {}
    steps = _with(migrations() if steps is None else steps, extra)
    with connection.transaction():
        connection.execute(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
        connection.execute(dialect.schema(VERSIONS))
        done = _done(connection)
        fresh = not done
        refuse_newer(done, steps, running=True)
        todo = pending(done, steps, ("pre", "post") if fresh or finish else ("pre",))
        if finish and not fresh:
            _refuse_older(connection, newest_of(steps))
        for step, phase, text in todo:
            for statement in statements(text):
                connection.execute(dialect.schema(statement))
            more = extra.get(step.number)
            own = "" if more is None else (more.pre if phase == "pre" else more.post)
            if own.strip():
                psycopg.Cursor(connection).execute(own.encode())  # several statements at once
            _record(connection, step, phase)
        if fresh or finish:
            _record(connection, steps[-1], "post")
    return len(todo)


def unfinished(connection: psycopg.Connection, steps: list[Migration] | None = None) -> list[str]:
    """The names of migrations whose second halves have not been run."""
    if steps is None:
        steps = _with(migrations(), additions())
    todo = pending(_done(connection), steps, ("post",))
    return [f"{step.number:04}_{step.name}" for step, _, _ in todo]


def alive(connection: psycopg.Connection) -> int:
    """How many connections servers have that write; one that leads may have two."""
    row = connection.execute(
        "SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = $1 "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        [_ALIVE],
    ).fetchone()
    return int(row[0]) if row else 0


def _with(steps: list[Migration], extra: dict[int, Migration]) -> list[Migration]:
    """Migrations that have a second half also where only PostgreSQL has something to do in it."""
    found = []
    for step in steps:
        more = extra.get(step.number)
        both = step if more is None or step.post else structs.replace(step, post=more.post and _OWN)
        found.append(both)
    return found


def _done(connection: psycopg.Connection) -> set[tuple[int, str]]:
    return set(connection.execute("SELECT number, phase FROM schema_version").fetchall())


def _record(connection: psycopg.Connection, step: Migration, phase: str) -> None:
    connection.execute(
        "INSERT INTO schema_version VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        [step.number, phase, step.name, time.time_ns() // 1000],
    )


def _refuse_older(connection: psycopg.Connection, schema: int) -> None:
    row = connection.execute(
        "SELECT count(DISTINCT pid), min(objid::bigint) FROM pg_locks WHERE locktype = 'advisory' "
        "AND classid = $1 AND objid::bigint < $2 AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database())",
        [_ALIVE, schema],
    ).fetchone()
    if row and row[0]:
        raise Conflict(
            f"servers of schema {row[1]} are connected ({row[0]} times), this program has "
            f"{schema}: stop them before the migration is finished"
        )
