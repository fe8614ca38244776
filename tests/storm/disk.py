"""A disk of its own for a data folder, which can be made full in an instant."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOM = 4 << 30
_PAGE = 4096


class Disk:
    """A file system in memory, in a mount namespace that a process of ours holds open.

    `words` before a command make it see the disk at `folder`. It belongs to the user `owner`.
    """

    def __init__(self, folder: Path, owner: int = 0) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        own_users = [] if os.getuid() == 0 else ["--map-root-user"]
        mount = f'mount -t tmpfs -o size={_ROOM},mode=700,uid={owner} none "{folder}"'
        self._holder = subprocess.Popen(
            [_program("unshare"), "--mount", *own_users, "sh", "-c",
             f"{mount} && echo mounted && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._holder.stdout is not None
        said = self._holder.stdout.readline()
        assert said == b"mounted\n", "no mount namespace can be had here: a disk cannot be made"
        enter = [_program("nsenter"), "--target", str(self._holder.pid)]
        self.words = [*enter, *(["--user", "--preserve-credentials"] if own_users else []),
                      "--mount"]  # fmt: skip

    @property
    def inside(self) -> Path:
        """The folder as this process can reach it."""
        return Path(f"/proc/{self._holder.pid}/root{self.folder}")

    def fill(self, left: int) -> None:
        """Leave this many bytes and no more."""
        stat = os.statvfs(self.inside)
        used = (stat.f_blocks - stat.f_bfree) * stat.f_frsize
        self._resize(used // _PAGE * _PAGE + max(left, _PAGE))

    def free(self) -> None:
        """Give the room back."""
        self._resize(_ROOM)

    def _resize(self, size: int) -> None:
        subprocess.run(
            [*self.words, "mount", "-o", f"remount,size={size}", str(self.folder)],
            capture_output=True, check=False,
        )  # fmt: skip

    def close(self) -> None:
        """Let go of it, with all that is on it once nobody uses it."""
        self._holder.kill()
        self._holder.communicate()


def _program(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"{name} is not installed: a disk of its own cannot be made"
    return found


@contextmanager
def disk(folder: Path, owner: int = 0) -> Iterator[Disk]:
    """A disk at a folder, gone with the block."""
    made = Disk(folder, owner)
    try:
        yield made
    finally:
        made.close()
