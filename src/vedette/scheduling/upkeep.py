"""Keeps house behind the scheduler: a thread that collects garbage in small steps (ENGINE K3).

Every step is a short transaction in the scheduler's rounds, so uploads and jobs wait for none of
it; bytes are moved and removed between them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TypeVar

import structlog

from vedette.model.errors import Unavailable, VedetteError
from vedette.model.keeping import Collected
from vedette.scheduling import history
from vedette.scheduling.history import Keep
from vedette.scheduling.loop import Loop
from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Memory
from vedette.versioning import collect, idempotency, quota, retention, squash
from vedette.versioning.collect import Policy, Taken
from vedette.versioning.transaction import Transaction

T = TypeVar("T")
GRACE = 60.0
"""Seconds that garbage is kept. More than three leases, which are 10 s each (ENGINE C2, K3)."""
PERIOD = 15.0
"""Seconds between two looks."""
RESULTS_PERIOD = 3_600_000_000
"""Microseconds between two looks for old results."""
BUSY_LIMIT = 200_000
"""Waiting datums above which collecting waits until there are fewer."""

_log = structlog.get_logger("vedette.upkeep")


class Upkeep:
    """Collects garbage every now and then. `clock` gives microseconds since 1970 UTC.

    `deleting` is entered while bytes go; it gives False when none may, for a backup is made.
    `look` is called before.
    """

    def __init__(
        self,
        loop: Loop,
        clock: Callable[[], int],
        policy: Policy,
        period: float = PERIOD,
        keep: Keep | None = None,
        deleting: Callable[[], AbstractContextManager[bool]] = lambda: nullcontext(True),
        look: Callable[[], object] = lambda: None,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._policy = policy
        self._period = period
        self._keep = keep or Keep()
        self._deleting = deleting
        self._look = look
        self._next_results = 0
        self._stopping = threading.Event()
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin to look every `period` seconds."""
        self._thread.start()

    def stop(self) -> None:
        """End after the step under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def collect(self, full: bool = False) -> Collected:
        """Let go of what is due now. `full`: first look at every object there is, not only at
        those that were dropped somewhere."""
        with self._turn, self._deleting() as free:
            if not free:
                return Collected(busy=True)
            if full:
                self._look_at_everything()
            objects = size = 0
            before = self.young()
            collect.look_at_landed(self._loop.store, self._loop.objects, self._write)
            self._forget()
            while not self._stopping.is_set():
                taken = self._page(before)
                if taken is None:
                    return Collected(objects=objects, size=size, busy=True)
                objects, size = objects + taken.objects, size + taken.size
                if not taken.looked:
                    break
            packs = self._packs()
            with self._loop.store.read() as rows:
                (suspects,) = rows.one("garbage_count") or (0,)
            return Collected(objects=objects, size=size, packs=packs, suspects=suspects)

    def young(self) -> int:
        """What changed since then (microseconds) may still be on its way to be named."""
        return self._clock() - self._policy.grace

    def _forget(self) -> None:
        """Delete for good what repos keep no longer, and old jobs and results, in small steps."""
        with self._loop.store.read() as rows:
            due = retention.due(rows, self._clock())
        for repo, reason in due:
            tombstone = self._write(partial(retention.entomb, reason=reason))
            while not self._stopping.is_set():
                if not self._write(partial(retention.expire, repo=repo, tombstone=tombstone)):
                    break
        for drop in (history.drop_deleted, squash.drop_dead):
            while not self._stopping.is_set() and self._write(drop):
                pass
        with self._loop.store.read() as rows:
            counted = quota.stale(rows)
        if counted:
            self._write(partial(quota.counted, found=counted))
        self._forget_calls()
        while not self._stopping.is_set():
            if not self._write(partial(history.forget_jobs, keep=self._keep)):
                break
        if self._clock() < self._next_results:
            return
        self._next_results = self._clock() + RESULTS_PERIOD
        after: int | None = 0
        while after is not None and not self._stopping.is_set():
            after = self._write(partial(history.forget_results, keep=self._keep, after=after))

    def _forget_calls(self) -> None:
        while not self._stopping.is_set():
            with self._loop.store.read() as rows:
                if not idempotency.due(rows, self._clock()):
                    break
            self._write(idempotency.forget)

    def delete(self, repo: str, path: str, reason: str) -> int:
        """Delete all versions of the files at or below a path for good; how many there were."""
        tombstone = self._write(partial(retention.entomb, reason=reason))
        count = 0
        while gone := self._write(
            partial(retention.delete, repo=repo, path=path, tombstone=tombstone)
        ):
            count += gone
        return count

    def _run(self) -> None:
        while not self._stopping.wait(self._period):
            try:
                self._look()
                self.collect()
            except Unavailable as error:
                if not self._stopping.is_set():
                    _log.warning("upkeep waits", reason=error.message)
            except VedetteError as error:
                _log.warning("upkeep broke off", reason=error.message)
            except Exception:  # noqa: BLE001 - the thread outlives any fault of one run
                _log.exception("upkeep broke off")

    def _write(self, work: Callable[[Transaction], T]) -> T:
        return self._loop.submit(work).result()

    def _page(self, before: int) -> Taken | None:
        """Take a page of what is suspected since before a time.

        None while jobs have more in their hands than can be looked through.
        """
        pinned, _ = collect.pins()

        def work(round: Round) -> Taken | None:
            busy = in_hands(round.memory)
            return None if busy is None else collect.take(round.tx, before, busy)

        taken = self._loop.enter(work).result()
        if taken is not None and taken.files:
            gone, stayed = collect.remove_files(self._loop.objects, taken, pinned, before)
            self._write(lambda tx: collect.settle(tx, gone, stayed))
        return taken

    def _packs(self) -> int:
        """Empty packs that are worth it, and remove those that were emptied long enough ago."""
        now = self._clock()
        with self._loop.store.read() as rows:
            found = collect.packs(rows)
            worth = [p for p in found if collect.worth_emptying(rows, p, self._policy, now)]
        if worth:
            self._loop.objects.seal()
        for pack in worth:
            self._empty(pack.number)
        _, pinned = collect.pins()
        gone = self._write(lambda tx: collect.removable(tx, self._policy, pinned)) if found else []
        for number in gone:
            self._loop.objects.remove_pack(number)
            self._write(lambda tx, number=number: tx.rows.run("pack_drop", number=number))  # type: ignore[misc]
        return len(gone)

    def _empty(self, number: int) -> None:
        try:
            collect.empty(
                self._loop.store, self._loop.objects, number, self._write, self._stopping.is_set
            )
        except VedetteError as error:
            _log.warning("a pack stays", pack=number, reason=error.message)
            self._write(lambda tx: tx.rows.run("pack_postpone", number=number, now=tx.now))

    def _look_at_everything(self) -> None:
        collect.suspect_all(self._loop.store, self._write)
        now = self._clock()
        for held in self._loop.objects.held():
            if held.changed > now - self._policy.grace:
                continue
            if held.pack is not None:
                self._count(held.pack, held.size)
            elif held.id is not None:
                with self._loop.store.read() as rows:
                    known = rows.one("object_where", id=held.id)
                if known is None:
                    self._write(lambda tx, name=held.id: tx.suspect([(name,)]))  # type: ignore[misc]

    def _count(self, pack: int, size: int) -> None:
        with self._loop.store.read() as rows:
            _, alive = rows.one("pack_live_size", pack=pack) or (0, 0)
        if size > alive:
            self._write(
                lambda tx: tx.rows.run("pack_waste", number=pack, dead=size - alive, now=tx.now)
            )


def in_hands(memory: Memory) -> set[bytes] | None:
    """The objects that unfinished jobs read or have made; None if there are too many to tell."""
    jobs = [job for pipeline in memory.order for job in pipeline.jobs]
    if any(job.spilled for job in jobs) or len(memory.datums) > BUSY_LIMIT:
        return None
    found = {
        output[1] for job in jobs for effect in job.effects.values() for output in effect.outputs
    }
    for datum in memory.datums.values():
        found.update(match.object for match in datum.matches if match.object is not None)
    return found
