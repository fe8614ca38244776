"""Datums that are ready to run."""

from __future__ import annotations

from heapq import heappush

from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Datum, Memory, Pipeline


def push(memory: Memory, datum: Datum) -> None:
    """Offer a queued datum to the workers of its pipeline's pool."""
    pool = datum.pipeline.pool
    if pool is not None:
        heappush(memory.ready.setdefault(pool.key, []), (datum.order, datum.num))


def push_all(memory: Memory, pipeline: Pipeline) -> None:
    """Offer all queued datums of a pipeline, after it got a pool."""
    for datum in memory.datums.values():
        if datum.pipeline is pipeline and datum.state == "queued":
            push(memory, datum)


def drop(round: Round, datum: Datum) -> None:
    """Nobody needs this datum any more. Its record stays, to be taken up again."""
    round.memory.datums.pop(datum.num, None)
    round.memory.by_key.pop(datum.key, None)
    datum.state = "dropped"
    round.dirty_datum(datum)
