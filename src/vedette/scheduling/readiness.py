"""Datums that are ready to run."""

from __future__ import annotations

from heapq import heappush

from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Datum, Heap, Memory, Pipeline


def push(memory: Memory, datum: Datum) -> None:
    """Offer a queued datum to the workers of its pipeline's pool."""
    pool = datum.pipeline.pool
    if pool is not None:
        heaps = memory.ready.setdefault(pool.key, {})
        heappush(heaps.setdefault(datum.hint, []), (datum.order, datum.num))


def waiting(memory: Memory, pool: str) -> int:
    """About how many datums wait for a worker of this pool; 0 only if none does."""
    return sum(map(len, memory.ready.get(pool, {}).values()))


def heaps_for(memory: Memory, pool: str, worker: str) -> list[Heap]:
    """Where a worker looks for work, in this order: what follows from what it made, what nobody
    has warm, what others have (the oldest first)."""
    heaps = memory.ready.get(pool, {})
    for name in [name for name, heap in heaps.items() if not heap and name not in memory.workers]:
        del heaps[name]
    others = [h for name, h in heaps.items() if name not in ("", worker) and h]
    others.sort(key=lambda heap: heap[0])
    return [heaps.get(worker, []), heaps.get("", []), *others]


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
