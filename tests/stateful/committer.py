"""A program that commits files to a folder's store until it is killed or the disk is full.

It prints a line for each commit that is durable: number, path, object. Run by test_crash.py.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from vedette.metadata.sqlite import SqliteStore
from vedette.model.errors import NoSpace
from vedette.model.files import Write
from vedette.objects.local import LocalObjects
from vedette.versioning import branches, commits, contents, files, repos
from vedette.versioning.transaction import Transaction, transact

SIZES = [10, 10_000, 20_000, 200_000, 1_200_000]


class Opened:
    """A store, opened."""

    def __init__(self, folder: Path) -> None:
        self.metadata = SqliteStore(folder / "metadata.sqlite")
        self.objects = LocalObjects(folder)

    @contextmanager
    def tx(self) -> Iterator[Transaction]:
        with transact(
            self.metadata, self.objects, lambda: time.time_ns() // 1000, lambda: uuid4().hex
        ) as tx:
            yield tx

    def close(self) -> None:
        self.metadata.close()
        self.objects.close()

    def commit(self, n: int) -> str:
        data = n.to_bytes(8, "big") + os.urandom(8) + b"." * SIZES[n % len(SIZES)]
        path = f"/dev{n % 3}/{n // 2}.jpg"  # every other commit replaces the file before it
        ready = contents.prepare(self.objects, data)
        with self.tx() as tx:
            made = commits.commit_files(
                tx, [Write(repo="images", path=path), Write(repo="log", path="/n", data=data[:8])],
                [ready, None],
            )  # fmt: skip
        return f"{made.commits[0].num} {path} {ready.id.hex()}"

    def check(self) -> int:
        """The number of commits of `images`, after looking at everything (C1)."""
        with self.metadata.read() as rows:
            head = branches.head(rows, "images", "master")
            log = branches.head(rows, "log", "master")
            assert (head is None) == (log is None)
            if head is None or log is None:
                return 0
            assert head.id == log.id and head.seq == log.seq
            tree = list(files.every(rows, head))
            assert head.files == len(tree)
            assert head.size == sum(file.size for file in tree)
            history = commits.listing(rows, head.repo, limit=10_000)
            assert [c.seq for c in history] == [*range(len(history), 0, -1)]
            assert {c.state for c in history} == {"finished"}
            for commit in history[:: max(1, len(history) // 10)]:
                for file in files.every(rows, commit):
                    assert len(contents.read(rows, self.objects, file.object)) == file.size
            return len(history)


def main(folder: Path, start: int) -> None:
    store = Opened(folder)
    if start == 0:
        with store.tx() as tx:
            repos.create(tx, "images")
            repos.create(tx, "log")
    for n in itertools.count(start):
        print(store.commit(n), flush=True)


def fill(folder: Path) -> None:
    """Commit until the disk is full, make room, and go on; nothing may be lost."""
    store = Opened(folder)
    with store.tx() as tx:
        repos.create(tx, "images")
        repos.create(tx, "log")
    ballast = folder / "ballast"
    ballast.write_bytes(b"x" * 3_000_000)
    done, refused = 0, 0
    for n in range(1000):
        try:
            store.commit(n)
            done += 1
        except NoSpace as error:
            assert "make room" in error.message and "\n" not in error.message
            refused += 1
            if refused == 8:
                break
    assert refused == 8, "the disk was never full"
    assert store.check() == done
    ballast.unlink()
    for n in range(1000, 1003):
        store.commit(n)
    assert store.check() == done + 3
    store.close()
    again = Opened(folder)
    assert again.check() == done + 3
    again.close()
    print("refused", refused, "done", done)


if __name__ == "__main__":
    if sys.argv[2] == "fill":
        fill(Path(sys.argv[1]))
    else:
        main(Path(sys.argv[1]), int(sys.argv[2]))
