"""A round's middle: what follows from what has come in.

Pipelines are looked at in the order of their data flow, so that one pass carries a commit as far
as it goes without a worker.
"""

from __future__ import annotations

from itertools import islice

from vedette.scheduling import expansion, finishing, leasing
from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Base, Job, Pipeline

RUN_AHEAD = 300
"""Jobs of one pipeline whose datums may run before the oldest has ended."""


def advance(round: Round) -> None:
    """Expand and end the jobs of every pipeline that something happened to."""
    for pipeline in round.memory.order:
        if pipeline.name in round.touched:
            _expand(round, pipeline)
            while _finish(round, pipeline):
                _expand(round, pipeline)
            round.touched.discard(pipeline.name)


def _expand(round: Round, pipeline: Pipeline) -> None:
    """Expand, in order, the jobs that are not yet, those after a large one too."""
    if pipeline.state == "PAUSED":
        return
    before: Job | None = None
    for position, job in enumerate(list(islice(pipeline.jobs, RUN_AHEAD))):
        if not job.expanded:
            if job.expansion is None and not _ready(round, pipeline, job, position):
                return
            base = pipeline.good if before is None else _as_base(before)
            if not expansion.expand(round, job, base):
                return
            if pipeline.state == "CRASHING":
                leasing.retry_now(round, pipeline)
        before = job


def _ready(round: Round, pipeline: Pipeline, job: Job, position: int) -> bool:
    """Whether a job's inputs are there; the oldest of all ends here if they never will be."""
    ready, fault = _inputs(round, job)
    if fault and position == 0:
        finishing.fail(round, job, "UNRUNNABLE", fault)
        _expand(round, pipeline)
    return ready


def _as_base(job: Job) -> Base:
    return Base(job.num, job.version, job.inputs, job.total)


def _inputs(round: Round, job: Job) -> tuple[bool, str]:
    """Whether all inputs are finished, or why the job can never run (ENGINE T7)."""
    unfinished = round.memory.unfinished
    if any(num in unfinished for num in job.inputs):
        return False, ""
    for leaf, num in zip(job.pipeline.leaves, job.inputs, strict=True):
        commit = round.commits.get(round.rows, num)
        if commit.state == "started":
            return False, ""
        if commit.state == "errored":
            return False, f"input {leaf.repo}@{commit.id} failed: {commit.error}"
    return True, ""


def _finish(round: Round, pipeline: Pipeline) -> bool:
    """End complete jobs in order; whether one failed, so that others must be expanded again."""
    while pipeline.behind or (pipeline.jobs and _complete(pipeline.jobs[0])):
        if pipeline.behind:
            if not finishing.go_on_behind(round, pipeline):
                break
            continue
        job = pipeline.jobs[0]
        if expansion.run_again(round, job):
            return False
        if not finishing.finish(round, job):
            break
        if job.state not in ("SUCCESS", "EGRESSING"):
            return True
    else:
        return False
    round.again.add(pipeline.name)
    return False


def _complete(job: Job) -> bool:
    return job.expanded and job.pending == 0
