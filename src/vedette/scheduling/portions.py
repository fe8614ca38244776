"""How much of a job a worker may hold at once: `datum_set_spec`, `chunk_spec`."""

from __future__ import annotations

from vedette.scheduling.running import Datum, Memory, Worker


def full(memory: Memory, hand: Worker, datum: Datum) -> bool:
    """Whether a worker holds all that its pipeline's spec lets it hold; not when it is none."""
    bound = datum.pipeline.spec.datum_set
    if bound is None:
        return False
    held = [memory.datums[num] for num in hand.leases if num in memory.datums]
    held = [other for other in held if other.pipeline is datum.pipeline]
    if not held:
        return False
    if bound.number and len(held) >= bound.number:
        return True
    if bound.size_bytes and _bytes(datum) + sum(map(_bytes, held)) > bound.size_bytes:
        return True
    if not bound.per_worker:
        return False
    slots = datum.pipeline.pool.slots if datum.pipeline.pool is not None else 1
    total = max((job.total for job in datum.jobs), default=1)
    return len(held) >= -(-total // (slots * bound.per_worker))


def _bytes(datum: Datum) -> int:
    return sum(match.size for match in datum.matches)
