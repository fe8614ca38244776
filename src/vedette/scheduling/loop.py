"""The scheduler's loop: rounds, one transaction each, in one thread.

While one transaction is made durable, what arrives gathers into the next; there is no timer
(DESIGN 3.12). A round takes in operations and reports, plans, expands and ends jobs, leases work,
and commits. Only then are callers answered, workers handed their tasks and listeners told.

An operation runs in a savepoint of its own, so that a faulty one is refused alone. A fault in what
follows undoes the whole round: the memory is made anew from rows and the round's operations are
run in halves, until the one at fault is alone and is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import structlog

from vedette.launchers.launcher import Launcher
from vedette.metadata.store import MetadataStore, Rows
from vedette.model.errors import NotFound, Unavailable, VedetteError
from vedette.model.events import Event
from vedette.model.work import Code, Pool, Task
from vedette.objects.store import ObjectStore
from vedette.scheduling import changes, clocks, leasing, planning, progress, recovery, tasks, ticks
from vedette.scheduling.demand import Demand, demand
from vedette.scheduling.inbox import Claim, Inbox, Operation, settle, stopped
from vedette.scheduling.intents import Intent, SchedulingTransaction
from vedette.scheduling.readiness import for_worker
from vedette.scheduling.recovery import Runtimes
from vedette.scheduling.rounds import CommitCache, Round, flush
from vedette.scheduling.running import Memory, Worker
from vedette.scheduling.source import LocalSource
from vedette.versioning import drafts
from vedette.versioning.transaction import Transaction

T = TypeVar("T")
BUDGET = 1000
"""Datums that one round looks at, so that a large job does not keep others waiting."""

_log = structlog.get_logger("vedette.scheduling")


class Loop:
    """Runs rounds. `clock` gives microseconds since 1970 UTC, `new_id` 32 hex digits."""

    def __init__(
        self,
        store: MetadataStore,
        objects: ObjectStore,
        launcher: Launcher | None,
        runtimes: Runtimes,
        clock: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self.store = store
        self.objects = objects
        self.source = LocalSource(self)
        self.stored = 0  # bytes that objects have grown by since the start
        self._launcher = launcher
        self._runtimes = runtimes
        self._clock = clock
        self._new_id = new_id
        self._inbox = Inbox()
        self._wake = threading.Condition()
        self._stopping = False
        self._next: int | None = 0
        self._commits = CommitCache()
        self._memory = Memory()
        self._stale = False
        self._codes: dict[str, Code] = {}
        self._start_over: set[str] = set()
        self._tried: set[str] = set()
        self._demanded: dict[str, tuple[Pool, int]] = {}
        self._watchers: list[Callable[[dict[str, Demand]], None]] = []
        self._listeners: list[Callable[[list[Event]], None]] = []
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        """Read what is unfinished and begin, with workers if there is a launcher for them."""
        with self.store.write() as rows:
            rows.run("release_leases")
            rows.run("count_restarts")
        self._reload()
        # The first round may want workers at once: the launcher must know whom they speak to.
        if self._launcher is not None:
            self._launcher.start(self.source)
        self._thread.start()

    def stop(self) -> None:
        """End the workers, then the loop; what waits is answered Unavailable."""
        if self._launcher is not None and self._thread.ident is not None:
            self._launcher.stop()
        self.give_up()
        if self._thread.ident is not None:
            self._thread.join()
            self.give_up()  # of what is durable, the last round may have put something back

    def give_up(self) -> None:
        """End after the round under way; what waits is answered Unavailable. Does not wait."""
        with self._wake:
            self._stopping = True
            left, self._inbox = self._inbox, Inbox()
            self._wake.notify()
        left.refuse()

    def submit(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Do something in the next round; the future completes when it is durable."""
        return self.enter(lambda round: work(round.tx))

    def enter(self, work: Callable[[Round], T], durable: bool = False) -> Future[T]:
        """As `submit`, with the scheduler's own view of the round."""
        future: Future[T] = Future()
        with self._wake:
            if self._stopping:
                future.set_exception(stopped())
                return future
            self._inbox.operations.append(Operation(work, future, durable))
            self._wake.notify()
        return future

    def claim(self, worker: str, room: int) -> Future[list[Task]]:
        """Ask for tasks; a later claim of the same worker replaces this one, answered empty."""
        future: Future[list[Task]] = Future()
        with self._wake:
            before = self._inbox.claims.pop(worker, None)
            if self._stopping:
                future.set_result([])
            else:
                self._inbox.claims[worker] = Claim(room, future)
                self._tried.discard(worker)
                self._wake.notify()
        if before is not None:
            settle(before.future, [])
        return future

    def withdraw(self, worker: str, future: Future[list[Task]]) -> None:
        """Take back a claim: it is answered at once, empty unless it has been given tasks."""
        with self._wake:
            claim = self._inbox.claims.get(worker)
            if claim is None or claim.future is not future:
                return
            del self._inbox.claims[worker]
        settle(future, [])

    def beat(self, worker: str) -> list[int] | None:
        """A worker says that it lives: its leases, None if it is not known.

        Kept in memory only: a restart ends all leases anyway.
        """
        known = self._memory.workers.get(worker)
        if known is None:
            return None
        known.seen = self._clock()
        return list(known.leases.values())

    def revoked(self, worker: str) -> list[int]:
        """Leases of a worker of this process whose datums nobody needs any more."""
        known = self._memory.workers.get(worker)
        return [] if known is None else known.revoked

    def watch_demand(self, callback: Callable[[dict[str, Demand]], None]) -> None:
        """Call back after each round with the demand for workers, in the loop's thread."""
        self._watchers.append(callback)

    def code(self, key: str) -> Code:
        """The pipeline version that a task names."""
        found = self._codes.get(key)
        if found is None:
            raise NotFound(f"no pipeline version is called {key!r}")
        return found

    def workers(self) -> list[Worker]:
        """All workers as they are now; from any thread."""
        return list(self._memory.workers.values())

    def listen(self, callback: Callable[[list[Event]], None]) -> Callable[[], None]:
        """Call back after each round that brought events, in the loop's thread."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._stopping and not self._something():
                    self._wake.wait(self._patience())
                if self._stopping:
                    return
                operations = list(self._inbox.operations)
                self._inbox.operations.clear()
            self._carry(operations)

    def _something(self) -> bool:
        due = self._next is not None and self._next <= self._clock()
        return bool(self._inbox.operations) or due or self._fresh_claims()

    def _fresh_claims(self) -> bool:
        """A worker asks that was not considered yet, and there may be something for it."""
        memory = self._memory
        return any(
            name in memory.workers and for_worker(memory, memory.workers[name])
            for name in self._inbox.claims.keys() - self._tried
        )

    def _patience(self) -> float | None:
        if self._next is None:
            return None
        return max(0.0, (self._next - self._clock()) / 1e6)

    def _carry(self, operations: list[Operation[Any]]) -> None:
        """Run one round; after a fault run its operations in halves."""
        try:
            self._round(operations)
        except Exception as error:  # noqa: BLE001 - the loop outlives any fault of one round
            self._failed(operations, error)

    def _failed(self, operations: list[Operation[Any]], error: Exception) -> None:
        _log.warning("round undone", operations=len(operations), error=str(error))
        self._stale = True
        try:
            self._reload()
        except Exception as second:  # noqa: BLE001 - a disk that fails may come back
            _log.error("memory not rebuilt", error=str(second))
        # A store that is away is not the fault of one of them: halves would wait for it again.
        if len(operations) > 1 and not isinstance(error, Unavailable):
            middle = len(operations) // 2
            self._carry(operations[:middle])
            self._carry(operations[middle:])
            return
        for operation in operations:
            if not operation.durable:
                settle(operation.future, None, error)
        again = [operation for operation in operations if operation.durable]
        if again or not operations:
            if not isinstance(error, VedetteError):  # what was foreseen is told by the line above
                _log.error("round failed", exc_info=error)
            with self._wake:
                self._inbox.operations.extendleft(reversed(again))
                self._wake.wait(0.0 if self._stopping else 1.0)
            self._next = self._clock() + 1_000_000

    def _reload(self) -> None:
        if self._stopping:
            raise stopped()
        self._commits.clear()
        try:
            drafts.undo_all(self.store)
        except VedetteError as error:  # they are undone when their pipelines' next jobs end
            _log.warning("unfinished commits not undone", error=str(error))
        with self.store.read() as rows:
            self._memory = recovery.load(rows, self._runtimes, self._clock(), self._memory)
            self._learn(rows)
        self._stale = False
        for pipeline in self._memory.order:
            self._start_over.add(pipeline.name)

    def _learn(self, rows: Rows) -> None:
        for pipeline in self._memory.order:
            if pipeline.pool is not None and pipeline.code_key not in self._codes:
                self._codes[pipeline.code_key] = tasks.code_of(rows, pipeline)

    def _round(self, operations: list[Operation[Any]]) -> None:
        if self._stale:  # what was undone is still in memory: the store did not answer
            self._reload()
        with self.store.write() as rows:
            tx = SchedulingTransaction(rows, self.objects, self._clock(), self._new_id)
            round = Round(tx, self._memory, self._commits, budget=BUDGET)
            round.touched |= self._start_over
            self._start_over = set()
            for operation in operations:
                self._perform(round, tx, operation)
            self._schedule(round, tx)
            self.objects.sync()
        self.stored += tx.stored
        self._answer(round, operations)

    def _perform(self, round: Round, tx: SchedulingTransaction, operation: Operation[Any]) -> None:
        marks = len(tx.finished), len(tx.intents), tx.stored
        operation.error = None
        if operation.durable:
            # Its fault would undo the round, so it needs no savepoint of its own.
            operation.result = operation.work(round)
            return
        try:
            with tx.rows.savepoint():
                operation.result = operation.work(round)
        except Exception as error:  # noqa: BLE001 - its caller is told; others go on
            del tx.finished[marks[0] :], tx.intents[marks[1] :]
            tx.stored = marks[2]
            operation.error = error
            return
        for intent in tx.intents[marks[1] :]:
            self._intend(round, intent)

    def _intend(self, round: Round, intent: Intent) -> None:
        changes.carry_out(round, intent, self._runtimes)
        self._learn(round.rows)

    def _schedule(self, round: Round, tx: SchedulingTransaction) -> None:
        clocks.tick(round)
        planning.plan_roots(round, tx.finished)
        _announce(round, tx)
        leasing.lapse(round)
        progress.advance(round)
        self._next = ticks.due(round)
        progress.advance(round)
        with self._wake:
            asking = {name: claim.room for name, claim in self._inbox.claims.items()}
        leasing.assign(round, asking)
        self._tried = set(asking) - round.leased.keys()
        if round.again:
            self._next = round.now
            self._start_over = round.again
        flush(round)

    def _answer(self, round: Round, operations: list[Operation[Any]]) -> None:
        with self._wake:
            claims = [
                (name, self._inbox.claims.pop(name, None), found)
                for name, found in round.leased.items()
            ]
        for name, claim, found in claims:
            if claim is None or not settle(claim.future, found):
                self._give_back(name, found)  # who asked has given up meanwhile
        for operation in operations:
            settle(operation.future, operation.result, operation.error)
        self._ask_for_workers(demand(round.memory))
        if round.events:
            for listener in list(self._listeners):
                listener(round.events)

    def _give_back(self, worker: str, tasks: list[Task]) -> None:
        leases = {task.lease for task in tasks}
        self.enter(lambda round: leasing.give_back(round, worker, leases), durable=True)

    def _ask_for_workers(self, demanded: dict[str, Demand]) -> None:
        for watcher in self._watchers:
            watcher(demanded)
        if self._launcher is None:
            return
        here = {
            key: (each.pool, each.on_this_host()) for key, each in demanded.items() if each.here
        }
        if here != self._demanded:
            self._demanded = here
            self._launcher.wanted(here)


def _announce(round: Round, tx: SchedulingTransaction) -> None:
    for commit in tx.finished:
        if commit.root:
            round.events.append(
                Event(kind="commit", repo=commit.name, branch=commit.branch, id=commit.id,
                      number=commit.num)
            )  # fmt: skip
