"""Both engines have one schema and take every query; what is not portable fails here."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import psycopg
import pytest
from tests.postgres import Postgres
from tests.rig import pfs, rig

from vedette.metadata import dialect
from vedette.metadata.migrate import additions, migrations, parse
from vedette.metadata.postgres import PostgresStore
from vedette.metadata.postgres_connection import connect
from vedette.metadata.postgres_errors import place
from vedette.metadata.postgres_schema import declare_alive, migrate, unfinished
from vedette.metadata.queries import queries
from vedette.metadata.sqlite import SqliteStore
from vedette.model.errors import Conflict, Invalid, Unavailable

ONLY_POSTGRES = {"given"}
KINDS = {"INTEGER": "bigint", "TEXT": "text", "BLOB": "bytea", "REAL": "double precision"}


def test_both_engines_have_the_same_tables_columns_and_indices(
    postgres: Postgres, tmp_path: Path
) -> None:
    SqliteStore(tmp_path / "m.sqlite").close()
    lite = sqlite3.connect(tmp_path / "m.sqlite")
    url = postgres.database()
    database = url.rpartition("/")[2]
    ours = {
        (table, column): (KINDS[kind], bool(needed) or bool(key))
        for (table,) in lite.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not table.startswith("sqlite_")
        for _, column, kind, needed, _, key in lite.execute(f"PRAGMA table_info({table})")
    }
    theirs = {
        (table, column): (kind, nullable == "NO")
        for table, column, kind, nullable in postgres.execute(
            "SELECT table_name, column_name, data_type, is_nullable "
            "FROM information_schema.columns WHERE table_schema = 'public'",
            database,
        )
        if table not in ONLY_POSTGRES
    }
    assert theirs == ours
    named = {
        name for (name,) in lite.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
        if not name.startswith("sqlite_")
    }  # fmt: skip
    lite.close()
    found = postgres.execute(
        "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'", database
    )
    assert named <= {name for (name,) in found}


def test_every_query_answers_with_as_many_columns_in_both_engines(
    postgres: Postgres, tmp_path: Path
) -> None:
    """Some are written anew for PostgreSQL: a column that came later must come there too."""
    SqliteStore(tmp_path / "m.sqlite").close()
    near, ours, theirs = sqlite3.connect(tmp_path / "m.sqlite"), queries(), queries("postgres")
    with connect(postgres.database(), "columns") as far:
        for name in sorted(name for name in ours if ours[name].sql != theirs[name].sql):
            names = re.findall(r":([a-z_][a-z0-9_]*)", ours[name].sql)
            none = {each: 0 if each == "limit" else None for each in names}
            found = near.execute(ours[name].sql, none).description
            statement = dialect.statement(theirs[name].sql)
            answer = far.execute(statement.sql, [none[n] for n in statement.names]).description
            assert len(answer or ()) == len(found or ()), name
    near.close()


def test_text_has_the_order_of_bytes_whatever_the_servers_is(postgres: Postgres) -> None:
    """P1 and trap 6 of the metadata study."""
    odd = postgres.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE "
        "table_schema = 'public' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'",
        postgres.database().rpartition("/")[2],
    )
    assert odd == []


OLD = [
    ("0001_a.sql", "CREATE TABLE a(x INTEGER PRIMARY KEY AUTOINCREMENT, y TEXT NOT NULL) STRICT;")
]
_CHANGE = """ALTER TABLE a ADD COLUMN z TEXT NOT NULL DEFAULT '';
-- phase: post
ALTER TABLE a DROP COLUMN y;"""
NEW = [*OLD, ("0002_b.sql", _CHANGE)]


def test_old_and_new_code_share_a_database_between_the_halves_of_a_migration(
    postgres: Postgres,
) -> None:
    url = postgres.empty()
    with connect(url, "old") as old, connect(url, "new") as new:
        assert migrate(old, parse(OLD)) == 1
        old.execute("INSERT INTO a(y) VALUES ('old')")
        assert migrate(new, parse(NEW)) == 1
        assert unfinished(new, parse(NEW)) == ["0002_b"]
        # The old server goes on, and starts again, between the halves.
        old.execute("INSERT INTO a(y) VALUES ('old')")
        assert migrate(old, parse(OLD)) == 0
        new.execute("INSERT INTO a(y, z) VALUES ('', 'new')")
        assert old.execute("SELECT y FROM a ORDER BY x").fetchall() == [("old",), ("old",), ("",)]
        assert migrate(new, parse(NEW), finish=True) == 1
        assert unfinished(new, parse(NEW)) == []
        assert new.execute("SELECT z FROM a ORDER BY x").fetchall() == [("",), ("",), ("new",)]
        with pytest.raises(Conflict, match="schema 2, this program knows 1: use a newer"):
            migrate(old, parse(OLD))


def test_a_migration_is_not_finished_while_an_older_server_is_connected(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.empty()
    with connect(url, "new") as new:
        with connect(url, "old") as old:
            migrate(old, parse(OLD))
            monkeypatch.setattr("vedette.metadata.postgres_schema.migrations", lambda: parse(OLD))
            declare_alive(old)
            with pytest.raises(Conflict, match=r"servers of schema 1 are connected \(1 times\)"):
                migrate(new, parse(NEW), finish=True)
            assert new.execute("SELECT max(number) FROM schema_version").fetchone() == (1,)
        while new.execute(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'old'"
        ).fetchone():
            pass
        assert migrate(new, parse(NEW), finish=True) == 2


def test_a_migration_that_fails_changes_nothing(postgres: Postgres) -> None:
    url = postgres.empty()
    with connect(url, "test") as connection:
        steps = parse([("0001_a.sql", "CREATE TABLE a(x INTEGER);\nCREATE TABLE a(x INTEGER);")])
        with pytest.raises(psycopg.errors.DuplicateTable):
            migrate(connection, steps)
        assert connection.execute("SELECT to_regclass('a') IS NULL").fetchone() == (1,)


def test_what_is_wrong_with_a_database_is_told_in_one_line_without_its_password(
    postgres: Postgres,
) -> None:
    secret = "hunter2"  # not of anything
    gone = f"postgresql://me:{secret}@127.0.0.1:{postgres.port}/nowhere"
    with pytest.raises((Unavailable, Invalid)) as caught:
        PostgresStore(gone)
    told = caught.value.message
    assert f"database nowhere at 127.0.0.1:{postgres.port}" in told
    assert secret not in told and "\n" not in told
    closed = f"postgresql://me:{secret}@127.0.0.1:1/nowhere"
    with pytest.raises(Unavailable, match="does not answer") as refused:
        PostgresStore(closed)
    assert secret not in refused.value.message and "\n" not in refused.value.message
    with pytest.raises(Invalid, match="use postgresql://"):
        place(f"postgresql://me:{secret}@[/x")
    postgres.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(Invalid, match="encoding LATIN1"):
        PostgresStore(postgres.url("latin"))


def test_a_database_of_an_earlier_release_is_used_before_and_after_its_migrations_are_finished(
    postgres: Postgres, tmp_path: Path
) -> None:
    """With the package's own migrations, and at the end the indices of a new database."""
    url = postgres.empty()
    before = [step for step in migrations() if step.number < 12]
    with connect(url, "old") as old:
        migrate(old, before, extra={n: more for n, more in additions().items() if n < 12})
    store = PostgresStore(url)
    with rig(tmp_path, store) as engine, connect(url, "finish") as database:
        engine.repo("images")
        engine.pipeline("p", pfs("images", "/*"))
        engine.put("images", {"/a": b"1", "/b": b"2"})
        engine.settle()
        assert "0012_found" in unfinished(database)
        assert migrate(database, finish=True) > 0
        assert unfinished(database) == []
        # The server had statements prepared that used what is gone.
        engine.put("images", {"/a": None, "/b": b"3", "/c": b"4"})
        engine.settle()
        assert engine.tree("p") == {"/b": b"images/b=3", "/c": b"images/c=4"}
    assert indices(postgres, url) == indices(postgres, postgres.database())


def indices(postgres: Postgres, url: str) -> set[tuple[object, ...]]:
    """Every index of a database and what it is on."""
    return set(
        postgres.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
            url.rpartition("/")[2],
        )
    )
