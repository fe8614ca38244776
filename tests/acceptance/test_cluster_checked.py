"""`fsck` of an installation on PostgreSQL and S3: what is missing, and what is too much (K3)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import obstore
import pytest
from obstore.store import S3Store
from tests.hosts import until
from tests.object_servers import KEY, SECRET, ObjectServer
from tests.postgres import Postgres
from tests.program import Server, serving

from vedette.model.ids import object_id

SIZES = {"row": 100, "pack": 90_000, "alone": 3_000_000}


class Checked(NamedTuple):
    """A server with a file of each kind, its bucket, and its database's name."""

    server: Server
    files: dict[str, bytes]
    store: S3Store
    rows: Postgres
    database: str

    def faults(self, *words: str) -> list[dict[str, str]]:
        """What fsck finds; it ends with 8 when it finds something."""
        done = self.server.tell("fsck", "--raw", *words)
        found = [line["fault"] for line in done.rows if line.get("fault")]
        assert done.code == (8 if found else 0), done
        return found

    def key(self, folder: str) -> str:
        """The one key in a folder of the bucket."""
        (found,) = [item["path"] for page in obstore.list(self.store, folder) for item in page]
        return found

    def size(self, key: str) -> int:
        return int(obstore.head(self.store, key)["size"])


@pytest.fixture
def checked(tmp_path: Path, postgres: Postgres, weed: ObjectServer) -> Iterator[Checked]:
    """The server keeps no garbage for those who may still need it: nobody does here."""
    url, place = postgres.empty(), weed.place()
    env = ["env", *(f"{name}={value}" for name, value in weed.environ.items())]
    words = ["--database", url, "--objects", place, "--workers", "0"]
    store = S3Store(
        weed.bucket, prefix=place.rpartition("/")[2], endpoint=weed.endpoint, region="us-east-1",
        access_key_id=KEY, secret_access_key=SECRET, client_options={"allow_http": True},
    )  # fmt: skip
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "vedette.toml").write_text("grace = 0.001\n")
    files = {kind: os.urandom(size) for kind, size in SIZES.items()}
    with serving(tmp_path / "data", *words, prefix=env) as server:
        server("create-repo", "r")
        for name, data in files.items():
            server.put("r", name, data)
        yield Checked(server, files, store, postgres, url.rpartition("/")[2])


def test_what_is_missing_from_the_bucket_is_named(checked: Checked) -> None:
    assert checked.faults() == checked.faults("--deep") == []
    obstore.delete(checked.store, checked.key("objects"))
    (alone,) = checked.faults()
    assert (alone["kind"], alone["object"]) == ("missing", object_id(checked.files["alone"]).hex())
    obstore.delete(checked.store, checked.key("packs"))
    wanted = {object_id(checked.files[kind]).hex() for kind in ("alone", "pack")}
    found = checked.faults()
    assert {fault["object"] for fault in found} == wanted
    assert {fault["kind"] for fault in found} == {"missing"}
    said = checked.server("fsck", code=8).out
    assert "restore it from a backup, or put the file again" in said


@pytest.mark.parametrize(("folder", "kind"), [("objects", "alone"), ("packs", "pack")])
def test_other_bytes_in_the_bucket_are_found_by_reading_it(
    checked: Checked, folder: str, kind: str
) -> None:
    """What this server has of them in its own cache is not what is asked about."""
    key = checked.key(folder)
    obstore.put(checked.store, key, b"x" * checked.size(key), use_multipart=False)
    assert checked.faults() == [], "only the number of bytes is looked at"
    (fault,) = checked.faults("--deep")
    assert (fault["kind"], fault["object"]) == ("damaged", object_id(checked.files[kind]).hex())


def test_what_is_too_much_in_the_bucket_is_named_until_it_is_known_to_go(
    checked: Checked,
) -> None:
    stray = os.urandom(2_000_000)
    name = object_id(stray).hex()
    obstore.put(checked.store, f"objects/{name[:2]}/{name[2:]}", stray)
    obstore.put(checked.store, f"packs/{1:019}.pack", b"nobody knows this one")
    found = checked.faults()
    assert [fault["kind"] for fault in found] == ["left", "left"]
    assert name in {fault["object"] for fault in found}
    assert any("pack 1 " in fault["text"] for fault in found)
    checked.server("garbage-collect", "--full")
    until(lambda: not checked.faults())
    for name, data in checked.files.items():
        assert checked.server.content("r", name) == data


def test_what_is_missing_from_the_rows_and_what_is_too_much_there_is_named(
    checked: Checked,
) -> None:
    name = object_id(checked.files["pack"]).hex()
    checked.rows.execute(
        f"DELETE FROM object WHERE id = '\\x{name}'::bytea", checked.database
    )  # fmt: skip
    found = checked.faults()
    assert "rows" in {fault["kind"] for fault in found}
    assert any("/pack in repo r names an object that is not known" in f["text"] for f in found)
    assert any(fault["kind"] == "left" for fault in found), "its pack is nobody's now"
