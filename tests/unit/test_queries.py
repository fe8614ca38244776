from __future__ import annotations

import sqlite3

import psycopg
import pytest
from tests.postgres import Postgres

from vedette.metadata.migrate import migrate, migrations, parse, statements
from vedette.metadata.postgres import PostgresStore
from vedette.metadata.postgres_connection import connect
from vedette.metadata.queries import gather, queries
from vedette.model.errors import Conflict, Invalid


def test_a_query_has_a_name_a_description_and_a_statement() -> None:
    found = gather([("a.sql", "-- name: one\n-- description: says\n-- more\nSELECT\n  1;\n")])
    assert found["one"].sql == "SELECT\n  1"
    assert found["one"].description == "says more"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("SELECT 1;", "holds no query"),
        ("-- name: one\nSELECT 1;", "says nothing about itself"),
        ("-- name: one\n-- description: x\n", "has no statement"),
        ("-- name: One\n-- description: x\nSELECT 1", "lower case"),
    ],
)
def test_a_malformed_query_is_refused(text: str, fault: str) -> None:
    with pytest.raises(Invalid, match=fault):
        gather([("a.sql", text)])


def test_two_queries_of_one_name_are_refused_naming_both_files() -> None:
    text = "-- name: one\n-- description: x\nSELECT 1;"
    with pytest.raises(Invalid, match=r"a\.sql and in b\.sql"):
        gather([("a.sql", text), ("b.sql", text)])
    with pytest.raises(Invalid, match=r"a\.sql and in a\.sql"):
        gather([("a.sql", text + "\n" + text)])


def test_every_query_of_the_package_fits_the_schema() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    named = queries()
    assert len(named) > 50
    for query in named.values():
        connection.execute("EXPLAIN " + query.sql, _Anything())
    connection.close()


def test_every_query_of_the_package_is_portable(postgres: Postgres) -> None:
    """PostgreSQL takes the same text, or has its own in sql/postgres/."""
    url = postgres.database()
    store = PostgresStore(url)
    database = connect(url, "test")
    faults = []
    for name, query in store._sql.items():
        try:
            database.execute(f"PREPARE {name} AS {query.sql}".encode())
        except psycopg.Error as error:
            faults.append(f"{name}: {error}")
    database.close()
    store.close()
    assert faults == []
    assert len(store._sql) > 100


class _Anything(dict[str, object]):
    def __missing__(self, key: str) -> object:
        return None


PLANS = {
    "live_page": "SEARCH live USING PRIMARY KEY (line=? AND path>? AND path<?)",
    "live_get": "SEARCH live USING PRIMARY KEY (line=? AND path=?)",
    "live_of_datum": "SEARCH live USING COVERING INDEX live_datum (line=? AND datum=?)",
    "past_page_by_path": "SEARCH past USING PRIMARY KEY (line=? AND path>? AND path<?)",
    "past_page_by_change": "SEARCH past USING INDEX past_to (line=? AND to_seq>?)",
    "commit_get": "SEARCH cmt USING INTEGER PRIMARY KEY (rowid=?)",
    "branch_open": "SEARCH cmt USING INDEX cmt_open (repo=? AND branch=?)",
}


@pytest.mark.parametrize("name", sorted(PLANS))
def test_a_hot_query_is_answered_by_its_index(name: str) -> None:
    assert PLANS[name] in _plan(name)


# What is made on the way; `below` and `before` are queries of at most one row.
_NO_TABLES = ("SCAN json_each", "SCAN (subquery", "SCAN below", "SCAN before")


@pytest.mark.parametrize(
    "name", ["tip_by_name", "tip_by_id", "live_obstacle", "file_at", "line_diff", "line_touched"]
)
def test_no_hot_query_scans_a_table(name: str) -> None:
    scans = [
        line for line in _plan(name) if line.startswith("SCAN") and not line.startswith(_NO_TABLES)
    ]
    assert scans == []


def _plan(name: str) -> list[str]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    text = "EXPLAIN QUERY PLAN " + queries()[name].sql
    found = [row[3] for row in connection.execute(text, _Anything())]
    connection.close()
    return found


def test_migrations_run_once_first_halves_before_second_halves() -> None:
    steps = parse(
        [
            ("0001_a.sql", "CREATE TABLE a(x);\n-- phase: post\nINSERT INTO a VALUES ('post 1');"),
            ("0002_b.sql", "INSERT INTO a VALUES ('pre 2');\n-- why; not\nCREATE TABLE b(x);"),
        ]
    )
    connection = sqlite3.connect(":memory:", isolation_level=None)
    assert migrate(connection, steps[:1]) == 2
    assert migrate(connection, steps) == 1
    assert migrate(connection, steps) == 0
    assert connection.execute("SELECT x FROM a").fetchall() == [("post 1",), ("pre 2",)]
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    migrate(fresh, steps)
    assert fresh.execute("SELECT x FROM a").fetchall() == [("pre 2",), ("post 1",)]
    with pytest.raises(Conflict, match="newer vedette"):
        migrate(fresh, steps[:1])
    connection.close()
    fresh.close()


def test_a_migration_that_fails_changes_nothing() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, parse([("0001_a.sql", "CREATE TABLE a(x);\nnonsense;")]))
    assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'a'").fetchall() == []
    connection.close()


def test_repeated_numbers_and_odd_names_of_schema_files_are_refused() -> None:
    for names in (["0000_a.sql"], ["0001_a.sql", "0001_b.sql"], ["1_a.sql"]):
        with pytest.raises(Invalid, match="expected a name like"):
            parse((name, "") for name in names)
    with pytest.raises(Invalid, match="within a statement"):
        list(statements("CREATE TABLE a(\n"))
    assert [m.number for m in parse([("0001_a.sql", ""), ("0003_b.sql", "")])] == [1, 3]
    assert migrations()[0].number == 1
