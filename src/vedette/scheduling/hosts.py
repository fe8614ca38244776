"""Pipelines that only other hosts can run: whether one does (ENGINE C3).

Workers go by themselves when there is nothing to do, so a pipeline without work says nothing about
hosts; one that has work and no worker for a while has no host. Where the server runs nothing itself
that holds for all pipelines together.
"""

from __future__ import annotations

from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Pipeline

ALONE = 5_000_000
"""Microseconds for which a host may take to start a worker before it is said that there is none."""


def look(round: Round, pipeline: Pipeline, *, new: bool = False) -> int | None:
    """Show whether anybody runs a pipeline; when to look again, or None.

    `new`: it is not known yet to be served. What a host said about a crash stays.
    """
    if pipeline.state in ("PAUSED", "FAILURE"):
        return None
    if _served(round, pipeline):
        pipeline.alone = 0
        if new or (pipeline.state, pipeline.reason) == ("CRASHING", pipeline.problem):
            round.set_state(pipeline, "RUNNING")
        return None
    if new:
        round.set_state(pipeline, "CRASHING", pipeline.problem)
    if not pipeline.jobs or pipeline.reason == pipeline.problem:
        pipeline.alone = 0
        return None
    pipeline.alone = pipeline.alone or round.now
    if round.now < pipeline.alone + ALONE:
        return pipeline.alone + ALONE
    round.set_state(pipeline, "CRASHING", pipeline.problem)
    return None


def _served(round: Round, pipeline: Pipeline) -> bool:
    if not pipeline.elsewhere:  # any host will do that works for us at all
        return bool(round.memory.workers)
    return pipeline.pool is not None and any(
        worker.pool == pipeline.pool.key and (worker.only is None or pipeline.name in worker.only)
        for worker in round.memory.workers.values()
    )
