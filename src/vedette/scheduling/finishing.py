"""The end of a job: its output commit, its counts, and what follows for those below it.

Jobs of one pipeline end in order (ENGINE T5). A job that fails leaves an errored commit; the jobs
below it become unrunnable and the next one starts from the newest good ancestor (T7).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from msgspec import structs

from vedette.model.errors import OverQuota, PathConflict
from vedette.model.events import Event
from vedette.model.ids import CommitId
from vedette.scheduling import bulk, effects, expansion, leasing, planning, rounds
from vedette.scheduling.merging import ClashError, Merge
from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Base, Effect, Job, Pipeline
from vedette.versioning import commits, drafts, quota
from vedette.versioning.edits import Edit

_PAGE = 2000


def finish(round: Round, job: Job) -> bool:
    """End the oldest job of a pipeline, whose datums have all ended.

    False while a job with many datums needs further rounds.
    """
    if job.closing is None:
        job.total = _total(job)
        failed = effects.failure(job)
        if failed is not None and job.pipeline.spec.on_datum_failure == "job":
            fail(round, job, "FAILURE", _why_failed(round, job, failed))
            return True
        if job.spilled:
            _begin_closing(round, job)
    try:
        if job.closing is None or not _drafted(job):
            with round.rows.savepoint() if _may_break_off(round, job) else nullcontext():
                _close_at_once(round, job)
        elif not job.closing.go_on(round):
            return False
    except (ClashError, PathConflict, OverQuota) as refused:
        fail(round, job, "FAILURE", str(refused))
        return True
    pipeline = job.pipeline
    pipeline.good = Base(job.num, job.version, job.inputs, job.total)
    _count(job, effects.tally(job))
    _count_standing(round, job)
    _end(round, job, "SUCCESS" if pipeline.spec.egress is None else "EGRESSING")
    return True


def _total(job: Job) -> int:
    """How many datums a job has. Its base may have been counted only after it was compared."""
    if job.full or job.base is None:
        return job.change
    good = job.pipeline.good
    base = good if good is not None and good.num == job.base.num else job.base
    return job.change + base.total


def _begin_closing(round: Round, job: Job) -> None:
    job.state = "FINISHING"
    job.closing = rounds.Paged(lambda now: _commit_large(now, job))
    round.dirty_job(job)


def _drafted(job: Job) -> bool:
    """Whether a large job's commit is made over several rounds.

    Where datums may share paths it is made in one: what is noted of shared paths has no history
    by which a draft of it could be undone.
    """
    return job.pipeline.spec.output_conflict == "error"


def _close_at_once(round: Round, job: Job) -> None:
    if job.closing is None:
        _commit(round, job)
        return
    while not job.closing.go_on(round):
        pass
    go_on_behind(round, job.pipeline, at_once=True)


def go_on_behind(round: Round, pipeline: Pipeline, at_once: bool = False) -> bool:
    """Go on with what a large job has left to do; True when another may end."""
    while pipeline.behind is not None:
        if pipeline.behind.go_on(round):
            pipeline.behind = None
        elif not at_once:
            return False
    return True


def _may_break_off(round: Round, job: Job) -> bool:
    """Whether a clash, or a limit, could come when something has been written already."""
    spec = job.pipeline.spec
    return (
        spec.output_conflict != "error"
        or job.spilled
        or job.full
        or bool(job.gone)
        or sum(len(e.outputs) for e in job.effects.values()) > 1
        or quota.limited(round.rows, job.pipeline.repo)
    )


def _commit(round: Round, job: Job) -> None:
    pipeline = job.pipeline
    edit = commits.edit(round.tx, pipeline.repo, pipeline.branch)
    replaced, gone = _members(round, job)
    merge = Merge(round, job, edit)
    merge.remove(replaced)
    ordered = sorted(job.effects.items(), key=lambda item: (item[1].order, item[1].datum))
    for ident, effect in ordered:
        if effect.how in ("run", "cached"):
            _add(round, job, merge, ident, effect)
    merge.finish()
    _seal(round, job, edit)
    members = [
        {"pipeline": pipeline.id, "ident": i, "datum": e.datum} for i, e in job.effects.items()
    ]
    if members:
        round.rows.many("set_member", members)
    if gone:
        round.rows.many("drop_member", [{"pipeline": pipeline.id, "ident": i} for i in gone])
    for warning in merge.warnings:
        log(round, job, 0, warning)


def _commit_large(now: bulk.Now, job: Job) -> Iterator[None]:
    """Make the output commit of a job with many datums, a page a step."""
    pipeline = job.pipeline
    round = now()
    rounds.flush_datums(round)
    drafts.undo(round.rows, pipeline.id)
    edit = commits.edit(round.tx, pipeline.repo, pipeline.branch)
    drafts.begin(round.rows, edit, pipeline.id, job.num, job.full)
    merge = Merge(round, job, edit)
    for _ in bulk.remove(now, job, merge):
        yield
        merge.go_on(now())
    for page in bulk.results(now, job):
        for ident, effect in page:
            _add(now(), job, merge, ident, effect)
        yield
        merge.go_on(now())
    merge.finish()
    _seal(now(), job, edit)
    now().rows.run("quota_freed", repo=pipeline.repo)  # whoever counted it saw some of the draft
    now().rows.run("draft_place", pipeline=pipeline.id)
    pipeline.behind = rounds.Paged(lambda then: bulk.members(then, pipeline.id, job.num, job.full))
    for warning in merge.warnings:
        log(now(), job, 0, warning)


def _add(round: Round, job: Job, merge: Merge, ident: bytes, effect: Effect) -> None:
    """Put a datum's files; under `on_datum_failure: datum` a clash fails the datum alone (M2)."""
    try:
        merge.add(ident, effect)
    except ClashError as clash:
        if job.pipeline.spec.on_datum_failure == "job":
            raise
        if job.spilled:
            effects.overturn(round, job, effect)
        round.tx.suspect((output[1],) for output in effect.outputs)
        effect.how, effect.outputs = "failed", ()
        fresh = round.datums.get(effect.datum)
        if fresh is not None:
            fresh.state, fresh.reason, fresh.encoded = "failed", str(clash), None
        else:
            round.rows.run("fail_datum", num=effect.datum, reason=str(clash))
        log(round, job, effect.datum, str(clash))


def _members(round: Round, job: Job) -> tuple[set[int], list[bytes]]:
    """The datums whose files go, and the identities that are no longer there."""
    rows, pipeline = round.rows, job.pipeline
    replaced: set[int] = set()
    gone = list(job.gone)
    if job.full:
        gone = []
        after = b""
        while True:
            page = rows.all("members", pipeline=pipeline.id, after=after, limit=_PAGE)
            for ident, datum in page:
                effect = job.effects.get(ident)
                if effect is None:
                    gone.append(ident)
                if effect is None or effect.datum != datum:
                    replaced.add(datum)
            if len(page) < _PAGE:
                break
            after = page[-1][0]
    else:
        for ident in [*job.effects, *gone]:
            row = rows.one("member", pipeline=pipeline.id, ident=ident)
            effect = job.effects.get(ident)
            if row is not None and (effect is None or effect.datum != row[0]):
                replaced.add(row[0])
    kept = {e.datum for e in job.effects.values()}
    return replaced - kept | effects.repeated(job), gone


def _seal(round: Round, job: Job, edit: Edit) -> None:
    pipeline = job.pipeline
    row = _open_commit(job)
    finished = commits.seal(round.tx, edit, row)
    # Those who read it in this round need not ask for it.
    round.commits.put(
        structs.replace(
            row, line=edit.line, seq=edit.seq, parent=edit.tip.head, state="finished",
            finished=round.now, files=edit.files, size=edit.size, closed=edit.closed,
        )
    )  # fmt: skip
    round.events.append(
        Event(kind="commit", repo=pipeline.family, branch=pipeline.branch, id=job.commit_id,
              number=finished.num)
    )  # fmt: skip
    round.moved.add(pipeline.output)
    round.touch_readers(pipeline.output)


def _open_commit(job: Job) -> commits.CommitRow:
    pipeline = job.pipeline
    return commits.CommitRow(
        num=job.commit, id=CommitId(job.commit_id), repo=pipeline.repo, branch=pipeline.branch,
        line=None, seq=None, parent=None, origin="auto", state="started", started=job.created,
        finished=None, files=0, size=0, closed=0, error="", description="",
    )  # fmt: skip


def _count(job: Job, counts: dict[str, int]) -> None:
    job.processed = counts.get("run", 0)
    job.failed = counts.get("failed", 0)
    job.recovered = counts.get("recovered", 0)
    job.skipped = job.total - job.processed - job.failed - job.recovered


def _count_standing(round: Round, job: Job) -> None:
    """Datums that failed in an earlier job and are left alone are failed, not skipped (R3, R9)."""
    pipeline = job.pipeline
    if pipeline.spec.on_datum_failure == "job" or (pipeline.standing == 0 and not job.failed):
        return
    rounds.flush_datums(round)
    names: dict[str, Any] = {"name": pipeline.family, "pipeline": pipeline.id}
    if not job.spilled:
        row = round.rows.one("failed_member_count", **names)
        pipeline.standing = row[0] if row is not None else 0
    else:  # the members become those of a large job only later
        row = None if job.full else round.rows.one("failed_beside", **names, job=job.num)
        pipeline.standing = job.failed + (row[0] if row is not None else 0)
    job.skipped -= pipeline.standing - job.failed
    job.failed = pipeline.standing


def _why_failed(round: Round, job: Job, first: Effect) -> str:
    row = round.rows.one("datum_by_num", num=first.datum)
    waiting = round.datums.get(first.datum)
    reason = waiting.reason if waiting is not None else row[11] if row is not None else ""
    paths = first.order.replace("\0", " x ")
    failed = effects.tally(job)["failed"]
    return f"{failed} of {job.total} datums failed; the first, {paths}: {reason}"


def fail(
    round: Round, job: Job, state: str, reason: str, done: dict[str, int] | None = None
) -> None:
    """End the oldest job of a pipeline without a commit (FAILURE, UNRUNNABLE or KILLED).

    `done`: how many of its datums there are by what became of them, where that is forgotten by now.
    """
    pipeline = job.pipeline
    if job.closing is not None:
        drafts.undo(round.rows, pipeline.id)
        job.closing = None
    _count(job, effects.tally(job) if done is None else done)
    job.reason = reason
    commits.fail(round.tx, job.commit, reason)
    _end(round, job, state)
    # Those after it are found anew in this round: what has just ended must be found done.
    rounds.flush_datums(round)
    for later in pipeline.jobs:
        if later.expanded or later.expansion is not None:
            expansion.undo(round, later)
    if round.memory.planned.get(pipeline.output) == job.commit:
        _replan(round, pipeline)
    round.touch(pipeline)
    round.touch_readers(pipeline.output)


def give_up(round: Round, job: Job, state: str, reason: str, *, now: bool = False) -> None:
    """End a job that has not run to its end: its datums are no longer wanted for it.

    `now`: those of them that run and that no other job needs are stopped; else they run to their
    end, and their results may serve a later job.
    """
    running = [d for d in round.memory.datums.values() if d.state == "leased" and job in d.jobs]
    done, open_ones = effects.tally(job), job.pending
    if open_ones:  # they were neither run nor skipped (R9)
        reason = f"{reason}; {open_ones} of its {job.total} datums were not done"
        job.total -= open_ones
    expansion.undo(round, job)
    for datum in running:
        if now and not datum.jobs:
            leasing.revoke(round, datum)
    fail(round, job, state, reason, done)


def overdue(round: Round) -> int | None:
    """End the jobs that took longer than their `job_timeout`; when the next would (R5).

    A job's time begins when it is expanded or, where later, when the job before it has ended. It
    is KILLED, as in Pachyderm. While a pipeline is stopped nothing is overdue.
    """
    times = []
    for pipeline in round.memory.order:
        limit = pipeline.spec.job_timeout
        while limit is not None and pipeline.jobs and pipeline.state != "PAUSED":
            job = pipeline.jobs[0]
            if job.started is None:
                break
            until = max(job.started, pipeline.turn) + int(limit * 1e6)
            if until > round.now:
                times.append(until)
                break
            give_up(round, job, "KILLED", f"it took longer than its job_timeout of {limit:g} s",
                    now=True)  # fmt: skip
    return min(times) if times else None


def _replan(round: Round, pipeline: Pipeline) -> None:
    """New jobs below read the newest good commit, not the errored one."""
    good = round.rows.one("branch_head", repo=pipeline.repo, name=pipeline.branch)
    if good is None or good[0] is None:
        round.memory.planned.pop(pipeline.output, None)
    else:
        round.memory.planned[pipeline.output] = good[0]


def _end(round: Round, job: Job, state: str) -> None:
    job.state = state
    job.pipeline.turn = round.now
    job.finished = None if state == "EGRESSING" else round.now
    if job.forced:
        round.rows.run("drop_forced", name=planning.forced_name(job.num))
    round.memory.unfinished.discard(job.commit)
    if job in job.pipeline.jobs:
        job.pipeline.jobs.remove(job)
    rows: list[dict[str, Any]] = [
        {"job": job.num, "datum": effect.datum, "how": effect.how or "waiting"}
        for effect in job.effects.values()
    ]
    if rows:
        round.rows.many("add_job_datum", rows)
    round.dirty_job(job)
    round.touch(job.pipeline)
    job.effects, job.gone = {}, set()


def log(round: Round, job: Job, datum: int, text: str) -> None:
    """A line of the platform's own in the log of a datum (0: of the job)."""
    round.rows.run(
        "add_log", datum=datum, job=job.num, pipeline=job.pipeline.family, at=round.now,
        attempt=0, stream="system", text=text,
    )  # fmt: skip
