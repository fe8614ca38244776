"""Lay out a datum's inputs below the folder that user code sees as `/pfs` (ENGINE R1)."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from vedette.model.work import Task

Read = Callable[[bytes], bytes]


def lay_out(task: Task, pfs: Path, read: Read) -> int:
    """Write the inputs of `task` as fresh copies, and an empty `out`; returns bytes written."""
    clear(pfs)
    (pfs / "out").mkdir()
    total = 0
    for given in task.inputs:
        base = f"{pfs}/{given.name}"
        os.mkdir(base)
        made = {base}
        if not given.files and given.path != "/":
            os.makedirs(base + given.path, exist_ok=True)
        for file in given.files:
            target = base + file.path
            folder = target.rpartition("/")[0]
            if folder not in made:
                os.makedirs(folder, exist_ok=True)
                made.add(folder)
            _write(target, read(file.object))
            total += file.size
    return total


def empty_out(pfs: Path) -> None:
    """Make `out` empty for another try."""
    remove(pfs / "out")
    (pfs / "out").mkdir()


def clear(pfs: Path) -> None:
    """Empty the folder, whatever user code has done to it."""
    pfs.chmod(0o755)
    with os.scandir(pfs) as entries:
        for entry in list(entries):
            remove(Path(entry.path))


def _write(target: str, data: bytes) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file or a folder, whatever user code has done to it."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        unlock(path)
        shutil.rmtree(path)


def unlock(path: Path) -> None:
    """Give back the right to read and write folders from which user code took it."""
    path.chmod(0o755)
    with os.scandir(path) as entries:
        for entry in list(entries):
            if stat.S_ISDIR(entry.stat(follow_symlinks=False).st_mode):
                unlock(Path(entry.path))
