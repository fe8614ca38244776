"""PostgreSQL on a disk that is full: what is asked is refused in one line, and nothing is lost."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.postgres import Postgres, owner, postgres_server
from tests.program import serving
from tests.storm.disk import Disk, disk


@pytest.fixture
def small() -> Iterator[tuple[Postgres, Disk]]:
    """A server, and the disk that its data have to themselves."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a disk that PostgreSQL's user sees")
    with tempfile.TemporaryDirectory(prefix="pgdisk") as made:
        Path(made).chmod(0o755)
        with (
            disk(Path(made) / "disk", owner()) as room,
            postgres_server(prefix=room.words, room=room.folder) as rows,
        ):
            yield rows, room


def test_a_database_without_room_refuses_in_one_line_and_loses_nothing(
    tmp_path: Path, small: tuple[Postgres, Disk]
) -> None:
    """C1: each call that is at fault by itself, for others of its round may need no room."""
    rows, room = small
    words = ["--database", rows.empty(), "--objects", str(tmp_path / "objects"), "--workers", "0"]
    with serving(tmp_path / "data", *words) as server:
        server("create-repo", "r")
        accepted: dict[str, bytes] = {}
        refused = 0
        room.fill(100_000)
        for number in range(200):
            data = os.urandom(3_000)
            where = f"{server.address}/v1/repos/r/branches/master/files/{number}"
            answer = server.http.put(where, content=data)
            if answer.status_code == 200:
                accepted[f"/{number}"] = data
                continue
            # Where it had no room for its log either, it starts anew.
            assert answer.status_code in (503, 507), answer.text
            said = answer.json()["detail"]
            assert "\n" not in said and ("make room" in said or "try again" in said), said
            refused += 1
            if refused == 10:
                break
        assert refused == 10, "the disk must have been full"
        room.free()
        rows.recover()
        server.idle()
        assert server.http.put(
            f"{server.address}/v1/repos/r/branches/master/files/after", content=b"x"
        ).is_success
        for path, data in accepted.items():
            assert server.content("r", path) == data
        server("fsck", "--deep")
