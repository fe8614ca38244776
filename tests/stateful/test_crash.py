"""Processes that are killed and disks that are full: C1, and `disk full during put`."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("committer.py")
_spec = importlib.util.spec_from_file_location("committer", PROGRAM)
assert _spec is not None and _spec.loader is not None
committer = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(committer)


def test_a_process_killed_at_any_moment_loses_no_commit_it_told_of(tmp_path: Path) -> None:
    """C1: what was acknowledged is there, whole; what was not may be there, whole."""
    luck = random.Random(7)
    done = 0
    told: list[list[str]] = []
    for round_ in range(5):
        with subprocess.Popen(
            [sys.executable, str(PROGRAM), str(tmp_path), str(done)],
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline() for _ in range(luck.randrange(1, 40))]
            child.kill()
            lines += child.stdout.readlines()
        told += [line.split() for line in lines if line.endswith("\n")]
        store = committer.Opened(tmp_path)
        found = store.check()
        assert len(told) <= found <= len(told) + round_ + 1
        with store.metadata.read() as rows:
            for num, path, name in told:
                commit = committer.commits.by_num(rows, int(num))
                file = committer.files.stat(rows, commit, path)
                assert file is not None and file.object.hex() == name
                committer.contents.read(rows, store.objects, file.object)
        store.close()
        done = found


def test_a_full_disk_refuses_puts_loses_nothing_and_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a small disk of its own needs root and unshare")
    script = 'mount -t tmpfs -o size=12m small "$1" && exec "$2" "$3" "$1" fill'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), sys.executable, str(PROGRAM)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare failed" in done.stderr or "permission denied" in done.stderr.lower():
        pytest.skip(f"this host allows no mount namespace: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("refused 8"), done.stdout
