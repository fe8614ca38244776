"""Versioned repos in memory, for tests of what versioning promises."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager

from vedette.metadata.sqlite import MemoryStore
from vedette.metadata.store import MetadataStore
from vedette.model.files import Write
from vedette.objects.memory import MemoryObjects
from vedette.versioning import commits, contents, files, repos
from vedette.versioning.transaction import Transaction, transact


class World:
    """Two user repos and the output repo of a pipeline, in memory unless a store is given."""

    def __init__(self, metadata: MetadataStore | None = None) -> None:
        self.metadata: MetadataStore = metadata or MemoryStore()
        self.objects = MemoryObjects()
        self._ids = itertools.count(1)
        with self.tx() as tx:
            repos.create(tx, "images", description="pictures")
            repos.create(tx, "arrivals")
            repos.create(tx, "out", kind="pipeline")

    def tx(self) -> AbstractContextManager[Transaction]:
        return transact(
            self.metadata, self.objects, lambda: 1_000_000, lambda: f"{next(self._ids):032x}"
        )

    def put(self, path: str, data: bytes = b"x", branch: str = "master") -> commits.CommitRow:
        with self.tx() as tx:
            write = Write(repo="images", branch=branch, path=path, data=data)
            return commits.commit_files(tx, [write]).commits[0]

    def job(self, *puts: tuple[str, bytes, int], **changes: object) -> commits.CommitRow:
        branch = str(changes.pop("branch", "master"))
        with self.tx() as tx:
            row = commits.start(tx, "out", branch, origin="auto")
            made = [(p, contents.store(tx, data), len(data), d) for p, data, d in puts]
            commits.apply(tx, row, commits.Changes(puts=made, **changes))  # type: ignore[arg-type]
            return commits.by_num(tx.rows, row.num)

    def paths(self, commit: commits.CommitRow) -> list[str]:
        with self.metadata.read() as rows:
            return [file.path for file in files.every(rows, commit)]

    def read(self, ref: str, path: str) -> bytes:
        with self.metadata.read() as rows:
            file = files.stat(rows, commits.resolve(rows, "images", ref), path)
            assert file is not None
            return contents.read(rows, self.objects, file.object)


def calling(world: World, *writes: Write) -> Callable[[], None]:
    def attempt() -> None:
        with world.tx() as tx:
            commits.commit_files(tx, writes)

    return attempt
