"""What every metadata store keeps, and what the one on disk survives."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest
from tests.postgres import Postgres

from vedette.metadata.postgres import PostgresStore
from vedette.metadata.queries import gather
from vedette.metadata.sqlite import MemoryStore, SqliteStore
from vedette.metadata.store import MetadataStore
from vedette.model.errors import Conflict, Corrupt, NoSpace

QUERIES = gather(
    [
        (
            "test.sql",
            """
-- name: add
-- description: a number for a name
INSERT INTO setting(name, value) VALUES (:name, :value);
-- name: add_repo
-- description: a row with a key
INSERT INTO repo(name, description, kind, created) VALUES (:name, '', 'user', 0) RETURNING id;
-- name: add_repo_plain
-- description: the same without saying the key
INSERT INTO repo(name, description, kind, created) VALUES (:name, '', 'user', 0);
-- name: get
-- description: the value of a name
SELECT value FROM setting WHERE name = :name;
-- name: all
-- description: all values
SELECT name, value FROM setting ORDER BY name;
-- name: set
-- description: another value
UPDATE setting SET value = :value WHERE name = :name;
-- name: sums
-- description: a sum, a count and a comparison
SELECT coalesce(sum(size), 0), count(*), count(*) > 1 FROM object;
-- name: keep
-- description: bytes
INSERT INTO object(id, size, data) VALUES (:id, :size, :data);
-- name: kept
-- description: bytes and nothing
SELECT data, pack FROM object WHERE id = :id;
-- name: drop_repo
-- description: a row goes
DELETE FROM repo WHERE id = :id;
-- name: order
-- description: text in the order of the store
SELECT value FROM setting ORDER BY value;
""",
        )
    ]
)


class MetadataStoreTests:
    """The contract. A subclass provides the fixture `store`, with the queries above."""

    broken: type[Exception] = sqlite3.IntegrityError
    readonly: tuple[type[Exception], str] = (sqlite3.OperationalError, "readonly")

    def test_what_was_written_is_read(self, store: MetadataStore) -> None:
        with store.write() as rows:
            rows.run("add", name="a", value="1")
            rows.many("add", [{"name": "b", "value": "2"}, {"name": "c", "value": "3"}])
            assert rows.one("get", name="b") == ("2",)
        with store.read() as rows:
            assert rows.one("get", name="a") == ("1",)
            assert rows.one("get", name="none") is None
            assert rows.all("all") == [("a", "1"), ("b", "2"), ("c", "3")]
            assert list(rows.iterate("all")) == rows.all("all")

    def test_run_tells_how_many_rows_changed_and_insert_the_key(self, store: MetadataStore) -> None:
        with store.write() as rows:
            rows.run("add", name="a", value="1")
            assert rows.run("set", name="a", value="2") == 1
            assert rows.run("set", name="b", value="2") == 0
            first = rows.insert("add_repo", name="x")
            assert rows.insert("add_repo_plain", name="y") == first + 1

    def test_an_exception_undoes_the_whole_transaction(self, store: MetadataStore) -> None:
        with pytest.raises(ZeroDivisionError), store.write() as rows:
            rows.run("add", name="a", value="1")
            raise ZeroDivisionError
        with store.write() as rows:
            assert rows.all("all") == []

    def test_an_exception_undoes_a_savepoint_alone_and_savepoints_nest(
        self, store: MetadataStore
    ) -> None:
        with store.write() as rows:
            rows.run("add", name="a", value="1")
            with pytest.raises(ZeroDivisionError), rows.savepoint():
                rows.run("add", name="b", value="2")
                with rows.savepoint():
                    rows.run("add", name="c", value="3")
                raise ZeroDivisionError
            with rows.savepoint():
                rows.run("add", name="d", value="4")
                with pytest.raises(self.broken), rows.savepoint():
                    rows.run("add", name="d", value="5")
        with store.read() as rows:
            assert rows.all("all") == [("a", "1"), ("d", "4")]

    def test_what_is_said_for_later_is_seen_by_the_next_question_in_its_order(
        self, store: MetadataStore
    ) -> None:
        told: list[int] = []
        with store.write() as rows:
            rows.later("add", told.append, name="a", value="1")
            rows.later("set", told.append, name="b", value="2")
            assert rows.all("all") == [("a", "1")]
            assert told == [1, 0]
            rows.later("set", told.append, name="a", value="3")
            rows.many("add", [{"name": "b", "value": "4"}])
        assert told == [1, 0, 1]
        with store.read() as rows:
            assert rows.all("all") == [("a", "3"), ("b", "4")]

    def test_a_fault_of_what_was_said_for_later_belongs_to_its_savepoint(
        self, store: MetadataStore
    ) -> None:
        """Whatever was said before it and comes after it is kept, and statements can go on."""
        with store.write() as rows:
            rows.later("add", name="a", value="1")
            for n in range(5):
                with pytest.raises(self.broken), rows.savepoint():
                    rows.later("add", name=f"lost{n}", value="2")
                    rows.later("add", name="a", value="2")
                    rows.later("set", name="a", value="never")
                with rows.savepoint():
                    rows.later("add", name=f"b{n}", value="3")
                with pytest.raises(self.broken), rows.savepoint(), rows.savepoint():
                    rows.later("add", name="a", value="2")
                    rows.one("get", name="a")
        with store.read() as rows:
            kept = [("a", "1"), *((f"b{n}", "3") for n in range(5))]
            assert rows.all("all") == kept

    def test_who_is_told_of_what_was_said_for_later_can_refuse_it(
        self, store: MetadataStore
    ) -> None:
        def refuse(changed: int) -> None:
            if not changed:
                raise ZeroDivisionError

        with store.write() as rows:
            rows.run("add", name="a", value="1")
            with pytest.raises(ZeroDivisionError), rows.savepoint():
                rows.run("add", name="b", value="2")
                rows.later("set", refuse, name="none", value="2")
        with pytest.raises(ZeroDivisionError), store.write() as rows:
            rows.run("add", name="c", value="1")
            rows.later("set", refuse, name="none", value="2")
        with store.read() as rows:
            assert rows.all("all") == [("a", "1")]

    def test_a_fault_of_what_was_said_last_undoes_the_whole_transaction(
        self, store: MetadataStore
    ) -> None:
        for _ in range(3):
            with pytest.raises(self.broken), store.write() as rows:
                rows.run("add", name="a", value="1")
                rows.later("add", name="b", value="1")
                rows.later("add", name="a", value="1")
            with store.write() as rows:
                assert rows.all("all") == []

    def test_a_savepoint_of_which_nothing_was_said_leaves_no_trace(
        self, store: MetadataStore
    ) -> None:
        with store.write() as rows:
            with rows.savepoint(), rows.savepoint():
                pass
            with pytest.raises(ZeroDivisionError), rows.savepoint():
                raise ZeroDivisionError
            with rows.savepoint():
                with pytest.raises(ZeroDivisionError), rows.savepoint():
                    raise ZeroDivisionError
                rows.run("add", name="a", value="1")
                with pytest.raises(ZeroDivisionError), rows.savepoint():
                    rows.run("add", name="b", value="1")
                    raise ZeroDivisionError
        with store.read() as rows:
            assert rows.all("all") == [("a", "1")]

    def test_a_listing_that_is_given_up_does_not_hinder_what_follows(
        self, store: MetadataStore
    ) -> None:
        with store.write() as rows:
            rows.many("add", [{"name": f"{n:05}", "value": ""} for n in range(2500)])
            listings = []
            with pytest.raises(ZeroDivisionError), rows.savepoint():
                listings.append(rows.iterate("all"))
                assert next(listings[0]) == ("00000", "")
                raise ZeroDivisionError
            listings.clear()
            assert next(rows.iterate("all")) == ("00000", "")
            assert rows.one("get", name="02499") == ("",)

    def test_a_reader_sees_one_moment_while_others_write(self, store: MetadataStore) -> None:
        with store.write() as rows:
            rows.run("add", name="a", value="1")
        with store.read() as before:
            assert before.one("get", name="a") == ("1",)
            with store.write() as rows:
                rows.run("set", name="a", value="2")
                with store.read() as other:
                    assert other.one("get", name="a") == ("1",)
            with store.read() as after:
                assert after.one("get", name="a") == ("2",)
            assert before.one("get", name="a") == ("1",)

    def test_a_reader_cannot_write(self, store: MetadataStore) -> None:
        kind, said = self.readonly
        with pytest.raises(kind, match=said), store.read() as rows:
            rows.run("add", name="a", value="1")
        with store.write() as rows:
            assert rows.all("all") == []

    def test_many_readers_at_once_have_a_view_each(self, store: MetadataStore) -> None:
        with ExitStack() as stack:
            views = [stack.enter_context(store.read()) for _ in range(12)]
            assert [view.all("all") for view in views] == [[]] * 12
            with store.write() as rows:
                rows.run("add", name="a", value="1")
            assert [view.all("all") for view in views] == [[]] * 12

    def test_writers_take_turns(self, store: MetadataStore) -> None:
        with store.write() as rows:
            rows.run("add", name="n", value="0")

        def work() -> None:
            for _ in range(25):
                with store.write() as rows:
                    found = rows.one("get", name="n")
                    assert found is not None
                    rows.run("set", name="n", value=str(int(found[0]) + 1))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with store.read() as rows:
            assert rows.one("get", name="n") == ("100",)

    def test_values_come_back_as_they_went(self, store: MetadataStore) -> None:
        data = bytes(range(256)) * 100
        with store.write() as rows:
            rows.run("keep", id=b"\0a", size=1 << 62, data=data)
            assert rows.one("sums") == (1 << 62, 1, 0)
            rows.run("keep", id=b"b", size=7, data=None)
        with store.read() as rows:
            assert rows.one("kept", id=b"\0a") == (data, None)
            assert rows.one("kept", id=b"b") == (None, None)
            (total, number, more) = rows.all("sums")[0]
            assert (total, number, more) == ((1 << 62) + 7, 2, 1)
            assert {type(total), type(number), type(more)} == {int}

    def test_a_number_never_comes_back(self, store: MetadataStore) -> None:
        """Cursors and memories that name a row must not find another one."""
        with store.write() as rows:
            first = rows.insert("add_repo", name="x")
            rows.run("drop_repo", id=first)
        with store.write() as rows:
            assert rows.insert("add_repo_plain", name="x") == first + 1

    def test_rows_are_read_one_by_one_while_others_are_asked(self, store: MetadataStore) -> None:
        with store.write() as rows:
            rows.many("add", [{"name": f"{n:05}", "value": str(n)} for n in range(3000)])
        with store.read() as rows:
            found = rows.iterate("all")
            other = rows.iterate("all")
            for n in range(1500):
                assert next(found) == (f"{n:05}", str(n))
                assert next(other) == (f"{n:05}", str(n))
                assert rows.one("get", name=f"{n:05}") == (str(n),)
            assert sum(1 for _ in found) == 1500

    def test_text_is_ordered_by_bytes(self, store: MetadataStore) -> None:
        """P1: the order on which pages and merges stand."""
        texts = ["/a-b", "/a.b", "/a/b", "/a0", "/B", "/é", "/\uffff", "/😀", "/z"]
        with store.write() as rows:
            rows.many("add", [{"name": t, "value": t} for t in texts])
            assert [row[0] for row in rows.all("order")] == sorted(texts)
            assert sorted(texts) == sorted(texts, key=str.encode)


class TestMemoryStore(MetadataStoreTests):
    @pytest.fixture
    def store(self) -> Iterator[MetadataStore]:
        made = MemoryStore(QUERIES)
        yield made
        made.close()


class TestSqliteStore(MetadataStoreTests):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[MetadataStore]:
        made = SqliteStore(tmp_path / "metadata.sqlite", QUERIES)
        yield made
        made.close()


class TestPostgresStore(MetadataStoreTests):
    broken = psycopg.IntegrityError
    readonly = (psycopg.errors.ReadOnlySqlTransaction, "read-only")

    @pytest.fixture
    def store(self, postgres: Postgres) -> Iterator[MetadataStore]:
        made = PostgresStore(postgres.database(), QUERIES)
        yield made
        made.close()


def test_a_transaction_with_a_failed_statement_is_never_reported_as_kept(
    postgres: Postgres,
) -> None:
    """PostgreSQL answers such a COMMIT by undoing all, without an error."""
    store = PostgresStore(postgres.database(), QUERIES)
    with pytest.raises(psycopg.errors.InFailedSqlTransaction), store.write() as rows:
        rows.run("add", name="a", value="1")
        with suppress(psycopg.IntegrityError):
            rows.run("add", name="a", value="2")
    with store.write() as rows:
        assert rows.all("all") == []
    store.close()


def test_rows_outlive_the_store_and_a_copy_of_the_files_has_every_commit(tmp_path: Path) -> None:
    """C1: what stands in the files after a commit is all that a crash leaves."""
    store = SqliteStore(tmp_path / "m.sqlite", QUERIES)
    with store.write() as rows:
        rows.run("add", name="a", value="1")
    with pytest.raises(ZeroDivisionError), store.write() as rows:
        rows.run("add", name="b", value="2")
        raise ZeroDivisionError
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for file in tmp_path.glob("m.sqlite*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, crashed)
    store.close()
    for folder in (tmp_path, crashed):
        again = SqliteStore(folder / "m.sqlite", QUERIES)
        with again.read() as rows:
            assert rows.all("all") == [("a", "1")]
        again.close()


def test_a_file_that_is_no_database_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "m.sqlite").write_bytes(b"not a database " * 1000)
    with pytest.raises(Corrupt, match="restore a backup") as caught:
        SqliteStore(tmp_path / "m.sqlite")
    assert "\n" not in caught.value.message


def test_data_of_a_newer_program_are_refused(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "m.sqlite").close()
    raw = sqlite3.connect(tmp_path / "m.sqlite")
    raw.execute("INSERT INTO schema_version VALUES (9999, 'pre', 'later', 0)")
    raw.commit()
    raw.close()
    with pytest.raises(Conflict, match="schema 9999"):
        SqliteStore(tmp_path / "m.sqlite")


def test_a_full_database_refuses_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "m.sqlite", QUERIES)
    with store.write() as rows:
        rows.run("add", name="before", value="kept")
    writer = store._writer
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count={pages + 2}")
    for _ in range(2):
        with pytest.raises(NoSpace, match="make room"), store.write() as rows:
            rows.run("add", name="big", value="x" * 100_000)
        with pytest.raises(NoSpace), store.write() as rows, rows.savepoint():
            rows.run("add", name="big", value="x" * 100_000)
    writer.execute("PRAGMA max_page_count=1000000")
    with store.write() as rows:
        rows.run("add", name="big", value="x" * 100_000)
        assert rows.one("get", name="before") == ("kept",)
    store.close()
