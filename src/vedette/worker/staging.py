"""Lay out a datum's inputs below the folder that user code sees as `/pfs` (ENGINE R1)."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

from vedette.model.inputs import Pfs, leaves
from vedette.model.pipeline import PipelineSpec
from vedette.model.work import Task, TaskFile
from vedette.worker.fetching import Fetching
from vedette.worker.pieces import WHOLE, write

Manner = Literal["lazy", "empty"]


class Inputs(Protocol):
    """Where the bytes of inputs come from; see `vedette.model.work.Source`."""

    def read(self, object_id: bytes) -> bytes:
        """An object's bytes."""

    def fetch(self, object_id: bytes, size: int, descriptor: int) -> None:
        """Write an object's bytes to an open file."""


def manner(spec: PipelineSpec) -> dict[str, Manner]:
    """Which inputs come otherwise than as files with their bytes, by name."""
    found: dict[str, Manner] = {}
    for leaf in leaves(spec.input):
        if isinstance(leaf, Pfs) and (leaf.empty_files or leaf.lazy):
            found[leaf.name] = "empty" if leaf.empty_files else "lazy"
    return found


def lay_out(
    task: Task, pfs: Path, source: Inputs, manner: Mapping[str, Manner], fetching: Fetching
) -> int:
    """Write the inputs of `task` as fresh copies, and an empty `out`; returns bytes written.

    `manner` says which inputs are pipes that `fetching` fills, or names without bytes.
    """
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
            how = manner.get(given.name)
            if how == "empty":
                os.close(_new(target))
            elif how is None or not fetching.add(target, file.object, file.size):
                _fill(target, file, source)
                total += file.size
    return total


def clear(pfs: Path) -> None:
    """Empty the folder, whatever user code has done to it."""
    pfs.chmod(0o755)
    with os.scandir(pfs) as entries:
        for entry in list(entries):
            remove(Path(entry.path))


def _new(target: str) -> int:
    return os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)


def _fill(target: str, file: TaskFile, source: Inputs) -> None:
    descriptor = _new(target)
    try:
        if file.size <= WHOLE:
            write(descriptor, source.read(file.object))
        else:
            source.fetch(file.object, file.size, descriptor)
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
    """Give back the right to read and write folders from which user code took it.

    Each is opened in the one above it, so that no link leads to another.
    """
    _unlock(str(path), None)


def _unlock(name: str, above: int | None) -> None:
    flags = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    found = os.open(name, os.O_PATH | flags, dir_fd=above)
    try:
        os.chmod(f"/proc/self/fd/{found}", 0o700)
        folder = os.open(".", os.O_RDONLY | flags, dir_fd=found)
    finally:
        os.close(found)
    try:
        for inner in os.listdir(folder):
            if stat.S_ISDIR(os.stat(inner, dir_fd=folder, follow_symlinks=False).st_mode):
                _unlock(inner, folder)
    finally:
        os.close(folder)
