"""Cron inputs: a repo of ticks for each (ENGINE D6).

A tick is a commit of one empty file, made in a round of the scheduler; the row that says which tick
was the last is written in the same transaction, so there is exactly one of each, also over
restarts. Ticks that were missed come one by one, a few a round, and no more than `BACKLOG` ahead of
the jobs that they cause.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import structlog

from vedette.decide import cron
from vedette.metadata.store import Rows
from vedette.model.api import Tick
from vedette.model.errors import Conflict, Invalid, VedetteError
from vedette.model.files import Write
from vedette.model.inputs import Cron, leaves
from vedette.model.pipeline import PipelineSpec
from vedette.model.schedule import parse_schedule, parse_start
from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Clock, Memory, Pipeline
from vedette.versioning import commits, files, repos
from vedette.versioning.commits import Finished
from vedette.versioning.times import microseconds, moment
from vedette.versioning.transaction import Transaction

_log = structlog.get_logger("vedette.scheduling")

PER_ROUND = 50
"""Missed ticks of one clock that one round makes."""

BACKLOG = 200
"""Unfinished jobs of a pipeline above which its clocks wait."""


RETRY = 10_000_000
"""Microseconds until a tick that could not be made is tried again."""


def crons(spec: PipelineSpec) -> list[Cron]:
    """The cron inputs of a spec."""
    return [leaf for leaf in leaves(spec.input) if isinstance(leaf, Cron)]


def keep(tx: Transaction, pipeline: int, spec: PipelineSpec) -> None:
    """Make the rows and repos of a pipeline's clocks; forget those that its spec no longer has.

    Counting goes on from the last tick, or from `start` where that is later. Raises Conflict where
    another pipeline's clock writes to the repo.
    """
    known = {row[0]: row for row in tx.rows.all("clocks_of", pipeline=pipeline)}
    wanted = crons(spec)
    for name in known.keys() - {leaf.name for leaf in wanted}:
        tx.rows.run("drop_clock", pipeline=pipeline, name=name)
    for leaf in wanted:
        start = microseconds(parse_start(leaf.start)) if leaf.start else None
        row = tx.rows.one("repo_get", name=leaf.repo)
        before = known.get(leaf.name)
        made = row is None
        if row is None:
            repo = repos.create(tx, leaf.repo, description=f"Ticks of pipeline {spec.name}")
        else:
            repo = row[0]
            _refuse_taken(tx.rows, repo, leaf, spec.name)
        last = tx.now if start is None else start
        if before is not None and before[1] == repo:
            last = max(before[2], start or 0)
        tx.rows.run(
            "set_clock", pipeline=pipeline, name=leaf.name, repo=repo,
            last=last - last % 1_000_000, made=int(made),
        )  # fmt: skip


def _refuse_taken(rows: Rows, repo: int, leaf: Cron, pipeline: str) -> None:
    owner = rows.one("clock_owner", repo=repo)
    if owner is not None and owner[0] != pipeline:
        raise Conflict(
            f"input {leaf.name}: repo {leaf.repo} holds the ticks of pipeline {owner[0]}: "
            "name another repo, or read that one by a pfs input"
        )
    if rows.one("pipeline_of_repo", repo=repo) is not None:
        raise Conflict(f"input {leaf.name}: repo {leaf.repo} is the output of a pipeline")


def drop(tx: Transaction, pipeline: int, keep_repo: bool) -> list[str]:
    """Forget a pipeline's clocks; the repos that came with them, to be deleted."""
    rows = tx.rows.all("clocks_of", pipeline=pipeline)
    tx.rows.run("drop_clocks", pipeline=pipeline)
    return [repos.by_id(tx.rows, row[1]).name for row in rows if row[3] and not keep_repo]


def load(rows: Rows, memory: Memory) -> None:
    """Read the clocks into the memory of their pipelines."""
    last = {(pipeline, name): (repo, at) for pipeline, name, repo, at in rows.all("clocks")}
    for pipeline in memory.order:
        pipeline.clocks = []
        for leaf in crons(pipeline.spec):
            found = last.get((pipeline.id, leaf.name))
            if found is not None:
                pipeline.clocks.append(_clock(leaf, *found))


def _clock(leaf: Cron, repo: int, last: int) -> Clock:
    schedule = parse_schedule(leaf.spec)
    after = cron.following(schedule, moment(last))
    return Clock(
        leaf.name, leaf.repo, repo, leaf.overwrite, schedule, last,
        None if after is None else microseconds(after),
    )  # fmt: skip


def tick(round: Round) -> None:
    """Make the ticks that are due, before what they cause is planned."""
    for pipeline in round.memory.order:
        for clock in pipeline.clocks:
            if clock.next is not None and clock.next <= round.now and _may_tick(pipeline):
                _make(round, pipeline, clock)


def _may_tick(pipeline: Pipeline) -> bool:
    return pipeline.state != "PAUSED" and len(pipeline.jobs) < BACKLOG


def _make(round: Round, pipeline: Pipeline, clock: Clock) -> None:
    ticks, after = cron.missed(clock.schedule, moment(clock.last), moment(round.now), PER_ROUND)
    mark = len(round.tx.finished)
    try:
        with round.rows.savepoint():
            for at in ticks:
                commit(round.tx, clock.repo, _named(at), clock.overwrite)
    except VedetteError as error:
        # An open commit is there, or the repo was taken away: others must not wait for that.
        del round.tx.finished[mark:]
        clock.next = round.now + RETRY
        _log.warning("a tick could not be made", pipeline=pipeline.name, reason=error.message)
        return
    clock.last = microseconds(ticks[-1]) if ticks else clock.last
    clock.next = None if after is None else microseconds(after)
    round.rows.run("advance_clock", pipeline=pipeline.id, name=clock.name, last=clock.last)


def upcoming(round: Round) -> int | None:
    """When the next tick is due (microseconds). A clock that waits for jobs waits for those."""
    times = [
        clock.next
        for pipeline in round.memory.order
        if pipeline.clocks and _may_tick(pipeline)
        for clock in pipeline.clocks
        if clock.next is not None
    ]
    return min(times) if times else None


def commit(tx: Transaction, repo: str, path: str, overwrite: bool) -> Finished:
    """Commit one tick; with `overwrite` in the place of the ones before."""
    writes = [Write(repo=repo, path=path, data=b"")]
    number = repos.get(tx.rows, repo).id
    row = tx.rows.one("branch_get", repo=number, name="master")
    if overwrite and row is not None and row[2] is not None:
        head = commits.by_num(tx.rows, row[2])
        old = files.walk(tx.rows, head, "/", limit=1000)
        writes = [Write(repo=repo, path=f.path, delete=True) for f in old] + writes
    made = commits.commit_files(tx, writes)
    if not made.finished:
        raise Conflict(f"repo {repo}@master has an open commit: finish it, for a clock ticks there")
    return made.finished[0]


def _named(at: datetime) -> str:
    return "/" + at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def by_hand(tx: Transaction, spec: PipelineSpec) -> list[Tick]:
    """Tick each clock of a pipeline now; the ticks to come stay where they are.

    Raises Invalid for a pipeline without cron inputs.
    """
    found = crons(spec)
    if not found:
        raise Invalid(f"pipeline {spec.name} has no cron input: run-cron ticks only those")
    ticks = []
    for leaf in found:
        path = _free(tx, leaf)
        made = commit(tx, leaf.repo, path, leaf.overwrite)
        ticks.append(Tick(repo=leaf.repo, path=path, commit=made.id))
    return ticks


def _free(tx: Transaction, leaf: Cron) -> str:
    """The name of a tick of this moment: to the second, or finer where that one is taken."""
    now = moment(tx.now)
    whole = _named(now.replace(microsecond=0))
    number = repos.get(tx.rows, leaf.repo).id
    row = tx.rows.one("branch_get", repo=number, name="master")
    head = None if row is None or row[2] is None else commits.by_num(tx.rows, row[2])
    if head is None or files.stat(tx.rows, head, whole) is None:
        return whole
    while files.stat(tx.rows, head, _named(now)) is not None:
        now += timedelta(microseconds=1)
    return _named(now)
