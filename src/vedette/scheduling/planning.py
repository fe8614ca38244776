"""Which jobs does a commit cause? All of them are fixed when the root commit finishes.

In the transaction that finishes a root commit, every pipeline below it gets its job and its open
output commit, under the root's global id (ENGINE T1 to T3): an input that the root reaches is read
at this id, any other at its newest planned commit. Through a diamond each root therefore
contributes one commit, and two runs of one history make the same jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from vedette.model.ids import CommitId, JobId
from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Branch, Job, Pipeline
from vedette.versioning.transaction import Finished


def plan_roots(round: Round, finished: Iterable[Finished]) -> None:
    """Plan what the root commits cause that finished in this transaction."""
    moved: dict[str, dict[Branch, int]] = {}
    for commit in finished:
        if commit.root:
            branch = (commit.repo, commit.branch)
            moved.setdefault(commit.id, {})[branch] = commit.num
            round.moved.add(branch)
    for commit_id, branches in moved.items():
        plan(round, CommitId(commit_id), branches)


def plan(round: Round, commit_id: str, moved: Mapping[Branch, int]) -> None:
    """Make the jobs that follow when these branches move, under one global id."""
    reached = dict(moved)
    round.memory.planned.update(moved)
    number = round.memory.next_plan
    round.memory.next_plan += 1
    for pipeline in round.memory.order:
        if pipeline.state == "PAUSED" or pipeline.aside:
            continue
        if any(leaf.branch in reached for leaf in pipeline.leaves):
            job = _job(round, pipeline, commit_id, number)
            if job is not None:
                reached[pipeline.output] = job.commit


def plan_pipeline(
    round: Round, pipeline: Pipeline, forced: Iterable[int] = (), commit_id: str = ""
) -> Job | None:
    """Make one job of a pipeline over the newest inputs, and the jobs below it.

    `forced` are datums (numbers) to run again. None if an input has no commit yet (ENGINE T1).
    """
    number = round.memory.next_plan
    round.memory.next_plan += 1
    commit_id = commit_id or round.tx.new_id()
    job = _job(round, pipeline, commit_id, number)
    if job is None:
        return None
    job.forced.update(forced)
    if job.forced:
        # Its inputs do not say so: a restart must find it written.
        numbers = msgspec.json.encode(sorted(job.forced)).decode()
        round.rows.run("keep_forced", name=forced_name(job.num), value=numbers)
    plan(round, commit_id, {pipeline.output: job.commit})
    return job


def forced_name(job: int) -> str:
    """Under which name it is kept what a job was asked to run again."""
    return f"forced:{job}"


def free_id(round: Round, pipeline: Pipeline, commit_id: str) -> str:
    """A commit's own global id, so that `flush` waits for what follows; a new one where the
    pipeline, or one below it, has had a commit of that id."""
    reached = {pipeline.output}
    for other in round.memory.order:
        if other is pipeline or any(leaf.branch in reached for leaf in other.leaves):
            reached.add(other.output)
    for repo, name in reached:
        if round.rows.one("commit_of_branch_with_id", id=commit_id, repo=repo, branch=name):
            return round.tx.new_id()
    return commit_id


def plan_move(round: Round, branch: Branch, num: int) -> None:
    """Make the jobs that follow when a branch is moved to a commit (ENGINE T6).

    They carry the commit's own global id, so that `flush` waits for them too, or a new one where
    a pipeline below has had that id already.
    """
    commit = round.commits.get(round.rows, num)
    commit_id: str = commit.id
    for pipeline in round.memory.order:
        if any(leaf.branch == branch for leaf in pipeline.leaves):
            repo, name = pipeline.output
            if round.rows.one("commit_of_branch_with_id", id=commit_id, repo=repo, branch=name):
                commit_id = round.tx.new_id()
                break
    round.moved.add(branch)
    plan(round, commit_id, {branch: num})


def replay(round: Round, pipeline: Pipeline, along: Branch, history: Iterable[int]) -> None:
    """Make a job for each of these commits of an input branch, with the newest of others (T4)."""
    for num in history:
        commit = round.commits.get(round.rows, num)
        number = round.memory.next_plan
        round.memory.next_plan += 1
        _job(round, pipeline, commit.id, number, {along: num})


def _job(
    round: Round,
    pipeline: Pipeline,
    commit_id: str,
    number: int,
    at: Mapping[Branch, int] = MappingProxyType({}),
) -> Job | None:
    if pipeline.spec.standing:
        return None
    inputs = []
    for leaf in pipeline.leaves:
        num = at.get(leaf.branch, round.memory.planned.get(leaf.branch))
        if num is None:
            return None
        inputs.append(num)
    memory = round.memory
    commit = round.rows.insert(
        "add_planned_commit",
        id=commit_id, repo=pipeline.repo, branch=pipeline.branch,
        parent=memory.planned.get(pipeline.output), started=round.now,
    )  # fmt: skip
    job = Job(
        num=memory.next_job, id=JobId(round.tx.new_id()), pipeline=pipeline,
        version=pipeline.version, commit=commit, commit_id=commit_id, inputs=tuple(inputs),
        created=round.now, plan=number,
    )  # fmt: skip
    memory.next_job += 1
    memory.unfinished.add(commit)
    memory.planned[pipeline.output] = commit
    pipeline.jobs.append(job)
    round.dirty_job(job)
    round.touch(pipeline)
    return job
