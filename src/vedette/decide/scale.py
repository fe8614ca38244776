"""How many workers a pool should have (DESIGN 3.6)."""

from __future__ import annotations


def wanted(slots: int, queued: int, running: int, workers: int) -> int:
    """The number of workers to have, given datums `queued` and `running` and `workers` alive.

    One for each datum, never more than `slots`. While there is any work the present ones stay,
    for starting one costs more than keeping it; without work none is needed (each goes by itself
    after its idle time, so that the next picture still finds it warm).
    """
    work = max(queued, 0) + max(running, 0)
    if work == 0 or slots <= 0:
        return 0
    return min(slots, max(work, workers))
