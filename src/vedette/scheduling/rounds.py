"""One round of scheduling: what it works on, and what it writes at its end.

A round is one transaction. Jobs and datums that it touched are written once, in their final
state, by `flush`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from vedette.metadata.store import Rows
from vedette.model.events import Event
from vedette.model.work import Task
from vedette.scheduling.running import Branch, Datum, Job, Memory, Pipeline
from vedette.versioning import commits
from vedette.versioning.commits import CommitRow
from vedette.versioning.transaction import Transaction

encode = msgspec.msgpack.Encoder().encode


class CommitCache:
    """Finished commits by number; they never change (ENGINE P7)."""

    def __init__(self, size: int = 4096) -> None:
        self._size = size
        self._rows: OrderedDict[int, CommitRow] = OrderedDict()

    def get(self, rows: Rows, num: int) -> CommitRow:
        """The commit with this number, from memory where it is finished."""
        found = self._rows.get(num)
        if found is None:
            found = commits.by_num(rows, num)
            if found.state == "finished":
                self.put(found)
        return found

    def put(self, commit: CommitRow) -> None:
        """Remember a finished commit."""
        self._rows[commit.num] = commit
        if len(self._rows) > self._size:
            self._rows.popitem(last=False)

    def clear(self) -> None:
        """Forget all, after a transaction that was rolled back."""
        self._rows.clear()


@dataclass
class Round:
    """A round under way. `touched` names the pipelines to look at, `budget` the datums left.

    `again` names the pipelines that the next round must look at, for the budget was used up.
    """

    tx: Transaction
    memory: Memory
    commits: CommitCache
    budget: int
    events: list[Event] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    jobs: dict[int, Job] = field(default_factory=dict)
    datums: dict[int, Datum] = field(default_factory=dict)
    effects: list[dict[str, Any]] = field(default_factory=list)
    leased: dict[str, list[Task]] = field(default_factory=dict)
    moved: set[Branch] = field(default_factory=set)
    again: set[str] = field(default_factory=set)

    @property
    def rows(self) -> Rows:
        """The rows of the transaction."""
        return self.tx.rows

    @property
    def now(self) -> int:
        """Microseconds since 1970 UTC."""
        return self.tx.now

    def dirty_job(self, job: Job) -> None:
        """Write this job at the end of the round."""
        self.jobs[job.num] = job

    def dirty_datum(self, datum: Datum) -> None:
        """Write this datum at the end of the round."""
        self.datums[datum.num] = datum

    def touch(self, pipeline: Pipeline) -> None:
        """Look at this pipeline in this round."""
        self.touched.add(pipeline.name)

    def touch_readers(self, branch: Branch) -> None:
        """Look at the pipelines that read a branch, since one of its commits has ended."""
        for pipeline in self.memory.order:
            if any(leaf.branch == branch for leaf in pipeline.leaves):
                self.touched.add(pipeline.name)

    def set_state(self, pipeline: Pipeline, state: str, reason: str = "") -> None:
        """Change what is shown of a pipeline, if it changed."""
        if (pipeline.state, pipeline.reason) == (state, reason):
            return
        pipeline.state, pipeline.reason = state, reason
        self.rows.run("set_pipeline_state", id=pipeline.id, state=state, reason=reason)
        self.events.append(Event(kind="pipeline", pipeline=pipeline.family, state=state))


def flush(round: Round) -> None:
    """Write the jobs and datums that the round touched."""
    flush_datums(round)
    new_jobs = [_job_values(j) for j in round.jobs.values() if j.fresh]
    old_jobs = [_job_progress(j) for j in round.jobs.values() if not j.fresh]
    _many(round.rows, "add_job", new_jobs)
    _many(round.rows, "set_job", old_jobs)
    for job in round.jobs.values():
        job.fresh = False
        round.events.append(
            Event(kind="job", pipeline=job.pipeline.family, id=job.id, state=job.state)
        )
    round.jobs.clear()


def flush_datums(round: Round) -> None:
    """Write the datums that the round touched so far, and what they are to large jobs."""
    new_datums = [_datum_values(d) for d in round.datums.values() if d.fresh]
    old_datums = [_datum_progress(d) for d in round.datums.values() if not d.fresh]
    _many(round.rows, "add_datum", new_datums)
    _many(round.rows, "set_datum", old_datums)
    _many(round.rows, "add_job_datum", round.effects)
    for datum in round.datums.values():
        datum.fresh = False
    round.datums.clear()
    round.effects.clear()


def _many(rows: Rows, query: str, values: Sequence[dict[str, Any]]) -> None:
    if values:
        rows.many(query, values)


def _job_progress(job: Job) -> dict[str, Any]:
    return {
        "num": job.num, "base": job.base.num if job.base else None, "state": job.state,
        "reason": job.reason, "started": job.started, "finished": job.finished,
        "total": job.total, "processed": job.processed, "skipped": job.skipped,
        "failed": job.failed, "recovered": job.recovered, "download": job.download,
        "upload": job.upload,
    }  # fmt: skip


def _job_values(job: Job) -> dict[str, Any]:
    return {
        **_job_progress(job), "id": job.id, "pipeline": job.pipeline.id, "version": job.version,
        "cmt": job.commit, "inputs": encode(job.inputs), "created": job.created,
    }  # fmt: skip


def _datum_progress(datum: Datum) -> dict[str, Any]:
    result = datum.result
    return {
        "num": datum.num, "state": datum.state, "job": datum.job, "version": datum.version,
        "refs": datum.refs, "tries": datum.tries, "lost": datum.lost, "lease": datum.lease,
        "worker": datum.worker or None, "result": datum.encoded, "reason": datum.reason,
        "finished": datum.finished, "seconds": result.seconds if result else 0.0,
        "prior": int(datum.prior),
    }  # fmt: skip


def _datum_values(datum: Datum) -> dict[str, Any]:
    inputs = [(m.leaf, m.path, m.object, m.size) for m in datum.matches]
    return {
        **_datum_progress(datum), "key": datum.key, "ident": datum.ident,
        "pipeline": datum.pipeline.family, "inputs": encode(inputs), "created": datum.created,
    }  # fmt: skip


class Paged:
    """Work that goes on over several rounds; `steps` is given what gives the one in progress."""

    def __init__(self, steps: Callable[[Callable[[], Round]], Iterator[None]]) -> None:
        self._round: Round | None = None
        self._steps = steps(self._now)

    def _now(self) -> Round:
        assert self._round is not None, "asked for outside of `go_on`"
        return self._round

    def go_on(self, round: Round) -> bool:
        """Do one step; True when the work is done."""
        self._round = round
        return next(self._steps, self) is self
