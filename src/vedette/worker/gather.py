"""Collect what a command wrote to `/pfs/out` (ENGINE R4, P5).

A batching command lives while its files are collected, and may change them underneath. So every
folder is opened in the one above it, and nothing is ever reached through a path or a symbolic
link: what those lead to is asked of the private root, from inside.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from vedette.model.errors import InvalidPath
from vedette.model.ids import object_id
from vedette.model.paths import clean
from vedette.model.work import Output, Source, Task, TaskFile
from vedette.worker.pieces import WHOLE

INLINE_BYTES = 16 * 1024
MAX_LINKED = 10_000
MAX_DEPTH = 500
Put = Callable[[bytes], bytes]
Ask = Callable[[Any], Any]


class BadOutput(Exception):  # noqa: N818 - the reason why a datum failed
    """Something in `/pfs/out` that cannot be stored."""


class Gathered(Struct, frozen=True):
    """The outputs, the bytes among them that are new, and remarks for the log."""

    outputs: tuple[Output, ...]
    upload: int
    remarks: tuple[str, ...]


class _Found:
    """What one walk through `out` came upon: outputs, (path, target) of links, empty folders."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.outputs: list[Output] = []
        self.links: list[tuple[str, str]] = []
        self.empty: list[str] = []


def store(path: str, data: bytes, put: Put) -> Output:
    """New bytes as an output: inline when small, else in the store."""
    if len(data) <= INLINE_BYTES:
        return Output(path, object_id(data), len(data), data)
    return Output(path, put(data), len(data))


def gather(task: Task, pfs: Path, source: Source, ask: Ask) -> Gathered:
    """The outputs of a command that succeeded. Raises `BadOutput` with a line for people."""
    found = _Found(source)
    with _folder(str(pfs / "out"), None) as out:
        _walk(out, "", found)
    outputs = found.outputs
    upload = sum(output.size for output in outputs)
    linked, copied = _follow(task, pfs, found.links, source, ask)
    outputs += linked
    remarks = tuple(f"empty directory {path} dropped: directories exist by their files"
                    for path in found.empty)  # fmt: skip
    return Gathered(tuple(outputs), upload + copied, remarks)


@contextmanager
def _folder(name: str, above: int | None) -> Iterator[int]:
    """A folder, opened in the one above, whatever user code has done to its rights."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, dir_fd=above)
    except PermissionError:
        _allow(name, above, 0o700)
        descriptor = os.open(name, flags, dir_fd=above)
    except OSError as error:
        raise BadOutput(f"/pfs/out: {name} was changed while it was read: {error}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _allow(name: str, above: int | None, mode: int) -> None:
    """Give back the right to read, to what the name stands for itself and not what it leads to."""
    descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        os.chmod(f"/proc/self/fd/{descriptor}", mode)
    finally:
        os.close(descriptor)


def _walk(folder: int, path: str, found: _Found) -> None:
    if path.count("/") > MAX_DEPTH:
        raise BadOutput(f"/pfs/out{path}: folders in folders, more than {MAX_DEPTH} deep")
    names = sorted(os.listdir(folder))
    if not names and path:
        found.empty.append(path)
    for name in names:
        inner = _name(f"{path}/{name}")
        try:
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode):
                found.links.append((inner, os.readlink(name, dir_fd=folder)))
            elif stat.S_ISDIR(mode):
                with _folder(name, folder) as below:
                    _walk(below, inner, found)
            elif stat.S_ISREG(mode):
                found.outputs.append(_stored(inner, name, folder, found.source))
            else:
                raise BadOutput(f"/pfs/out{inner} is {_sort(mode)}: only files can be outputs")
        except FileNotFoundError:
            raise BadOutput(f"/pfs/out{inner} was taken away while it was read") from None


def _name(path: str) -> str:
    try:
        return clean(path)
    except InvalidPath as error:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise BadOutput(f"/pfs/out{shown}: {error.message}") from None


def _sort(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"


def _stored(path: str, name: str, folder: int, source: Source) -> Output:
    """A file of `out` as an output; a large one is never in memory as a whole."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, dir_fd=folder)
    except PermissionError:
        _allow(name, folder, 0o600)
        descriptor = os.open(name, flags, dir_fd=folder)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BadOutput(f"{name} in /pfs/out was changed while it was read")
        if os.fstat(descriptor).st_size > WHOLE:
            return Output(path, *source.put_file(descriptor))
        return store(path, file.read(), source.put)


def _follow(
    task: Task, pfs: Path, links: list[tuple[str, str]], source: Source, ask: Ask
) -> tuple[list[Output], int]:
    """The outputs that symbolic links stand for, and how many of their bytes are new."""
    inputs = {given.name: {file.path: file for file in given.files} for given in task.inputs}
    outputs, others = [], []
    for path, target in links:
        file = _input_file(inputs, target) if target == os.path.normpath(target) else None
        if file is not None:
            outputs.append(Output(path, file.object, file.size))
        else:
            others.append(path)
    copies: list[tuple[str, str]] = []
    if others:
        answers = ask(("resolve", ["/pfs/out" + path for path in others]))
        for path, (kind, real) in zip(others, answers, strict=True):
            outputs += _resolved(path, kind, real, inputs, copies, ask)
    copied = _copied(copies, pfs, source, ask)
    return outputs + copied, sum(output.size for output in copied)


def _input_file(inputs: dict[str, dict[str, TaskFile]], target: str) -> TaskFile | None:
    words = target.split("/", 3)
    if len(words) < 4 or words[:2] != ["", "pfs"] or words[2] not in inputs:
        return None
    return inputs[words[2]].get("/" + words[3])


def _resolved(
    path: str, kind: str, real: str, inputs: dict[str, dict[str, TaskFile]],
    copies: list[tuple[str, str]], ask: Ask,
) -> list[Output]:  # fmt: skip
    """Outputs by reference for one link; what must be copied is added to `copies`."""
    if kind == "special" and (lazy := _input_file(inputs, real)) is not None:
        return [Output(path, lazy.object, lazy.size)]
    if kind == "missing":
        raise BadOutput(f"/pfs/out{path} is a link that leads nowhere")
    if kind == "special":
        raise BadOutput(f"/pfs/out{path} is a link to {real}: only files can be outputs")
    if kind == "file":
        file = _input_file(inputs, real)
        if file is not None:
            return [Output(path, file.object, file.size)]
        copies.append((path, real))
        return []
    outputs = [
        Output(_name(path + file.path[len(below) :]), file.object, file.size)
        for below, files in _inputs_at(inputs, real)
        for file in files
    ]
    if not outputs:
        copies += _tree(path, real, ask)
    return outputs


def _inputs_at(
    inputs: dict[str, dict[str, TaskFile]], real: str
) -> list[tuple[str, list[TaskFile]]]:
    words = real.split("/", 3)
    if words[:2] != ["", "pfs"] or len(words) < 3 or words[2] not in inputs:
        return []
    below = "/" + words[3] if len(words) == 4 else ""
    files = inputs[words[2]].values()
    return [(below, [file for file in files if file.path.startswith(below + "/")])]


def _tree(path: str, real: str, ask: Ask) -> list[tuple[str, str]]:
    """The files below another visible directory, to be copied."""
    if real in ("/", "/pfs", "/pfs/out") or "/pfs/out/".startswith(real.rstrip("/") + "/"):
        raise BadOutput(f"/pfs/out{path} is a link to {real}, which holds the output itself")
    found = ask(("list", real, MAX_LINKED))
    if isinstance(found, str):
        raise BadOutput(f"/pfs/out{path} is a link to the directory {real}: {found}")
    return [(_name(path + inner), real + inner) for inner in found]


def _copied(copies: list[tuple[str, str]], pfs: Path, source: Source, ask: Ask) -> list[Output]:
    if not copies:
        return []
    folder = f".links-{secrets.token_hex(8)}"
    (pfs / folder).mkdir()
    # Opened before user code could put something else there, and held.
    place = os.open(pfs / folder, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return _taken(copies, folder, place, source, ask)
    finally:
        os.close(place)


def _taken(
    copies: list[tuple[str, str]], folder: str, place: int, source: Source, ask: Ask
) -> list[Output]:
    wanted = [(real, f"/pfs/{folder}/{number}") for number, (_, real) in enumerate(copies)]
    outputs = []
    for number, (_, why) in enumerate(ask(("copy", wanted))):
        path, real = copies[number]
        if why:
            raise BadOutput(f"/pfs/out{path} is a link to {real}, which cannot be read: {why}")
        outputs.append(_stored(path, str(number), place, source))
    return outputs
