"""`migrate-store`: an installation goes to a bucket, a database, or both, and is the same there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.formats.make import HERE, described, pattern
from tests.formats.test_formats import unpacked
from tests.object_servers import ObjectServer
from tests.postgres import Postgres
from tests.program import PROGRAM, Server, environment, run, serving

from vedette.metadata.postgres import PostgresStore
from vedette.metadata.sqlite import SqliteStore
from vedette.metadata.store import Rows
from vedette.model.errors import Conflict, Corrupt, Invalid, NotFound
from vedette.objects.bucket import Bucket
from vedette.objects.local import LocalObjects
from vedette.store_migration.move import Moved, Plan, move
from vedette.versioning import contents

ARCHIVE = HERE / "0.1.0.tar.gz"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with something of everything."""
    unpacked(ARCHIVE, tmp_path)
    return tmp_path / "data"


@pytest.fixture
def bucket(weed: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place in a bucket, for this process and those that the test starts."""
    for name, value in weed.environ.items():
        monkeypatch.setenv(name, value)
    return weed.place()


def quietly(line: str) -> None:
    """Nobody wants to hear of the progress."""


def said_of(rows: Rows) -> dict[str, str]:
    """What is kept for the whole installation."""
    return dict(rows.all("setting_all"))


def outside(data: Path) -> dict[bytes, int]:
    """The objects that are not in rows, with their sizes."""
    store = SqliteStore(data / "metadata.sqlite")
    with store.read() as rows:
        found = {row[0]: row[1] for row in rows.all("object_outside")}
    store.close()
    return found


def add_objects(data: Path, count: int, size: int) -> None:
    """More objects in the data folder, for moves that take a while."""
    store, objects = SqliteStore(data / "metadata.sqlite"), LocalObjects(data)
    with store.write() as rows:
        for n in range(count):
            ready = contents.prepare(objects, os.urandom(size) + b"%d" % n)
            rows.run("object_add", id=ready.id, size=ready.size, data=ready.data,
                     pack=ready.place.pack, place=ready.place.offset)  # fmt: skip
        objects.sync()
    objects.close()
    store.close()


def same(server: Server, expected: dict[str, Any]) -> None:
    """Everything is as it was, and works on."""
    assert described(server) == expected
    assert server.content("model", "/weights") == pattern(2 << 20, 3)
    assert server.content("images", "/dev0/0.jpg", "fork") == pattern(40 << 10, 1)
    server.put("images", "/dev1/new.jpg", pattern(50 << 10, 13))
    server.idle()
    assert server.content("crossed", "/dev1/new.jpg.txt") == b"%d\n" % (50 << 10)


def test_objects_go_to_a_bucket_and_everything_is_as_it_was(data: Path, bucket: str) -> None:
    add_objects(data, 1, 9 << 20)
    with serving(data) as server:
        expected = described(server)
    done = run(["migrate-store", "--data", data, "--to-objects", bucket])
    assert done.code == 0, done.err
    assert (
        done.out.splitlines()[-1] == f"go on with: vedette serve --data {data} --objects {bucket}"
    )
    assert not (data / "moving").exists()
    for folder in ("packs", "objects"):
        for file in (data / folder).rglob("*"):
            if file.is_file():
                file.unlink()
    with serving(data, "--objects", bucket) as server:
        same(server, expected)
    again = run(["migrate-store", "--data", data, "--to-objects", bucket])
    assert again.code == 0 and "moved 0 rows and 0 objects" in again.out


def test_objects_of_rows_in_a_database_go_to_a_bucket(
    tmp_path: Path, bucket: str, postgres: Postgres
) -> None:
    url, data = postgres.database(), tmp_path / "data"
    with serving(data, "--database", url) as server:
        server("create-repo", "r")
        server.put("r", "/x", pattern(50 << 10, 3))
    done = run(["migrate-store", "--data", data, "--database", url, "--to-objects", bucket])
    assert done.code == 0 and "moved 0 rows and 1 objects (51200 bytes)" in done.out, done.err
    with serving(tmp_path / "elsewhere", "--database", url, "--objects", bucket) as server:
        assert server.content("r", "/x") == pattern(50 << 10, 3)


def test_objects_go_from_one_bucket_to_another(data: Path, bucket: str) -> None:
    first = move(Plan(data=data, to_objects=bucket), quietly)
    second = move(Plan(data=data, to_objects=f"{bucket}-2/"), quietly)
    assert first == second and first.objects == len(outside(data))
    with serving(data, "--objects", f"{bucket}-2") as server:
        assert server.content("model", "/weights") == pattern(2 << 20, 3)


def test_a_move_that_was_killed_goes_on_where_it_was(
    data: Path, bucket: str, weed: ObjectServer
) -> None:
    add_objects(data, 4, 9 << 20)
    wanted = outside(data)
    process = subprocess.Popen(
        [str(PROGRAM), "migrate-store", "--data", str(data), "--to-objects", bucket],
        stdout=subprocess.PIPE, env=environment({"PYTHONUNBUFFERED": "1"}),
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert line.startswith("objects: ") and f" of {len(wanted)} copied" in line
    with serving(data) as server:
        assert server.content("model", "/weights") == pattern(2 << 20, 3), "the source is as it was"
    there = {item.key: item.modified for item in Bucket(bucket, weed.environ).items("objects")}
    lines: list[str] = []
    done = move(Plan(data=data, to_objects=bucket), lines.append)
    assert done == Moved(objects=len(wanted), bytes=sum(wanted.values()))
    first = int(lines[0].split()[1])
    assert first > int(line.split()[1]), "what was done is not done again"
    after = {item.key: item.modified for item in Bucket(bucket, weed.environ).items("objects")}
    assert there.items() <= after.items() or len(there) < 3


def test_rows_go_to_a_database_one_by_one_the_same(data: Path, postgres: Postgres) -> None:
    url = postgres.empty()
    done = move(Plan(data=data, to_database=url), quietly)
    assert done.rows["cmt"] > 10 and done.rows["object"] > 10 and done.objects == 0
    near, far = SqliteStore(data / "metadata.sqlite"), PostgresStore(url)
    with near.read() as ours, far.read() as theirs:
        for query in ("last_job_num", "last_datum_num"):
            assert ours.one(query) == theirs.one(query)
        assert said_of(theirs).keys() == {"installation"}
        assert "database test" in said_of(ours)["moved"]
    with near.write() as ours, far.write() as theirs:
        numbers = [
            tx.insert("repo_add", name="more", description="", kind="", created=1)
            for tx in (ours, theirs)
        ]
        assert numbers[0] == numbers[1], "numbers go on from the same place"
    near.close()
    far.close()
    with pytest.raises(Conflict, match="the rows of this data are in the database test"):
        move(Plan(data=data, to_database=url), quietly)
    refused = run(["serve", "--data", data, "--listen", "127.0.0.1:0"])
    assert refused.code != 0 and "are in the database" in refused.err


def test_a_copy_of_rows_that_was_interrupted_goes_on_and_notices_changes(
    data: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vedette.metadata.copying.PAGE", 7)
    url, told = postgres.empty(), 0

    def interrupt(line: str) -> None:
        nonlocal told
        told += 1
        if told == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move(Plan(data=data, to_database=url), interrupt)
    far = PostgresStore(url)
    with far.read() as rows:
        assert said_of(rows).keys() == {"moving"}
    far.close()
    with serving(data) as server:
        server.put("notes", "/1", b"the source is used meanwhile")
        server.idle()
    lines: list[str] = []
    done = move(Plan(data=data, to_database=url), lines.append)
    assert sum(done.rows.values()) > 100
    far = PostgresStore(url)
    near = SqliteStore(data / "metadata.sqlite")
    with near.read() as ours, far.read() as theirs:
        assert ours.all("repo_list") == theirs.all("repo_list")
    near.close()
    far.close()


def test_rows_and_objects_go_together_and_everything_is_as_it_was(
    data: Path, bucket: str, postgres: Postgres, tmp_path: Path
) -> None:
    with serving(data) as server:
        expected = described(server)
    url = postgres.empty()
    done = move(Plan(data=data, to_database=url, to_objects=bucket), quietly)
    assert done.objects == len(outside(data)) and done.rows["object"] > done.objects
    far = PostgresStore(url)
    with far.read() as rows:
        assert said_of(rows)["objects"] == bucket
        packs = {row[2] for row in rows.all("object_outside") if row[2] is not None}
        assert min(packs) > 2**40, "the places in the bucket"
    far.close()
    assert not (data / "moving").exists()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(data / "vedette.toml", elsewhere)
    with serving(elsewhere, "--database", url, "--objects", bucket) as server:
        same(server, expected)


def test_a_damaged_object_stops_the_move_and_is_named(data: Path, bucket: str) -> None:
    (pack,) = [each for each in (data / "packs").glob("*.pack") if each.stat().st_size]
    held = bytearray(pack.read_bytes())
    held[100] ^= 1
    pack.write_bytes(held)
    with pytest.raises(Corrupt, match="has other bytes") as caught:
        move(Plan(data=data, to_objects=bucket), quietly)
    assert "\n" not in caught.value.message
    held[100] ^= 1
    pack.write_bytes(held)
    assert move(Plan(data=data, to_objects=bucket), quietly).objects == len(outside(data))


def test_a_damaged_object_in_a_row_stops_the_move(data: Path, postgres: Postgres) -> None:
    import sqlite3

    with sqlite3.connect(data / "metadata.sqlite") as file:
        file.execute(
            "UPDATE object SET data = x'00' "
            "WHERE id = (SELECT min(id) FROM object WHERE data IS NOT NULL)"
        )
    file.close()
    with pytest.raises(Corrupt, match="has other bytes"):
        move(Plan(data=data, to_database=postgres.empty()), quietly)


def test_what_cannot_be_moved_is_told_in_one_line(
    data: Path, tmp_path: Path, bucket: str, postgres: Postgres
) -> None:
    url = postgres.database()
    other = PostgresStore(url)
    with other.write() as rows:
        rows.insert("repo_add", name="theirs", description="", kind="", created=1)
    faults: list[tuple[type[Exception], str, Plan]] = [
        (Invalid, "nothing to move", Plan(data=data)),
        (Invalid, "leave out --database", Plan(data=data, database=url, to_database=url)),
        (NotFound, "there is no metadata.sqlite", Plan(data=tmp_path, to_objects=bucket)),
        (Conflict, "is not empty .table repo", Plan(data=data, to_database=url)),
        (Conflict, "servers use the database", Plan(data=data, database=url, to_objects=bucket)),
        (Invalid, "use s3://BUCKET/PREFIX", Plan(data=data, to_objects="/somewhere")),
    ]
    for kind, said, plan in faults:
        with pytest.raises(kind, match=said) as caught:
            move(plan, quietly)
        assert "\n" not in str(caught.value)
    other.close()
    with serving(data):
        done = run(["migrate-store", "--data", data, "--to-objects", bucket])
    assert done.code == 4 and "is held by another server" in done.err


def test_every_object_is_compared_where_it_arrived(
    data: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that keeps other bytes than it was given is noticed before rows name them."""
    create = Bucket.create

    def careless(self: Bucket, key: str, content: bytes) -> None:
        create(self, key, content[:-1] + b"?" if key.startswith("packs/") else content)

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "create", careless)
        with pytest.raises(Corrupt, match="has other bytes"):
            move(Plan(data=data, to_objects=bucket), quietly)
    store = SqliteStore(data / "metadata.sqlite")
    with store.read() as rows:
        assert "objects" not in said_of(rows)
    store.close()
