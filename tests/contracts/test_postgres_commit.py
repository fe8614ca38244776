"""A COMMIT without an answer: whether it was kept is asked of the database (ENGINE C1)."""

from __future__ import annotations

import psycopg
from tests.postgres import postgres_server

from vedette.metadata.postgres import PostgresStore


def test_a_commit_of_which_a_crash_left_not_even_the_number_was_not_kept() -> None:
    """After a crash the database begins again behind numbers that it had given, and calls those
    still to come: that is an answer, and no fault of the question."""
    with postgres_server() as server:
        url = server.empty()
        store = PostgresStore(url)
        with psycopg.connect(url) as asking:
            row = asking.execute("SELECT pg_current_xact_id()::text").fetchone()
        assert row is not None
        assert store._kept(row[0])
        assert not store._kept(str(int(row[0]) + 1_000_000))
        store.close()
