"""What a pipeline would do with its inputs as they are now: how many datums run, and why (U1).

The datums are formed and looked up as a job would do it, in a snapshot, up to a limit; nothing is
written. Where a join or a group asks for matches by their key, they are held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import msgspec
from msgspec import Struct

from vedette.decide import expand as combinations
from vedette.decide.tree import By, Combination, Item
from vedette.metadata.store import Row, Rows
from vedette.model.inputs import Pfs, leaves
from vedette.model.pipeline import PipelineSpec
from vedette.model.work import Pool
from vedette.objects.memory import MemoryObjects
from vedette.scheduling import expansion, lookup, recovery
from vedette.scheduling.rounds import CommitCache, Round
from vedette.scheduling.running import Job, Memory, Pipeline
from vedette.versioning.transaction import Transaction

LIMIT = 50_000
"""Datums that are looked at."""

EXPLAINED = 1_000
"""Datums that run of which it is asked why."""

HELD = 200_000
"""Matches of a leaf that are held by their keys."""

_PAGE = 64
_stored = msgspec.msgpack.Decoder(list[tuple[int, str, bytes | None, int]])


class Forecast(Struct, frozen=True, kw_only=True):
    """How many datums run and how many are skipped; `reasons` counts why they run.

    `waits_for` names inputs that have no commit yet: then there is no job (ENGINE T1). `complete`
    is False where there are more datums than were looked at.
    """

    run: int = 0
    skipped: int = 0
    reasons: dict[str, int] = {}
    waits_for: tuple[str, ...] = ()
    complete: bool = True


class _Nowhere:
    """Nothing is run, so it does not matter where."""

    def problem(self, spec: PipelineSpec) -> str | None:
        return "nothing is run"

    def pool_of(self, spec: PipelineSpec) -> Pool:
        raise NotImplementedError


class _Scanned(lookup.InJob):
    """The matches of inputs without an index of their keys: those are held in memory."""

    def __init__(self, job: Job, now: expansion.Now) -> None:
        super().__init__(job, now, before=False)
        self._held: dict[tuple[int, By], dict[str, list[Item]]] = {}

    def prepare(self) -> Iterator[None]:
        """Nothing to prepare."""
        return iter(())

    def at(self, leaf: int, by: By, key: str) -> Iterator[Item]:
        """The matches of a leaf that have a key."""
        return iter(self._of(leaf, by).get(key, ()))

    def keys(self, leaf: int, by: By) -> Iterator[str]:
        """The keys of a leaf's matches, in order."""
        return iter(sorted(self._of(leaf, by)))

    def _of(self, leaf: int, by: By) -> dict[str, list[Item]]:
        if (leaf, by) not in self._held:
            found: dict[str, list[Item]] = {}
            for item in islice(self.every(leaf), HELD):
                found.setdefault(self.key(leaf, by, item.path), []).append(item)
            self._held[leaf, by] = found
        return self._held[leaf, by]


def forecast(rows: Rows, row: Row, *, fresh: bool = False) -> Forecast:
    """What a pipeline of this row would do; of one that does not exist yet the number is 0.

    `fresh`: nothing counts as done.
    """
    pipeline = recovery.make(rows, row, _Nowhere())
    heads = [_head(rows, pipeline, index) for index in range(len(pipeline.leaves))]
    inputs = tuple(head for head in heads if head is not None)
    if len(inputs) < len(heads):
        missing = [
            leaf.repo for leaf, head in zip(pipeline.leaves, heads, strict=True) if head is None
        ]
        return Forecast(waits_for=tuple(dict.fromkeys(missing)))
    job = Job(num=0, id="", pipeline=pipeline, version=pipeline.version, commit=0, commit_id="",
              inputs=inputs, created=0, plan=0)  # fmt: skip
    tx = Transaction(rows, MemoryObjects(), 0, lambda: "")
    round = Round(tx, Memory(), CommitCache(), budget=LIMIT)
    counted = _Counting(round, job, fresh or pipeline.spec.reprocess_every_job)
    steps = combinations.everything(pipeline.node, _Scanned(job, expansion.Now(round)))
    found = (step for step in steps if step is not None)
    for page in iter(lambda: list(islice(found, min(_PAGE, counted.left))), []):
        counted.add(page)
    return counted.answer(complete=next(found, None) is None)


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


class _Counting:
    def __init__(self, round: Round, job: Job, fresh: bool) -> None:
        self._round = round
        self._job = job
        self._fresh = fresh
        self._run = self._skipped = self._explained = 0
        self._reasons: dict[str, int] = {}

    @property
    def left(self) -> int:
        """How many datums may still be looked at."""
        return LIMIT - self._run - self._skipped

    def add(self, page: list[Combination]) -> None:
        """Look at some datums."""
        if self._fresh:
            self._run += len(page)
            return
        keys = [expansion.key_of(self._round, self._job, each) for each in page]
        known = expansion.rows_of(self._round, "datum_by_key", "datums_by_key", keys)
        states = {row[11]: row[1] for row in known}
        for combination, key in zip(page, keys, strict=True):
            if states.get(key) == "done":
                self._skipped += 1
            else:
                self._run += 1
                self._explain(combination, states.get(key, ""))

    def _explain(self, combination: Combination, state: str) -> None:
        if self._explained == EXPLAINED:
            return
        self._explained += 1
        reason = "they failed before" if state == "failed" else self._reason(combination)
        self._reasons[reason] = self._reasons.get(reason, 0) + 1

    def _reason(self, combination: Combination) -> str:
        rows, pipeline = self._round.rows, self._job.pipeline
        ident = expansion.identity_of(self._job, combination)
        member = rows.one("member", pipeline=pipeline.id, ident=ident)
        before = None if member is None else rows.one("datum_by_num", num=member[0])
        if before is None:
            return "they are new"
        old = {(leaf, path): name for leaf, path, name, _size in _stored.decode(before[12])}
        changed = [
            pipeline.leaves[item.leaf].name
            for item in combination
            if not pipeline.leaves[item.leaf].reference
            and (item.object is None or old.get((item.leaf, item.path)) != item.object)
        ]
        if not changed:
            return "the spec changed"
        return f"{' and '.join(dict.fromkeys(changed))} changed"

    def answer(self, complete: bool) -> Forecast:
        """What was found."""
        return Forecast(
            run=self._run, skipped=self._skipped, complete=complete, reasons=self._reasons
        )


def told(found: Forecast, why: str = "") -> str:
    """The forecast in words: 3 run because model changed, 4,310 skipped. `why` goes for all."""
    if found.waits_for:
        return f"no job runs until there is a commit in {', '.join(found.waits_for)}"
    reasons = sorted(found.reasons.items(), key=lambda item: (-item[1], item[0]))
    if why:
        run = f"{found.run:,} run because {why}"
    elif len(reasons) == 1 and reasons[0][1] == found.run:
        run = f"{found.run:,} run because {reasons[0][0]}"
    elif found.run:
        parts = [f"{count:,} because {reason}" for reason, count in reasons]
        more = found.run - sum(count for _, count in reasons)
        run = f"{found.run:,} run ({', '.join(parts + ([f'{more:,} more'] if more else []))})"
    else:
        run = "0 run"
    bound = "" if found.complete else f" of the first {LIMIT:,} datums, and there are more"
    return f"{run}, {found.skipped:,} skipped{bound}"
