"""Datums that are ready to run."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappush

from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Datum, Heap, Memory, Pipeline, Worker


def push(memory: Memory, datum: Datum) -> None:
    """Offer a queued datum to the workers of its pipeline's pool."""
    pool = datum.pipeline.pool
    if pool is not None and datum.pipeline.state != "PAUSED":
        heaps = memory.ready.setdefault(pool.key, {}).setdefault(datum.pipeline.name, {})
        heappush(heaps.setdefault(datum.hint, []), (datum.order, datum.num))


def waiting(memory: Memory, pool: str) -> int:
    """About how many datums wait for a worker of this pool; 0 only if none does."""
    of_pool = memory.ready.get(pool, {})
    return sum(len(heap) for heaps in of_pool.values() for heap in heaps.values())


def for_worker(memory: Memory, hand: Worker) -> bool:
    """Whether there may be something for a worker."""
    return any(heap for heaps in _served(memory, hand) for heap in heaps.values())


def heaps_for(memory: Memory, hand: Worker) -> list[list[Heap]]:
    """Where a worker looks for work, in this order: what follows from what it made, what nobody
    has warm, what others have. Each with a heap for every pipeline; the oldest comes first."""
    own: list[Heap] = []
    nobody: list[Heap] = []
    others: list[Heap] = []
    for heaps in _served(memory, hand):
        for name in [n for n, heap in heaps.items() if not heap and n not in memory.workers]:
            del heaps[name]
        for name, heap in heaps.items():
            if heap:
                (own if name == hand.name else others if name else nobody).append(heap)
    return [own, nobody, others]


def _served(memory: Memory, hand: Worker) -> Iterator[dict[str, Heap]]:
    """The heaps of the pipelines that a worker serves."""
    of_pool = memory.ready.get(hand.pool, {})
    if hand.only is None:
        yield from of_pool.values()
        return
    for name in hand.only & of_pool.keys():
        yield of_pool[name]


def push_all(memory: Memory, pipeline: Pipeline) -> None:
    """Offer all queued datums of a pipeline, after it got a pool."""
    for datum in memory.datums.values():
        if datum.pipeline is pipeline and datum.state == "queued":
            push(memory, datum)


def withdraw(memory: Memory, pipeline: Pipeline) -> None:
    """Offer nothing of a pipeline any more; `push_all` does so again."""
    for heaps in memory.ready.values():
        heaps.pop(pipeline.name, None)


def drop(round: Round, datum: Datum) -> None:
    """Nobody needs this datum any more. Its record stays, to be taken up again."""
    round.memory.datums.pop(datum.num, None)
    round.memory.by_key.pop(datum.key, None)
    datum.state = "dropped"
    if not datum.fresh or datum.num in round.datums:
        round.dirty_datum(datum)
