"""Workers as child processes of this one (the default, without a cluster)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from vedette.launchers.launcher import Agent, Codes
from vedette.model.errors import Unavailable
from vedette.model.work import Pool, Source

StartAgent = Callable[[Pool, Source, Codes], Agent]


class ProcessLauncher:
    """Keeps one agent a pool; an agent starts processes when they are wanted and ends idle ones.

    `start_agent` makes the agent of a pool: `vedette.worker.agents.agent_for` with its settings.
    `bound` says how many slots a pool has on this host.
    """

    def __init__(
        self, start_agent: StartAgent, bound: Callable[[Pool], Pool] = lambda pool: pool
    ) -> None:
        self._start_agent = start_agent
        self._bound = bound
        self._agents: dict[str, tuple[Pool, Agent]] = {}
        self._lock = threading.Lock()
        self._source: Source | None = None
        self._codes: Codes | None = None
        self._stopped = False

    def start(self, source: Source, codes: Codes | None = None) -> None:
        """Begin; workers will speak to `source`."""
        self._source = source
        self._codes = codes or source.code

    def wanted(self, counts: Mapping[str, tuple[Pool, int]]) -> None:
        """Have so many workers live for each pool; does not wait. Raises `Unavailable`."""
        source, codes = self._source, self._codes
        if source is None or codes is None:
            raise Unavailable("the launcher has not been started")
        retired: list[Agent] = []
        with self._lock:
            if self._stopped:
                return
            for key, (unbound, count) in counts.items():
                pool = self._bound(unbound)
                known = self._agents.get(key)
                if known is not None and known[0] != pool:
                    retired.append(known[1])
                    known = None
                if known is None:
                    if not count:
                        continue
                    known = self._agents[key] = (pool, self._start_agent(pool, source, codes))
                known[1].want(count)
        for agent in retired:  # its slots have changed: it ends by itself, beside the new one
            threading.Thread(target=agent.stop, name="vedette-retire", daemon=True).start()

    def live(self) -> dict[str, int]:
        """How many workers there are, by pool."""
        with self._lock:
            return {key: agent.live() for key, (_, agent) in self._agents.items()}

    def stop(self) -> None:
        """End all workers, giving back what they have not begun."""
        with self._lock:
            self._stopped = True
            agents = [agent for _, agent in self._agents.values()]
        threads = [threading.Thread(target=agent.stop, name="vedette-stop") for agent in agents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
