"""Bounds on memory and processors of everything that runs in one private root (ENGINE R5).

Control groups of either version are used where this process may make one: as root, or in a unit
with `Delegate=yes`. Where it may not, memory is bounded a process at a time by its address space
(RLIMIT_AS), and processors by pinning to as many of them.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import secrets
import time
from pathlib import Path

from vedette.model.pipeline import Limits

KEEPER_BYTES = 16 * 1024 * 1024
"""What the process that keeps the root may take of its own, on top of the limit."""

_PERIOD = 100_000
_PREFIX = "vedette-"


class Group:
    """The control groups of one private root. `memory` and `cpu` say what they bound."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._folders: list[Path] = []
        name = f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        self.memory = bool(limits.memory) and self._make("memory", name)
        self.cpu = bool(limits.cpu) and self._make("cpu", name)

    def _make(self, controller: str, name: str) -> bool:
        for parent, unified in _parents(controller):
            folder = parent / name
            try:
                if unified:
                    (parent / "cgroup.subtree_control").write_text(f"+{controller}")
                folder.mkdir(exist_ok=True)
                if folder not in self._folders:
                    self._folders.append(folder)
                self._bound(folder, controller, unified)
            except OSError:
                with contextlib.suppress(OSError):
                    folder.rmdir()
                    self._folders.remove(folder)
                continue
            return True
        return False

    def _bound(self, folder: Path, controller: str, unified: bool) -> None:
        if controller == "memory":
            most = str(self._limits.memory + KEEPER_BYTES)
            names = ("memory.max", "memory.swap.max") if unified else (
                "memory.limit_in_bytes", "memory.memsw.limit_in_bytes")  # fmt: skip
            (folder / names[0]).write_text(most)
            with contextlib.suppress(OSError):  # a kernel that does not account for swap
                (folder / names[1]).write_text("0" if unified else most)
            return
        quota = max(1000, int(self._limits.cpu * _PERIOD))
        if unified:
            (folder / "cpu.max").write_text(f"{quota} {_PERIOD}")
        else:
            (folder / "cpu.cfs_period_us").write_text(str(_PERIOD))
            (folder / "cpu.cfs_quota_us").write_text(str(quota))

    def add(self, process: int) -> None:
        """Bound a process, and all that it will start. Raises OSError."""
        for folder in self._folders:
            (folder / "cgroup.procs").write_text(str(process))
        if self._limits.cpu and not self.cpu:
            usable = sorted(os.sched_getaffinity(0))
            count = min(len(usable), math.ceil(self._limits.cpu))
            first = process % len(usable)
            chosen = [usable[(first + number) % len(usable)] for number in range(count)]
            os.sched_setaffinity(process, chosen)

    @property
    def address_space(self) -> int:
        """Bytes of address space that a process may have, where nothing better bounds it; or 0."""
        return 0 if self.memory else self._limits.memory

    def killed(self) -> int:
        """How many processes the kernel has killed for taking too much memory."""
        for folder in self._folders:
            for name in ("memory.events", "memory.oom_control"):
                with contextlib.suppress(OSError):
                    found = re.search(r"^oom_kill (\d+)", (folder / name).read_text(), re.M)
                    if found:
                        return int(found[1])
        return 0

    def close(self) -> None:
        """Remove the groups, whose processes are ending."""
        deadline = time.monotonic() + 1.0
        for folder in self._folders:
            while time.monotonic() < deadline:
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.002)  # the kernel is still taking the processes down
                else:
                    break
        self._folders = []


def sweep() -> None:
    """Remove the groups of workers whose server was killed."""
    for controller in ("memory", "cpu"):
        for parent, _ in _parents(controller):
            for folder in parent.glob(f"{_PREFIX}*-*"):
                owner = folder.name.split("-")[1]
                if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
                    with contextlib.suppress(OSError):
                        folder.rmdir()


def _parents(controller: str) -> list[tuple[Path, bool]]:
    """Where a group for a controller may be made, best first, and whether it is version 2."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        own = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found: list[tuple[Path, bool]] = []
    for line in mounts:
        before, _, after = line.partition(" - ")
        kind, _, options = [*after.split(" ", 2), "", ""][:3]
        place = Path(before.split(" ")[4])
        if kind == "cgroup" and controller in options.split(","):
            found += [(place / path, False) for path in (_own(own, controller), "")]
        elif kind == "cgroup2" and _offers(place, controller):
            path = Path(_own(own, ""))
            found += [(place / inner, True) for inner in (path.parent, path, Path())]
    return list(dict.fromkeys(found))


def _offers(place: Path, controller: str) -> bool:
    try:
        return controller in (place / "cgroup.controllers").read_text().split()
    except OSError:
        return False


def _own(lines: list[str], controller: str) -> str:
    """The group of this process: "" stands for version 2."""
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(",") and ".." not in path:
            return path.strip("/")
    return ""
