"""A database that does not let us in says why, in one line and without the password."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.postgres import Postgres, postgres_server

from vedette.metadata.postgres import PostgresStore, servers
from vedette.model.errors import Invalid, Unavailable


@pytest.fixture(scope="module")
def guarded() -> Iterator[Postgres]:
    """A server that asks one of its users for a password."""
    with postgres_server() as server:
        server.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
        server.execute("CREATE ROLE quiet NOLOGIN")
        server.execute("CREATE DATABASE shut")
        server.execute("REVOKE CONNECT ON DATABASE shut FROM PUBLIC")
        rules = server.data / "pg_hba.conf"
        rules.write_text(
            "host all guarded 127.0.0.1/32 scram-sha-256\n"
            "host elsewhere all 127.0.0.1/32 reject\n"
            "host all postgres,quiet,nobody_known 127.0.0.1/32 trust\n"
        )
        server.execute("SELECT pg_reload_conf()")
        yield server


@pytest.mark.parametrize(
    ("who", "name", "said"),
    [
        ("guarded:wrong", "postgres", "the user or the password is wrong"),
        ("guarded", "postgres", "it asks for a password"),
        ("guarded:right", "shut", "GRANT CONNECT"),
        ("postgres", "nothing", "there is no such database"),
        ("nobody_known", "postgres", "there is no such user"),
        ("stranger", "postgres", "it lets nobody in from here"),
        ("postgres", "elsewhere", "it lets nobody in from here"),
        ("quiet", "postgres", "the user may not log in"),
    ],
)
def test_a_login_that_is_refused_says_what_is_wrong(
    guarded: Postgres, who: str, name: str, said: str
) -> None:
    url = f"postgresql://{who}@127.0.0.1:{guarded.port}/{name}"
    for asks in (PostgresStore, servers):
        with pytest.raises(Invalid, match=said) as caught:
            asks(url)
        message = caught.value.message
        assert f"database {name} at 127.0.0.1:{guarded.port} refuses us" in message
        assert "\n" not in message and "wrong@" not in message and "right@" not in message


def test_a_server_that_is_not_there_does_not_answer() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        PostgresStore("postgresql://postgres@127.0.0.1:1/postgres")
