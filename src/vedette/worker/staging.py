"""Lay out a datum's inputs below the folder that user code sees as `/pfs` (ENGINE R1)."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal, Protocol

from vedette.model.inputs import Pfs, leaves
from vedette.model.pipeline import PipelineSpec
from vedette.model.work import Task, TaskFile
from vedette.worker.lazy_inputs import Fetching
from vedette.worker.pieces import WHOLE, write

Manner = Literal["lazy", "empty"]
_MODE = 0o755
_LARGE = 64 * 1024
"""Bytes above which an empty folder is not used again: it never shrinks, and is slow to read."""
_MARKS = ("user.", "system.")


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
    task: Task, pfs: Path, source: Inputs, manner: Mapping[str, Manner], fetching: Fetching,
    *, reuse: bool = False,
) -> int:  # fmt: skip
    """Write the inputs of `task` as fresh copies, and an empty `out`; returns bytes written.

    `manner` says which inputs are pipes that `fetching` fills, or names without bytes. `reuse`
    says that no process of a datum before lives: its folders are emptied and used again.
    """
    kept = clear(pfs, folders(task) if reuse else ())
    make(pfs, [name for name in folders(task) if name not in kept])
    total = 0
    for given in task.inputs:
        base = f"{pfs}/{given.name}"
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


def folders(task: Task) -> list[str]:
    """The folders that a datum has in `/pfs`."""
    return ["out", *(given.name for given in task.inputs)]


def make(pfs: Path, names: Collection[str]) -> None:
    """Make folders."""
    for name in names:
        os.mkdir(f"{pfs}/{name}")


def clear(pfs: str | Path, keep: Collection[str] = ()) -> set[str]:
    """Empty the folder, whatever user code has done to it, but for the folders in it to keep.

    Those are emptied and returned, apart from such as differ from a new one. Making and removing a
    folder waits for the disk while anybody syncs a file; making and removing a file rarely does.
    """
    if stat.S_IMODE(os.stat(pfs).st_mode) != _MODE:
        os.chmod(pfs, _MODE)
    kept = set()
    with os.scandir(pfs) as entries:
        for entry in list(entries):
            if entry.name in keep and _as_new(entry.path):
                clear(entry.path)
                kept.add(entry.name)
            else:
                remove(entry.path)
    return kept


def _as_new(path: str) -> bool:
    """Whether this is a folder of which nothing but its files tells that it was used."""
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_size > _LARGE:
        return False
    try:
        marks = os.listxattr(path, follow_symlinks=False)
    except OSError:  # a file system that knows none
        marks = []
    return stat.S_IMODE(found.st_mode) == _MODE and not any(m.startswith(_MARKS) for m in marks)


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


def remove(path: str | Path) -> None:
    """Remove a file or a folder, whatever user code has done to it."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        _remove_folder(path)


def _remove_folder(path: str | Path) -> None:
    with contextlib.suppress(OSError):  # most are empty
        os.rmdir(path)
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        unlock(path)
        shutil.rmtree(path)


def unlock(path: str | Path) -> None:
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
