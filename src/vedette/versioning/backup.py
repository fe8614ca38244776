"""Copies a data folder while its server runs, and makes a data folder from a copy.

Bytes only ever come before the rows that name them, packs only grow, and nothing goes while a copy
is made (`deleting` and `copying` exclude each other). So a copy of the rows and then of the bytes
that those rows name is the installation as it was at one instant. In the copy the old rows are
replaced last: killed at any moment, it still is the copy it was before, or the new one. The next
copy takes over what is there. Reasons: docs/design/017-keeping.md.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from vedette.metadata.sqlite import copy_rows
from vedette.model.errors import Conflict, Corrupt, Invalid, NoSpace, NotFound
from vedette.model.ids import object_hasher

ROWS = "metadata.sqlite"
_MARK = "backup.json"
_LOCK = "deleting"
_SETTINGS = ("vedette.toml", "session.key", "admin.token")
_PIECE = 4 << 20


class Copied(Struct, frozen=True, kw_only=True):
    """What a copy holds, and how much of it was not there before. Sizes are in bytes."""

    objects: int = 0
    size: int = 0
    new: int = 0


class _Mark(Struct, frozen=True, kw_only=True):
    """What the last complete copy held of each pack."""

    packs: dict[str, int] = {}


@contextmanager
def deleting(data: Path) -> Iterator[bool]:
    """Bytes may go from a data folder inside this, if it gives True: no copy is being made."""
    with _locked(data / _LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB) as held:
        yield held


@contextmanager
def copying(data: Path) -> Iterator[None]:
    """Nothing goes from a data folder inside this. Waits for a deletion under way."""
    with _locked(data / _LOCK, fcntl.LOCK_SH):
        yield


@contextmanager
def _locked(path: Path, how: int, flags: int = os.O_RDWR | os.O_CREAT) -> Iterator[bool]:
    held = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(held, how)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(held)


def backup(data: Path, target: Path) -> Copied:
    """Copy a data folder into a folder of its own, or bring the copy there up to date.

    Raises Invalid or Conflict where that cannot be, Corrupt when something that is needed is
    damaged; an earlier copy then stays what it was.
    """
    if not (data / ROWS).is_file():
        raise NotFound(f"there is no installation in {data}: name its folder with --data")
    if target.is_dir() and not (target / _MARK).exists() and any(target.iterdir()):
        raise Conflict(f"{target} is not empty and holds no backup: name a folder of its own")
    _check_apart(target, data)
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _told(target), _locked(target / "lock", fcntl.LOCK_EX | fcntl.LOCK_NB) as mine:
        if not mine:
            raise Conflict(f"another backup is being written to {target}: wait for its end")
        mark = _mark(target)
        if not (target / _MARK).exists():
            _write(target / _MARK, msgspec.json.encode(mark))
        with copying(data):
            fresh = target / f"{ROWS}.new"
            fresh.unlink(missing_ok=True)
            copy_rows(data / ROWS, fresh)
            try:
                _check_whole(fresh, data)
            except Invalid:
                fresh.unlink()
                raise
            copied, packs = _objects(data, target, fresh, mark)
            for name in _SETTINGS:
                if (data / name).is_file():
                    shutil.copy2(data / name, target / name)
        _sync(target, fresh)
        fresh.replace(target / ROWS)
        _write(target / _MARK, msgspec.json.encode(_Mark(packs=packs)))
        _sync_folder(target)
        _prune(target, packs)
    return copied


def restore(source: Path, data: Path) -> Copied:
    """Make a data folder from a backup, verified. The folder must be empty or not there."""
    if not (source / ROWS).is_file() or not (source / _MARK).is_file():
        raise NotFound(f"there is no complete backup in {source}: name the folder that holds one")
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise Conflict(f"{data} is not empty: restore into a folder that is not there yet")
    _check_apart(data, source)
    with _draft(data) as made, _told(made), _unchanged(source):
        copy_rows(source / ROWS, made / ROWS)
        copied, _ = _objects(source, made, made / ROWS, _Mark())
        for name in _SETTINGS:
            if (source / name).is_file():
                shutil.copy2(source / name, made / name)
        _sync(made, made / ROWS)
        if data.exists():
            data.rmdir()
        made.rename(data)
    _sync_folder(data.parent)
    return copied


@contextmanager
def _draft(data: Path) -> Iterator[Path]:
    """A folder beside `data` that is empty, ours, and gone when what is done in it fails."""
    made = data.with_name(f"{data.name}.restoring")
    with _told(made):
        made.mkdir(parents=True, mode=0o700, exist_ok=True)
        held = _locked(made, fcntl.LOCK_EX | fcntl.LOCK_NB, os.O_RDONLY | os.O_DIRECTORY)
    with held as mine:
        if not mine:
            raise Conflict(f"another restore is writing to {made}: wait for its end")
        try:
            for left in made.iterdir():  # by one that was killed
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield made
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise


@contextmanager
def _unchanged(source: Path) -> Iterator[None]:
    """No backup is written to a folder meanwhile. It may be on a disk that is only to be read."""
    lock = source / "lock"
    if not lock.exists():  # the folder was copied without it
        yield
        return
    with _locked(lock, fcntl.LOCK_SH | fcntl.LOCK_NB, os.O_RDONLY) as quiet:
        if not quiet:
            raise Conflict(f"a backup is being written to {source}: wait for its end")
        yield


def _check_whole(rows: Path, data: Path) -> None:
    """Raise Invalid for a data folder that `migrate-store` or `--objects` left without a part."""
    with closing(sqlite3.connect(f"file:{rows}?mode=ro", uri=True)) as found:
        (known,) = found.execute(
            "SELECT count(*) FROM sqlite_schema WHERE name = 'setting'"
        ).fetchone()
        said = dict(found.execute("SELECT name, value FROM setting")) if known else {}
    if "moved" in said:
        raise Invalid(
            f"the rows of {data} are in the {said['moved']} now: use the means of that database, "
            "then those of the objects' place"
        )
    if "objects.mark" in said and not (data / "objects.mark").exists():
        raise Invalid(
            f"the objects of {data} are in another folder, which --objects named: copy the rows "
            "(with no server running), then that folder"
        )
    if "objects" in said:
        raise Invalid(
            f"the objects of {data} are in {said['objects']}: copy the rows (with no server "
            "running), then the bucket"
        )


def _check_apart(inner: Path, outer: Path) -> None:
    """Raise Invalid for a copy inside of what is copied: it would go with it."""
    if inner.resolve().is_relative_to(outer.resolve()):
        raise Invalid(f"{inner} is inside {outer}: name a folder outside of it")


@contextmanager
def _told(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or target
        if error.errno in (28, 122, 27):
            raise NoSpace(f"the disk that holds {target} is full: make room, then again") from error
        raise Invalid(f"{where}: {error.strerror or error}") from error


def _objects(source: Path, target: Path, rows: Path, mark: _Mark) -> tuple[Copied, dict[str, int]]:
    """Copy and verify the bytes that rows name, as far as they are not there."""
    objects = size = new = 0
    packs: dict[str, int] = {}
    (target / "packs").mkdir(exist_ok=True)
    with closing(sqlite3.connect(f"file:{rows}?mode=ro", uri=True)) as found:
        for number, end, count, total in found.execute(
            "SELECT pack, max(place + size), count(*), sum(size) FROM object "
            "WHERE pack IS NOT NULL GROUP BY pack ORDER BY pack"
        ):
            name = f"{number:08}.pack"
            new += _pack(source, target, name, end, mark.packs.get(name, 0), found, number)
            packs[name] = max(end, mark.packs.get(name, 0))
            objects, size = objects + count, size + total
        for id_, length in found.execute(
            "SELECT id, size FROM object WHERE pack IS NULL AND data IS NULL ORDER BY id"
        ):
            new += _file(source, target, id_, length)
            objects, size = objects + 1, size + length
    return Copied(objects=objects, size=size, new=new), packs


def _pack(
    source: Path, target: Path, name: str, end: int, have: int,
    rows: sqlite3.Connection, number: int,
) -> int:  # fmt: skip
    """Copy what a pack has more than the last complete copy, then verify its new objects."""
    path = target / "packs" / name
    if have and (not path.is_file() or path.stat().st_size < have):
        have = 0
    if have >= end:
        return 0
    with _opened(source / "packs" / name) as old, path.open("r+b" if have else "w+b") as made:
        old.seek(have)
        made.seek(have)
        made.truncate()
        shutil.copyfileobj(old, made, _PIECE)
        made.flush()
        os.fsync(made.fileno())
        for id_, place, size in rows.execute(
            "SELECT id, place, size FROM object WHERE pack = ? AND place >= ? ORDER BY place",
            (number, have),
        ):
            made.seek(place)
            _verify(id_, made.read(size))
    return end - have


def _file(source: Path, target: Path, id_: bytes, size: int) -> int:
    """Copy an object's file, unless it is there."""
    name = id_.hex()
    path = target / "objects" / name[:2] / name[2:]
    if path.is_file() and path.stat().st_size == size:
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    hasher = object_hasher()
    fresh = path.with_name(f"{path.name}.new")
    with _opened(source / "objects" / name[:2] / name[2:]) as old, fresh.open("wb") as made:
        while piece := old.read(_PIECE):
            hasher.update(piece)
            made.write(piece)
        made.flush()
        os.fsync(made.fileno())
    if hasher.digest() != id_:
        fresh.unlink()
        raise _damaged(id_)
    fresh.replace(path)
    return size


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise Corrupt(
            f"{path} is missing: 'vedette fsck' tells what is lost; restore a backup"
        ) from None
    with file:
        yield file


def _verify(id_: bytes, data: bytes) -> None:
    hasher = object_hasher()
    hasher.update(data)
    if hasher.digest() != id_:
        raise _damaged(id_)


def _damaged(id_: bytes) -> Corrupt:
    return Corrupt(
        f"object {id_.hex()[:16]} is damaged: 'vedette fsck --deep' tells what it is part of",
        object=id_.hex(),
    )


def _mark(target: Path) -> _Mark:
    try:
        return msgspec.json.decode((target / _MARK).read_bytes(), type=_Mark)
    except FileNotFoundError:
        return _Mark()
    except msgspec.MsgspecError:
        return _Mark()  # torn by a crash: the packs are copied again


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _sync(target: Path, rows: Path) -> None:
    with rows.open("rb") as file:
        os.fsync(file.fileno())
    for folder in [target, target / "packs", *(target / "objects").glob("??")]:
        _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(held)
    finally:
        os.close(held)


def _prune(target: Path, packs: dict[str, int]) -> None:
    """Take away what the copy no longer names: what was deleted for good goes from it, too."""
    for path in (target / "packs").iterdir():
        if path.name not in packs:
            path.unlink()
    with closing(sqlite3.connect(f"file:{target / ROWS}?mode=ro", uri=True)) as rows:
        for path in (target / "objects").glob("??/*"):
            known = None
            if path.suffix != ".new":
                name = bytes.fromhex(path.parent.name + path.name)
                known = rows.execute("SELECT 1 FROM object WHERE id = ?", (name,)).fetchone()
            if known is None:
                path.unlink()
