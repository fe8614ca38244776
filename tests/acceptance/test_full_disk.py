"""A disk that is full refuses, keeps what it has, and goes on when there is space again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.acceptance.test_keeping import swept
from tests.program import serving

from vedette.model.errors import NoSpace

SPEC = {
    "pipeline": {"name": "p"},
    "transform": {"image": "", "cmd": ["cp", "-r", "/pfs/images/.", "/pfs/out"]},
    "input": {"pfs": {"repo": "images", "glob": "/*"}},
}

SMALL = {
    "pipeline": {"name": "count"},
    "transform": {"image": "", "cmd": ["sh", "-c", "ls /pfs/small > /pfs/out/names"]},
    "input": {"pfs": {"repo": "small", "glob": "/"}},
}


@pytest.fixture
def small_disk(tmp_path: Path) -> tuple[Path, list[str]]:
    """A folder for data, and the words before a command that see a disk of 24 MB there."""
    data = tmp_path / "small"
    data.mkdir()
    unshare = shutil.which("unshare")
    own_users = [] if os.getuid() == 0 else ["--map-root-user"]
    script = f'mount -t tmpfs -o size=24m,mode=700 none "{data}" && exec "$@"'
    words = [str(unshare), "--mount", *own_users, "sh", "-c", script, "sh"]
    if unshare is None or subprocess.run([*words, "true"], capture_output=True).returncode:
        pytest.skip("no mount namespace can be had here: a small disk cannot be made")
    return data, words


def test_a_full_disk_refuses_in_one_line_loses_nothing_and_works_again_when_there_is_space(
    small_disk: tuple[Path, list[str]],
) -> None:
    data, words = small_disk
    with serving(data, prefix=words) as server:
        server("create-repo", "images")
        server("create-pipeline", "-f", "-", stdin=json.dumps(SPEC).encode())
        ballast = Path(f"/proc/{server.process.pid}/root{data}/ballast")
        ballast.write_bytes(bytes(12 * 1024 * 1024))
        accepted: dict[str, bytes] = {}
        refused = ""
        for number in range(60):
            content = os.urandom(500_000)
            path = f"/{number}.bin"
            done = server.tell("put-file", "images", "master", path, "-f", "-", stdin=content)
            if done.code:
                refused = done.err
                assert done.code == NoSpace.exit_code, done
                break
            accepted[path] = content
        assert accepted, "some room was there"
        assert refused, "the disk must have been full"
        assert refused.count("\n") == 1
        assert "full" in refused or "No space" in refused
        assert set(server.files("images")) == set(accepted)

        ballast.unlink()
        server("put-file", "images", "master", "/after.bin", "-f", "-", stdin=b"after")
        accepted["/after.bin"] = b"after"
        server.idle()
        for path, content in accepted.items():
            assert server.content("images", path) == content
            assert server.content("p", path) == content
        jobs = server("list-job", "--raw").rows
        assert len(jobs) == len(accepted)
        assert "Traceback" not in server.said()


def test_a_reserve_lets_users_out_of_a_disk_that_is_nearly_full(
    small_disk: tuple[Path, list[str]],
) -> None:
    """Puts are refused while deleting, squashing and collecting go on, and jobs end."""
    data, words = small_disk
    settings = "grace = 0.05\\nreserve_free_bytes = 8000000\\nwarn_free_bytes = 9500000\\n"
    there = f"printf '{settings}' > '{data}/vedette.toml' && exec"
    with serving(data, prefix=[word.replace("exec", there) for word in words]) as server:
        server("create-repo", "images")
        server("create-repo", "small")
        server("put-file", "small@master:/a", "-f", "-", stdin=b"a")
        accepted: list[str] = []
        content = b""
        while len(accepted) < 60:
            content = os.urandom(1_200_000)
            path = f"/{len(accepted)}.bin"
            done = server.tell("put-file", "images", "master", path, "-f", "-", stdin=content)
            if done.code:
                assert done.code == NoSpace.exit_code, done
                assert "reserve_free_bytes" in done.err and done.err.count("\n") == 1
                break
            accepted.append(path)
        assert 3 < len(accepted) < 60
        refused = server("put-file", "small@master:/x", "-f", "-", stdin=content, code=7)
        assert "make room" in refused.err
        assert "WARNING the disk that holds" in server("status").out
        server("create-pipeline", "-f", "-", stdin=json.dumps(SMALL).encode())
        server.idle()
        assert server("list-job", "--raw").rows[0]["state"] == "SUCCESS"
        server("delete-file", "images@master:/0.bin")
        server("squash-commit", "images@master^2")
        server("delete-file", "images@master:/", "--for-good", "--reason", "room")
        swept(server)
        server("put-file", "small@master:/x", "-f", "-", stdin=content)
        assert "WARNING" not in server("status").out
        assert "Traceback" not in server.said()
