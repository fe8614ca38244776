"""How many workers each pool should have, here and on other hosts (DESIGN 3.6)."""

from __future__ import annotations

from msgspec import Struct

from vedette.decide.scale import wanted
from vedette.model.work import Pool
from vedette.scheduling.readiness import waiting
from vedette.scheduling.running import Memory, Pipeline


class Demand(Struct, frozen=True, kw_only=True):
    """The work of one pool: datums `queued` and `running`, and workers `alive` by their host.

    The host of workers in the server's own process is "". `here` says whether they can do it.
    Of the pipelines that are `served` only what never changes may be read: it is another thread's.
    """

    pool: Pool
    here: bool
    queued: int
    running: int
    alive: dict[str, int]
    served: tuple[Pipeline, ...]

    def on_this_host(self) -> int:
        """How many workers the server's own process should have."""
        alive = sum(self.alive.values())
        return wanted(self.pool.slots, self.queued, self.running, alive)

    def on_host(self, session: str, slots: int) -> int:
        """How many workers a host of so many slots should have.

        A command's pool has as many workers as the spec says on all hosts together.
        """
        own = self.alive.get(session, 0)
        if self.pool.kind == "command":
            slots = min(slots, max(0, self.pool.slots - sum(self.alive.values()) + own))
        return wanted(slots, self.queued, self.running, own)


def demand(memory: Memory) -> dict[str, Demand]:
    """The demand of every pool, by its key."""
    running: dict[str, int] = {}
    alive: dict[str, dict[str, int]] = {}
    for worker in memory.workers.values():
        running[worker.pool] = running.get(worker.pool, 0) + len(worker.leases)
        hosts = alive.setdefault(worker.pool, {})
        hosts[worker.host] = hosts.get(worker.host, 0) + 1
    pools: dict[str, list[Pipeline]] = {}
    facts: dict[str, tuple[Pool, bool]] = {}
    for pipeline in memory.order:
        if pipeline.pool is not None:
            key = pipeline.pool.key
            facts[key] = (pipeline.pool, not pipeline.elsewhere)
            pools.setdefault(key, []).append(pipeline)
    return {
        key: Demand(
            pool=pool, here=here, queued=waiting(memory, key), running=running.get(key, 0),
            alive=alive.get(key, {}), served=tuple(pools[key]),
        )
        for key, (pool, here) in facts.items()
    }  # fmt: skip
