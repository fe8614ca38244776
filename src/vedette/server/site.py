"""What handlers work on: the scheduler's rounds, the stores, and who listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, TypeVar

from msgspec import Struct

from vedette.metadata.store import MetadataStore, Rows
from vedette.model.errors import Invalid
from vedette.model.events import Event
from vedette.model.work import Code, Task
from vedette.objects.store import ObjectStore
from vedette.scheduling.demand import Demand
from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Worker
from vedette.scheduling.upkeep import Upkeep
from vedette.server.free_space import Space
from vedette.server.hosts import Hosts
from vedette.server.hub import Hub
from vedette.server.idempotency_note import noted
from vedette.server.keyring import Tokens
from vedette.server.plan_cache import PlanCache
from vedette.server.services import Supervisor
from vedette.versioning.transaction import Transaction

T = TypeVar("T")


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds on what callers may send, in bytes unless said."""

    file: int = 64 << 30
    stream: int = 64 << 30
    json: int = 16 << 20
    msgpack: int = 256 << 20
    writes: int = 1_000_000
    files: int = 1_000_000
    page: int = 10_000
    wait_seconds: float = 86_400.0


class Rounds(Protocol):
    """The scheduler as the server sees it."""

    store: MetadataStore
    objects: ObjectStore

    def submit(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Run in the next round; completes after the commit is durable."""

    def enter(self, work: Callable[[Round], T], durable: bool = False) -> Future[T]:
        """As `submit`, with the scheduler's own view of the round."""

    def claim(self, worker: str, room: int) -> Future[list[Task]]:
        """Ask for tasks for a worker on another host."""

    def withdraw(self, worker: str, future: Future[list[Task]]) -> None:
        """Have a claim answered at once."""

    def beat(self, worker: str) -> list[int] | None:
        """A worker lives: its leases, None if it is not known."""

    def workers(self) -> list[Worker]:
        """All workers as they are now."""

    def code(self, key: str) -> Code:
        """A pipeline version with its secrets. Raises NotFound."""

    def watch_demand(self, callback: Callable[[dict[str, Demand]], None]) -> None:
        """Be told after each round how many workers are wanted, in the scheduler's thread."""

    def listen(self, callback: Callable[[list[Event]], None]) -> Callable[[], None]:
        """Be told of each durable round, in the scheduler's thread; returns how to stop."""


class Site:
    """One server's parts, as handlers use them."""

    def __init__(
        self, rounds: Rounds, version: str, started: datetime, limits: Limits | None = None
    ) -> None:
        self.rounds = rounds
        self.store = rounds.store
        self.objects = rounds.objects
        self.version = version
        self.started = started
        self.limits = limits or Limits()
        self.hub = Hub(rounds.listen)
        self.services = Supervisor()
        self.upkeep: Upkeep | None = None
        self.space = Space()
        self.egress_roots: tuple[str, ...] = ()
        self.tokens = Tokens(rounds.store)
        self.hosts = Hosts()
        self.plans = PlanCache()
        rounds.watch_demand(self.hosts.watch)

    def read(self) -> AbstractContextManager[Rows]:
        """A snapshot of the metadata."""
        return self.store.read()

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in the scheduler's next round and wait until it is durable."""
        return await asyncio.wrap_future(self.rounds.submit(noted(work)))

    def page(self, limit: int) -> int:
        """How many rows an answer may have. Raises Invalid for a limit that cannot be."""
        if not 1 <= limit <= self.limits.page:
            raise Invalid(f"limit {limit}: use 1 to {self.limits.page}")
        return limit
