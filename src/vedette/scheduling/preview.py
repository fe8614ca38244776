"""The datums of a pipeline that need not exist yet (ENGINE D9).

They are formed over the newest commits, in one snapshot, as a job would form them; nothing is
written. Keys of joins and groups are sorted in rows of their own on disk, so that memory does not
grow with the inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any

import msgspec

from vedette.decide import expand
from vedette.decide import tree as trees
from vedette.decide.tree import By, Combination, Item
from vedette.metadata.scratch import Scratch
from vedette.metadata.store import Row, Rows
from vedette.model.errors import Invalid
from vedette.model.inputs import Pfs, leaves
from vedette.model.job import DatumFile, DatumInfo, DatumPreview
from vedette.objects.memory import MemoryObjects
from vedette.scheduling import expansion, keys, lookup, recovery
from vedette.scheduling.pipelines import read_spec
from vedette.scheduling.rounds import CommitCache, Round
from vedette.scheduling.running import Job, Memory, Now, Pipeline
from vedette.versioning import repos
from vedette.versioning.transaction import Transaction

DEEPEST = 1_000_000
"""How many datums a preview passes over to come to the ones that are asked for."""

_LOOK = 16
"""Matches between two looks at the clock."""

_MATCHES = 100_000
"""How many matches a page has, of large groups one datum."""


class LateError(Exception):
    """The time that a look may take is over."""


class Formed:
    """The datums of a job that is only imagined.

    `waits_for` names inputs that have no commit yet: then there is no job (ENGINE T1).
    """

    def __init__(
        self, round: Round, job: Job, waits_for: tuple[str, ...], selected: Sorted
    ) -> None:
        self.round = round
        self.job = job
        self.waits_for = waits_for
        self._selected = selected

    def combinations(self) -> Iterator[Combination]:
        """The matches of every datum, once. Raises LateError."""
        if self.waits_for:
            return
        repeats = self.job.pipeline.repeats
        seen: set[bytes] = set()
        for step in expand.everything(self.job.pipeline.node, self._selected):
            self._selected.look_at_clock()
            if step is None:
                continue
            if repeats:
                ident = keys.identity_of(self.job, step)
                if ident in seen:
                    continue
                seen.add(ident)
            yield step

    def total(self) -> int:
        """How many datums there are; a cross is not gone through for it."""
        if self.waits_for or self.job.pipeline.repeats:
            return sum(1 for _ in self.combinations())
        return sum(expand.count(self.job.pipeline.node, self._selected))


@contextmanager
def formed(
    rows: Rows, row: Row, budget: int, late: Callable[[], bool] = lambda: False
) -> Iterator[Formed]:
    """The datums that a pipeline of this row would have; its number is 0 if it does not exist.

    Once it is `late`, forming them ends with LateError.
    """
    pipeline = recovery.read(rows, row)
    heads = [_head(rows, pipeline, index) for index in range(len(pipeline.leaves))]
    missing = [leaf.repo for leaf, head in zip(pipeline.leaves, heads, strict=True) if head is None]
    inputs = tuple(head for head in heads if head is not None)
    job = Job(num=0, id="", pipeline=pipeline, version=pipeline.version, commit=0, commit_id="",
              inputs=inputs, created=0, plan=0)  # fmt: skip
    tx = Transaction(rows, MemoryObjects(), 0, lambda: "")
    round = Round(tx, Memory(), CommitCache(), budget=budget)
    with closing(Scratch()) as scratch:
        selected = Sorted(job, expansion.Now(round), scratch, late)
        yield Formed(round, job, tuple(dict.fromkeys(missing)), selected)


def _head(rows: Rows, pipeline: Pipeline, index: int) -> int | None:
    """The commit that a job would read; of a branch that will follow another, that one's."""
    leaf = pipeline.leaves[index]
    row = rows.one("branch_head", repo=leaf.branch[0], name=leaf.branch[1])
    if row is not None and row[0] is not None:
        return int(row[0])
    given = list(leaves(pipeline.spec.input))[index]
    if isinstance(given, Pfs) and given.trigger is not None:
        followed = given.trigger.branch or "master"
        row = rows.one("branch_head", repo=leaf.branch[0], name=followed)
    return None if row is None else row[0]


class Sorted(lookup.InJob):
    """What leaves select in a job's inputs; those with keys are sorted by them first."""

    def __init__(self, job: Job, now: Now, scratch: Scratch, late: Callable[[], bool]) -> None:
        super().__init__(job, now, before=False)
        self._nodes = {leaf.leaf: leaf for leaf in trees.leaves(job.pipeline.node)}
        self._scratch = scratch
        self._shelves: set[str] = set()
        self._late = late
        self._looks = 0

    def look_at_clock(self) -> None:
        """Raise LateError when it is late; the clock is read once in a while."""
        self._looks += 1
        if self._looks % _LOOK == 0 and self._late():
            raise LateError

    def prepare(self) -> Iterator[None]:
        """Nothing to prepare."""
        return iter(())

    def at(self, leaf: int, by: By, key: str) -> Iterator[Item]:
        """The matches of a leaf that have a key."""
        for path, name, size in self._scratch.at(self._shelf(leaf, by), key):
            yield Item(leaf, path, False, True, name, size)

    def keys(self, leaf: int, by: By) -> Iterator[str]:
        """The keys of a leaf's matches, in order."""
        return self._scratch.keys(self._shelf(leaf, by))

    def _shelf(self, leaf: int, by: By) -> str:
        shelf = f"{leaf} {by}"
        if shelf not in self._shelves:
            self._shelves.add(shelf)
            found = self.every(leaf)
            self._scratch.fill(shelf, (self._keyed(leaf, by, item) for item in found))
        return shelf

    def _keyed(self, leaf: int, by: By, item: Item) -> tuple[str, str, bytes | None, int]:
        self.look_at_clock()
        return self.key(leaf, by, item.path), item.path, item.object, item.size


def show(rows: Rows, document: dict[str, Any], after: int = 0, limit: int = 1000) -> DatumPreview:
    """The datums of a spec, some of them passed over; fewer than asked for where they are large.

    Raises InvalidSpec, NotFound, Invalid.
    """
    if after > DEEPEST:
        raise Invalid(f"after {after}: a preview goes to datum {DEEPEST}; use a narrower glob")
    spec, _ = read_spec(document)
    for leaf in leaves(spec.input):
        if isinstance(leaf, Pfs):
            repos.get(rows, leaf.repo)
    present = rows.one("pipeline_by_name", name=spec.name)
    encoded = msgspec.json.encode(document)
    row: Row = (0, spec.name, 0, spec.output_branch, 1, b"", 0, "STARTING", "", encoded)
    if present is not None:
        row = (*present[:9], encoded)
    with formed(rows, row, 0) as found:
        shown: list[DatumInfo] = []
        held = 0
        for combination in islice(found.combinations(), after, after + limit):
            shown.append(_info(found, combination, present is not None))
            held += len(combination)
            if held > _MATCHES:
                break
        return DatumPreview(total=found.total(), datums=tuple(shown), waiting=found.waits_for)


def _info(found: Formed, combination: Combination, exists: bool) -> DatumInfo:
    pipeline = found.job.pipeline
    done = False
    if exists and not pipeline.spec.reprocess_every_job:
        key = keys.key_of(found.round, found.job, combination)
        row = found.round.rows.one("datum_by_key", key=key)
        done = row is not None and row[1] == "done"
    files = tuple(
        DatumFile(
            name=leaf.name, repo=leaf.repo, branch=leaf.branch[1], path=item.path,
            object=item.object.hex() if item.object else "", size=item.size,
        )
        for item in combination
        for leaf in (pipeline.leaves[item.leaf],)
    )  # fmt: skip
    return DatumInfo(
        id=keys.identity_of(found.job, combination).hex(), number=0, pipeline=pipeline.name,
        state="SKIPPED" if done else "QUEUED", inputs=files,
    )  # fmt: skip
