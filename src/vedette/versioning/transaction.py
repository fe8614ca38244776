"""One write transaction in progress: rows and bytes that become durable together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from msgspec import Struct

from vedette.metadata.store import MetadataStore, Row, Rows
from vedette.model.ids import CommitId
from vedette.objects.store import ObjectStore


class Finished(Struct, frozen=True, kw_only=True):
    """A commit that was finished. `repo` is its key, `name` its name; `root`: not made by a job."""

    num: int
    id: CommitId
    repo: int
    branch: str
    line: int
    seq: int
    root: bool
    name: str


class Transaction:
    """What a change needs: rows, objects, the time in microseconds since 1970 UTC, fresh ids.

    `finished` lists the commits that were finished so far, in order; `stored` counts the bytes of
    the objects that became known, less those that were forgotten.
    """

    def __init__(
        self, rows: Rows, objects: ObjectStore, now: int, new_id: Callable[[], str]
    ) -> None:
        self.rows = rows
        self.objects = objects
        self.now = now
        self.finished: list[Finished] = []
        self.new_id = new_id
        self.stored = 0

    def suspect(self, dropped: Iterable[Row]) -> None:
        """Note objects that may be nobody's any more: the first column of rows that were dropped.

        `vedette.versioning.collect` looks whether it is so, some time later (ENGINE K3).
        """
        values = [{"object": row[0], "since": self.now} for row in dropped if row[0] is not None]
        if values:
            self.rows.many("garbage_add", values)


@contextmanager
def transact(
    metadata: MetadataStore,
    objects: ObjectStore,
    clock: Callable[[], int],
    new_id: Callable[[], str],
) -> Iterator[Transaction]:
    """A transaction that is durable when the context ends, bytes before rows (DESIGN 3.4).

    `clock` gives microseconds since 1970 UTC; `new_id` gives 32 hex digits.
    """
    with metadata.write() as rows:
        yield Transaction(rows, objects, clock(), new_id)
        objects.sync()
