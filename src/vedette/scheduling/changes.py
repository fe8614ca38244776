"""Carries out intents: what operations asked for, in the scheduler's memory."""

from __future__ import annotations

from typing import assert_never

from vedette.model.events import Event
from vedette.scheduling import (
    clocks,
    expansion,
    finishing,
    hosts,
    lookup,
    planning,
    readiness,
    recovery,
)
from vedette.scheduling.intents import (
    BranchDeleted,
    BranchMoved,
    CommitsSquashed,
    DatumRestarted,
    FailedRerun,
    Intent,
    JobStopped,
    PipelineChanged,
    PipelineDeleted,
    PipelineMoved,
    PipelineRun,
    PipelineStarted,
    PipelineStopped,
    RepoDeleted,
)
from vedette.scheduling.recovery import Runtimes
from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Pipeline


def carry_out(round: Round, intent: Intent, runtimes: Runtimes) -> None:
    """Change the memory as an operation asked."""
    if isinstance(intent, PipelineChanged):
        _changed(round, intent, runtimes)
    elif isinstance(intent, PipelineDeleted):
        _deleted(round, intent.name)
    elif isinstance(intent, JobStopped):
        _stopped(round, intent.num)
    elif isinstance(intent, DatumRestarted):
        pipeline = round.memory.pipelines[intent.pipeline]
        planning.plan_pipeline(round, pipeline, forced=[intent.num])
    elif isinstance(intent, BranchMoved):
        planning.plan_move(round, (intent.repo, intent.branch), intent.num)
    elif isinstance(intent, CommitsSquashed | RepoDeleted | BranchDeleted):
        _gone(round, intent)
    elif isinstance(intent, PipelineStopped):
        _pause(round, intent.name)
    elif isinstance(intent, PipelineStarted):
        _resume(round, intent.name)
    elif isinstance(intent, PipelineMoved):
        _move(round, intent.name)
    elif isinstance(intent, PipelineRun):
        planning.plan_pipeline(round, round.memory.pipelines[intent.name], commit_id=intent.commit)
    elif isinstance(intent, FailedRerun):
        pipeline = round.memory.pipelines[intent.name]
        planning.plan_pipeline(round, pipeline, forced=expansion.failed_members(round, pipeline))
    else:
        assert_never(intent)


def _gone(round: Round, intent: CommitsSquashed | RepoDeleted | BranchDeleted) -> None:
    """What is kept in memory of commits that have gone must go too."""
    memory = round.memory
    if isinstance(intent, BranchDeleted):
        memory.planned.pop((intent.repo, intent.branch), None)
    elif isinstance(intent, RepoDeleted):
        # A repo that is made later may have branches of these names.
        memory.planned = {b: num for b, num in memory.planned.items() if b[0] != intent.repo}
        _bereave(round, intent.repo)
    else:
        memory.planned = {b: num for b, num in memory.planned.items() if num not in intent.nums}
        memory.trees.clear()
    round.commits.clear()


def _bereave(round: Round, repo: int) -> None:
    """Those who read a repo that was deleted by force can work no more (U4)."""
    for pipeline in round.memory.order:
        gone = [leaf for leaf in pipeline.leaves if leaf.branch[0] == repo]
        if not gone:
            continue
        reason = recovery.without(gone[0].repo)
        for job in list(pipeline.jobs):
            finishing.give_up(round, job, "KILLED", reason, now=True)
        for leaf in gone:
            leaf.branch = (recovery.GONE, leaf.branch[1])
        pipeline.good = None
        round.set_state(pipeline, "FAILURE", reason)


def _set_going(round: Round, pipeline: Pipeline) -> None:
    """A new version begins without the state of the one before."""
    if pipeline.elsewhere:
        pipeline.state = ""
        hosts.look(round, pipeline, new=True)
        return
    if pipeline.state == "CRASHING":
        pipeline.state, pipeline.reason = "", ""
    round.set_state(pipeline, "RUNNING")


def _changed(round: Round, intent: PipelineChanged, runtimes: Runtimes) -> None:
    """A pipeline is new or has a new version: one job over what there is (ENGINE T4, U1)."""
    memory, name = round.memory, intent.name
    row = round.rows.one("pipeline_by_name", name=name)
    assert row is not None, "the operation that asked for it has just written it"
    old = memory.pipelines.get(name)
    if old is not None:
        for job in list(old.jobs):
            finishing.give_up(round, job, "KILLED", f"pipeline {name} became version {row[4]}")
    pipeline = recovery.make(round.rows, row, runtimes)
    memory.pipelines[name] = pipeline
    recovery.sort(memory)
    lookup.prune(round.rows, memory)
    stopped = pipeline.state == "PAUSED"
    if not stopped:
        _set_going(round, pipeline)
    round.events.append(Event(kind="pipeline", pipeline=name, state=pipeline.state))
    clocks.load(round.rows, memory)
    for leaf in pipeline.leaves:
        head = round.rows.one("branch_head", repo=leaf.branch[0], name=leaf.branch[1])
        if leaf.branch not in memory.planned and head is not None and head[0] is not None:
            memory.planned[leaf.branch] = head[0]
    round.moved.add(pipeline.output)
    if stopped:
        return
    if intent.history:
        planning.replay(round, pipeline, intent.along, intent.history)
    else:
        planning.plan_pipeline(round, pipeline)


def _pause(round: Round, name: str) -> None:
    """What runs goes on to its end; what is queued stays queued, also over restarts (U3)."""
    pipeline = round.memory.pipelines[name]
    pipeline.failures, pipeline.retry_at, pipeline.probe = 0, 0, 0
    readiness.withdraw(round.memory, pipeline)
    round.set_state(pipeline, "PAUSED")


def _resume(round: Round, name: str) -> None:
    """Go on with what is unfinished; one job more if the newest inputs are not in it (U3)."""
    memory, pipeline = round.memory, round.memory.pipelines[name]
    if pipeline.elsewhere:
        hosts.look(round, pipeline, new=True)
    else:
        round.set_state(pipeline, "RUNNING")
    readiness.push_all(memory, pipeline)
    _catch_up(round, pipeline)


def _move(round: Round, name: str) -> None:
    """Its next job is compared with the one that ran beside it; unfinished ones are found anew."""
    pipeline = round.memory.pipelines[name]
    row = round.rows.one("pipeline_by_name", name=name)
    assert row is not None, "the operation that asked for it has just read it"
    for job in pipeline.jobs:
        expansion.undo(round, job)
    pipeline.salt, pipeline.good = row[5], recovery.good_of(round.rows, pipeline.id)
    if pipeline.jobs:
        # Their readers were just given the branch as it is now: they need one more after these.
        planning.plan_pipeline(round, pipeline)
    elif pipeline.state != "PAUSED":
        _catch_up(round, pipeline)


def _catch_up(round: Round, pipeline: Pipeline) -> None:
    """One job for the newest inputs, unless they have been looked at."""
    memory = round.memory
    round.touch(pipeline)
    last = pipeline.jobs[-1] if pipeline.jobs else pipeline.good
    heads = [memory.planned.get(leaf.branch) for leaf in pipeline.leaves]
    inputs = tuple(num for num in heads if num is not None)
    if len(inputs) < len(heads):
        return
    if last is None or (last.version, last.inputs) != (pipeline.version, inputs):
        newest = round.commits.get(round.rows, max(inputs))
        planning.plan_pipeline(
            round, pipeline, commit_id=planning.free_id(round, pipeline, newest.id)
        )


def _deleted(round: Round, name: str) -> None:
    memory = round.memory
    pipeline = memory.pipelines.pop(name, None)
    if pipeline is None:
        return
    _forget(round, pipeline)
    recovery.sort(memory)
    lookup.prune(round.rows, memory)
    memory.planned.pop(pipeline.output, None)
    for leaf in pipeline.leaves:
        if not any(leaf.branch == o.branch for p in memory.order for o in p.leaves):
            row = round.rows.one("branch_head", repo=leaf.branch[0], name=leaf.branch[1])
            if row is None:
                memory.planned.pop(leaf.branch, None)
    round.commits.clear()


def _forget(round: Round, pipeline: Pipeline) -> None:
    """Its unfinished jobs and datums go with a deleted pipeline; late reports are refused."""
    for job in pipeline.jobs:
        round.jobs.pop(job.num, None)
        round.memory.unfinished.discard(job.commit)
        round.rows.run("drop_forced", name=planning.forced_name(job.num))
    pipeline.jobs.clear()
    memory = round.memory
    for datum in [d for d in memory.datums.values() if d.pipeline is pipeline]:
        datum.jobs = []
        worker = memory.workers.get(datum.worker)
        if worker is not None:
            worker.leases.pop(datum.num, None)
        readiness.drop(round, datum)


def _stopped(round: Round, num: int) -> None:
    for pipeline in round.memory.order:
        for job in list(pipeline.jobs):
            if job.num == num:
                finishing.give_up(round, job, "KILLED", "stopped by stop-job", now=True)
    egressing = round.rows.one("egressing_job", num=num)
    if egressing is not None:  # its output is finished: only the copying ends
        identity, name = egressing
        reason = "stopped by stop-job while its output was copied; its output commit stays"
        round.rows.run("end_egress", num=num, state="KILLED", reason=reason, finished=round.now)
        round.events.append(Event(kind="job", pipeline=name, id=identity, state="KILLED"))
