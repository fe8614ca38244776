"""A COMMIT without an answer: whether it was kept is asked of the database (ENGINE C1)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from tests.postgres import postgres_server

from vedette.metadata.postgres import Mark, PostgresStore
from vedette.model.errors import Unavailable


@pytest.fixture
def led() -> Iterator[tuple[str, PostgresStore]]:
    """A database whose leader is in its third epoch, and a store of that leader."""
    with postgres_server() as server:
        url = server.empty()
        with closing(PostgresStore(url)) as any_store, closing(any_store.leading(3)) as store:
            with psycopg.connect(url) as asking:
                asking.execute("INSERT INTO leader VALUES ('leader', 3, 'http://here', 1)")
            yield url, store


def marked(url: str) -> Mark:
    """The mark of the last transaction that was kept."""
    with psycopg.connect(url) as asking:
        row = asking.execute("SELECT epoch, mark FROM leader").fetchone()
    assert row is not None
    return Mark(*row)


def test_what_was_kept_is_known_by_its_mark(led: tuple[str, PostgresStore]) -> None:
    """A number would not do: after a crash the database gives those that it lost to others."""
    url, store = led
    with store.write():
        pass
    first = marked(url)
    assert store._kept(first)
    assert not store._kept(Mark(3, "lost"))
    with store.write():
        pass
    assert marked(url) != first and not store._kept(first)


def test_who_asks_waits_for_a_commit_that_is_under_way(led: tuple[str, PostgresStore]) -> None:
    url, store = led
    found: list[bool] = []
    with psycopg.connect(url) as slow:
        slow.execute("UPDATE leader SET mark = 'slow'")
        asking = threading.Thread(target=lambda: found.append(store._kept(Mark(3, "slow"))))
        asking.start()
        asking.join(1.0)
        assert asking.is_alive() and not found
    asking.join(30.0)
    assert found == [True]


def test_once_another_leads_it_is_open_and_said_to_be(led: tuple[str, PostgresStore]) -> None:
    url, store = led
    with store.write():
        pass
    mark = marked(url)
    with psycopg.connect(url) as other:
        other.execute("UPDATE leader SET epoch = 4")
    with pytest.raises(Unavailable, match="whether it was kept is open") as told:
        store._kept(mark)
    assert told.value.fields["retry_after"] == 1
