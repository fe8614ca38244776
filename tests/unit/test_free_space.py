"""Room on the disk, and the quota of the server: what is refused and said, how often it looks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.serving import asking, site

from vedette.model.errors import NoSpace, OverQuota
from vedette.server.free_space import INTERVAL, Bounds, Space
from vedette.versioning import collect, repos


class Disk:
    """Counts how often a disk was asked, and lets time stand still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
        self.free, self.asked, self.now = free, 0, 0.0
        monkeypatch.setattr(os, "statvfs", self._statvfs)

    def _statvfs(self, folder: Path) -> os.statvfs_result:
        self.asked += 1
        return os.statvfs_result((1, 1, 1000, self.free, self.free, 9, 9, 9, 0, 255))


def test_a_disk_is_asked_seldom_and_what_was_admitted_counts_until_then(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    disk = Disk(monkeypatch, free=500)
    space = Space([tmp_path], Bounds(reserve=100), monotonic=lambda: disk.now)
    for _ in range(4):
        space.admit(100)
    for _ in range(50):
        with pytest.raises(NoSpace, match="500 bytes are free and 100 are kept"):
            space.admit(1)
    assert disk.asked == 1
    disk.now += INTERVAL
    space.admit(400)
    assert disk.asked == 2


def test_a_long_body_is_refused_where_the_room_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    disk = Disk(monkeypatch, free=350)
    space = Space([tmp_path], Bounds(reserve=100), monotonic=lambda: disk.now)
    taken: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield bytes(100)

    async def read() -> None:
        async for piece in space.admitted(body()):
            taken.append(len(piece))

    with pytest.raises(NoSpace):
        asyncio.run(read())
    assert sum(taken) == 200


@pytest.mark.parametrize(
    ("free", "bounds", "said"),
    [
        (900, Bounds(reserve=100, warn_percent=5), ""),
        (40, Bounds(reserve=10, warn_percent=5), "has 40 bytes left"),
        (40, Bounds(reserve=10, warn_bytes=41), "has 40 bytes left"),
        (40, Bounds(reserve=41), "files are refused"),
        (19, Bounds(), "files are refused"),
        (900, Bounds(quota=100, warn_percent=5), "96 of 100 bytes of the quota"),
        (900, Bounds(quota=96), "the quota is reached"),
    ],
)
def test_what_is_said_of_the_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, bounds: Bounds, said: str
) -> None:
    disk = Disk(monkeypatch, free=free)
    found = Space([tmp_path], bounds, lambda: 96, lambda: disk.now).room()
    assert said in found.warning and bool(said) == bool(found.warning)


def test_the_quota_counts_every_object_once_and_what_was_collected_no_more(tmp_path: Path) -> None:
    with site(tmp_path) as parts:
        loop = parts.rounds
        parts.space = Space((), Bounds(quota=1000), lambda: loop.stored)  # type: ignore[attr-defined]
        api = asking(parts)

        def put(repo: str, path: str, data: bytes) -> int:
            where = f"/v1/repos/{repo}/branches/master/files/{path}"
            answer = api.put(where, content=data)
            if answer.status_code == OverQuota.status:
                assert answer.json()["kind"] == NoSpace.kind
                assert "1,000 may be (quota_bytes)" in answer.json()["detail"]
            return int(answer.status_code)

        for repo in ("one", "two"):
            assert api.post("/v1/repos", json={"name": repo}).status_code < 300
        assert put("one", "a", b"a" * 900) < 300
        assert put("two", "same", b"a" * 900) < 300, "the same bytes take no room"
        assert put("one", "b", b"b" * 101) == 507
        assert put("one", "b", b"b" * 100) < 300
        assert put("one", "c", b"c") == 507
        assert api.get("/v1/status").json()["space"]["warning"]

        def sweep() -> None:
            loop.submit(lambda tx: repos.delete(tx, "one")).result()
            loop.submit(lambda tx: collect.take(tx, tx.now + 1, ())).result()

        sweep()
        assert put("one", "c", b"c") == 404
        assert put("two", "c", b"c" * 100) < 300
        with parts.read() as rows:
            assert rows.one("stored_bytes") == (1000,) == (loop.stored,)  # type: ignore[attr-defined]
