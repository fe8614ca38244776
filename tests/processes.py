"""The processes that a test's workers have started, seen from the host."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path


def words(process: int) -> list[bytes]:
    """The command line of a process; nothing of one that has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return []


def children(process: int) -> list[int]:
    """The processes that a process started, whichever of its threads did."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{process}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except OSError:
        pass
    return found


def below(process: int) -> Iterator[int]:
    """All that descend from a process."""
    for child in children(process):
        yield child
        yield from below(child)


def keepers() -> list[int]:
    """Those that keep private roots for this test."""
    return [pid for pid in children(os.getpid())
            if any(b"vedette.worker.keeper" in word for word in words(pid))]  # fmt: skip


def kill(processes: Iterable[int]) -> None:
    """Kill processes, and wait until they and all below them have ended."""
    named = list(processes)
    every = [*named, *(pid for process in named for pid in below(process))]
    for process in named:
        os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while any(words(process) for process in every):
        assert time.monotonic() < deadline, "a killed process lives on"
        time.sleep(0.001)
