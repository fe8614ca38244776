"""A cluster is copied while it works: rows by pg_dump, then the bucket (docs/operations/backup)."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from urllib.parse import urlsplit

import obstore
import pytest
from obstore.store import S3Store
from tests.object_servers import KEY, SECRET, ObjectServer
from tests.postgres import Postgres
from tests.program import Server, serving

COPY = {
    "pipeline": {"name": "copy"},
    "transform": {"cmd": ["sh", "-c", "cp /pfs/in/* /pfs/out"]},
    "input": {"pfs": {"repo": "in", "glob": "/*"}},
}
BEFORE = 8


def copy_bucket(server: ObjectServer, source: str, target: str) -> int:
    """All objects below one prefix to another, as any tool for buckets does; how many."""
    store = S3Store(
        server.bucket, endpoint=server.endpoint, access_key_id=KEY, secret_access_key=SECRET,
        region="us-east-1", virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )  # fmt: skip
    old, new = (urlsplit(place).path.strip("/") for place in (source, target))
    paths = [entry["path"] for page in obstore.list(store, old) for entry in page]
    for path in paths:
        obstore.put(store, new + path.removeprefix(old), obstore.get(store, path).bytes())
    return len(paths)


class Writer:
    """Puts files until it is told to end; `kept` were accepted."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._ends = threading.Event()
        self.kept: list[str] = []
        self.enough = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._ends.is_set():
            name = f"{number:04}"
            self._server.put("in", name, name.encode() * (10 + 20_000 * (number % 2)))
            self.kept.append(name)
            number += 1
            if number == BEFORE:
                self.enough.set()


def test_k1_rows_first_and_then_the_bucket_are_an_installation(
    tmp_path: Path, postgres: Postgres, weed: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C1, K3: pg_dump while it runs, then a copy of the bucket within `grace`; what was accepted
    before the dump is there, whole, and work goes on."""
    for name, value in weed.environ.items():
        monkeypatch.setenv(name, value)
    rows, bucket = postgres.empty(), weed.place()
    dump = tmp_path / "rows.dump"
    with serving(tmp_path / "one", "--database", rows, "--objects", bucket) as server:
        server("create-repo", "in")
        server("create-pipeline", "-f", "-", stdin=json.dumps(COPY).encode())
        with Writer(server) as writer:
            assert writer.enough.wait(120)
            before = list(writer.kept)
            postgres.tool("pg_dump", "--format=custom", f"--file={dump}", rows)
            assert copy_bucket(weed, bucket, f"{bucket}-copy") > 0
        assert len(writer.kept) > len(before)
    again = postgres.empty()
    postgres.tool("pg_restore", "--no-owner", "-d", again, str(dump))
    with serving(tmp_path / "two", "--database", again, "--objects", f"{bucket}-copy") as server:
        server.idle()
        server("fsck", "--deep", code=0)
        there = set(server.files("in"))
        assert {f"/{name}" for name in before} <= there
        for name in before[-2:]:
            found = server.content("in", f"/{name}")
            assert found == name.encode() * (10 + 20_000 * (int(name) % 2))
        server.put("in", "/new", b"new")
        server.idle()
        assert server.files("copy") == server.files("in")
        server("garbage-collect", "--full")
        server("fsck", "--deep")
