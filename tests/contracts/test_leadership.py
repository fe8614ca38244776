"""Who leads over one PostgreSQL, what a leader of old may still do, and lost answers."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from tests.postgres import PATIENCE, Postgres, postgres_server
from tests.rig import pfs, rig

from vedette.metadata.leadership import Leadership
from vedette.metadata.postgres import PostgresStore
from vedette.metadata.store import Role
from vedette.model.errors import Unavailable


class Candidate:
    """A server that stands for election and notes what it is told."""

    def __init__(self, url: str, address: str) -> None:
        self.told: queue.Queue[Role] = queue.Queue()
        self.address = address
        self.leadership = Leadership(url, address, self.told.put)
        self.leadership.start()

    def next(self) -> Role:
        return self.told.get(timeout=PATIENCE)

    def leads(self) -> int:
        """The epoch, once it leads."""
        while not (role := self.next()).leads:
            pass
        return role.epoch

    def follows(self, address: str) -> None:
        while (role := self.next()).leads or role.address != address:
            pass


@contextmanager
def candidates(url: str, count: int) -> Iterator[list[Candidate]]:
    made: list[Candidate] = []
    try:
        for number in range(count):
            made.append(Candidate(url, f"http://host{number}:1"))
        yield made
    finally:
        for each in made:
            each.leadership.stop()


def test_one_leads_and_who_stops_or_resigns_is_followed_by_another(postgres: Postgres) -> None:
    url = postgres.database()
    with candidates(url, 3) as (first, second, third):
        assert first.next() == Role(leads=True, epoch=1, address=first.address)
        second.follows(first.address)
        third.follows(first.address)
        first.leadership.resign()
        (role,) = [each for each in (second.next(), third.next()) if each.epoch == 2][:1]
        leader = postgres.execute("SELECT address FROM leader", url.rpartition("/")[2])[0][0]
        assert role.epoch == 2 and leader in (second.address, third.address)
        now = second if leader == second.address else third
        other = third if now is second else second
        now.leadership.stop()
        while not (role := _newest(first, other)).leads:
            pass
        assert role.epoch == 3


def _newest(*of: Candidate) -> Role:
    """The next thing that one of them is told."""
    limit = PATIENCE
    while limit > 0:
        for each in of:
            try:
                return each.told.get(timeout=0.05)
            except queue.Empty:
                limit -= 0.05
    raise AssertionError("nobody was told anything")


def test_a_leader_of_old_commits_nothing_and_none_of_its_transactions_is_waited_for(
    postgres: Postgres,
) -> None:
    """The old one sleeps in the middle of a transaction, and wakes when another has led."""
    url = postgres.database()
    base = PostgresStore(url)
    with candidates(url, 1) as (first,):
        old = base.leading(first.leads())
        with old.write() as rows:
            rows.run("setting_put", name="a", value="1")
        with pytest.raises(Unavailable), old.write() as rows:
            rows.run("setting_put", name="a", value="2")
            first.leadership.stop()
            with candidates(url, 1) as (second,):
                assert second.leads() == 2
                new = base.leading(2)
                with new.write() as other:
                    assert other.one("setting_get", name="a") == ("1",)
                    other.run("setting_put", name="a", value="3")
        with pytest.raises(Unavailable, match="another server leads now") as refused, old.write():
            pass
        assert refused.value.fields == {"retry_after": 1}
        with new.write() as rows:
            assert rows.one("setting_get", name="a") == ("3",)
    for store in (old, new, base):
        store.close()


def test_a_leader_goes_on_in_its_epoch_when_the_database_was_away(tmp_path: Path) -> None:
    with postgres_server() as own:
        url = own.database()
        with candidates(url, 1) as (first,):
            assert first.leads() == 1
            own.kill()
            own.start()
            base = PostgresStore(url)
            store = base.leading(1)
            with store.write() as rows:
                assert rows.one("leader") is not None
            assert first.told.empty()
            store.close()
            base.close()


class Wire:
    """Passes bytes between a client and the database, until the answer to a word is to be lost."""

    def __init__(self, port: int) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._target = port
        self.lose: bytes | None = None
        self._ends: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            self._ends += [near, far]
            lost = threading.Event()
            for source, target in ((near, far), (far, near)):
                threading.Thread(
                    target=self._pump, args=(source, target, source is near, lost), daemon=True
                ).start()

    def _pump(
        self, source: socket.socket, target: socket.socket, asking: bool, lost: threading.Event
    ) -> None:
        try:
            while data := source.recv(65536):
                if asking and self.lose is not None and self.lose in data:
                    self.lose = None
                    lost.set()
                if lost.is_set() and not asking:
                    break  # the database has answered: it did what was asked
                target.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, target):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def wire(postgres: Postgres) -> Iterator[Wire]:
    made = Wire(postgres.port)
    yield made
    made.close()


def test_a_commit_whose_answer_is_lost_is_not_reported_as_failed(
    postgres: Postgres, wire: Wire
) -> None:
    """C1: else the round would run again, and one put would be two commits."""
    name = postgres.database().rpartition("/")[2]
    base = PostgresStore(f"postgresql://postgres@127.0.0.1:{wire.port}/{name}")
    with psycopg.connect(postgres.url(name)) as made:
        made.execute("INSERT INTO leader VALUES ('leader', 1, 'http://here', 1)")
    store = base.leading(1)
    with store.write() as rows:
        rows.run("setting_put", name="a", value="1")
        rows.later("setting_put", name="b", value="sent along with the end")
        wire.lose = b"COMMIT"
    assert wire.lose is None
    with store.write() as rows:
        assert rows.one("setting_get", name="a") == ("1",)
        assert rows.one("setting_get", name="b") == ("sent along with the end",)
    store.close()
    base.close()


def test_the_scheduler_reads_its_memory_anew_after_the_database_was_away(tmp_path: Path) -> None:
    """C1: what a round that was undone had in memory is not taken for true."""
    with postgres_server() as own:
        store = PostgresStore(own.database())
        with rig(tmp_path, store) as engine:
            engine.repo("images")
            engine.put("images", {"/a": b"1"})
            engine.pipeline("p", pfs("images", "/*"))
            engine.settle()
            own.kill()
            with pytest.raises(Unavailable):
                engine.put("images", {"/b": b"2"})
            own.start()
            engine.put("images", {"/c": b"3"})
            engine.settle()
            assert sorted(engine.tree("images")) == ["/a", "/c"]
            assert sorted(engine.tree("p")) == ["/a", "/c"]
            assert [job.state for job in engine.jobs("p")] == ["SUCCESS"] * 2
