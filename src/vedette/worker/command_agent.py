"""Run the datums of one command pipeline: a thread and a private root for each slot."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable

import structlog

from vedette.model.errors import VedetteError
from vedette.model.work import Code, Pool, Result, Source, Task
from vedette.worker.batch_slot import BatchSlot
from vedette.worker.command_slot import Abandoned, CommandSlot
from vedette.worker.results import given_back
from vedette.worker.settings import Settings, worker_folder, worker_name

_log = structlog.get_logger()
_ROOM = 4


class CommandAgent:
    """As many workers for one pipeline as are wanted."""

    def __init__(
        self, pool: Pool, source: Source, codes: Callable[[str], Code], settings: Settings
    ) -> None:
        self._pool = pool
        self._source = source
        self._codes = codes
        self._settings = settings
        self._lock = threading.Lock()
        self._wanted = 0
        self._workers: list[_Worker] = []
        self._stopping = threading.Event()
        self._beating: threading.Thread | None = None

    def want(self, count: int) -> None:
        """Have `count` workers live; surplus ones go when they have been idle for a while."""
        with self._lock:
            if self._stopping.is_set():
                return
            self._wanted = min(count, self._pool.slots)
            while len(self._workers) < self._wanted:
                worker = _Worker(
                    self._pool, self._source, self._codes, self._settings, self._retire
                )
                self._workers.append(worker)
                worker.thread.start()
            if self._workers and self._beating is None:
                self._beating = threading.Thread(
                    target=self._beat, name=f"vedette-beat-{self._pool.key}", daemon=True
                )
                self._beating.start()

    def live(self) -> int:
        """How many workers there are."""
        return len(self._workers)

    def stop(self) -> None:
        """Let what runs end within the grace period, give back the rest, and end."""
        with self._lock:
            self._stopping.set()
            workers, beating = list(self._workers), self._beating
        for worker in workers:
            worker.finish()
        deadline = time.monotonic() + self._settings.grace
        for worker in workers:
            worker.thread.join(max(0.0, deadline - time.monotonic()))
            if worker.thread.is_alive():
                worker.abandon(None)
                worker.thread.join()
        if beating is not None:
            beating.join()

    def _retire(self, worker: _Worker, *, idle: bool) -> bool:
        """Whether the worker, which has been idle or must end, is now off the list."""
        with self._lock:
            if idle and len(self._workers) <= self._wanted:
                return False
            self._workers.remove(worker)
            return True

    def _beat(self) -> None:
        while not self._stopping.wait(self._settings.heartbeat):
            with self._lock:
                workers = list(self._workers)
                if not workers:
                    self._beating = None
                    return
            for worker in workers:
                worker.beat()


class _Worker:
    """One thread that claims, runs and reports, one datum at a time."""

    def __init__(
        self, pool: Pool, source: Source, codes: Callable[[str], Code], settings: Settings,
        retire: Callable[..., bool],
    ) -> None:  # fmt: skip
        self.name = worker_name(pool.key)
        self.thread = threading.Thread(target=self._run, name=f"vedette-{self.name}", daemon=True)
        self._pool = pool
        self._source = source
        self._codes = codes
        self._settings = settings
        self._retire = retire
        self._news: queue.SimpleQueue[list[Task] | None] = queue.SimpleQueue()
        self._finishing = False
        self._lock = threading.Lock()
        self._slot: CommandSlot | None = None
        self._running: Task | None = None

    def finish(self) -> None:
        """End after the datum that runs."""
        self._finishing = True
        self._news.put(None)

    def beat(self) -> None:
        """Tell the server that the worker lives; abandon what it has given to others."""

        def abandon(leases: list[int]) -> None:
            for lease in leases:
                self.abandon(lease)

        future = self._source.heartbeat(self.name)
        future.add_done_callback(
            lambda done: None if done.cancelled() or done.exception() else abandon(done.result())
        )

    def abandon(self, lease: int | None) -> None:
        """Stop at once what runs under this lease; None stands for any."""
        with self._lock:
            task, slot = self._running, self._slot
            if task is not None and slot is not None and lease in (None, task.lease):
                slot.abandon()

    def _run(self) -> None:
        reason = "idle"
        try:
            self._source.register(self.name, self._pool.key)
            self._work()
        except Exception as error:  # noqa: BLE001 - a worker's fault must free its leases
            reason = f"the worker failed: {type(error).__name__}: {error}"
            _log.exception("worker failed", worker=self.name)
        finally:
            with contextlib.suppress(ValueError):
                self._retire(self, idle=False)
            with self._lock:
                slot, self._slot = self._slot, None
            if slot is not None:
                slot.close()
            self._source.release(self.name, "the server stops" if self._finishing else reason)

    def _work(self) -> None:
        self._claim()
        tasks: deque[Task] = deque()
        while True:
            self._fetch(tasks)
            if not tasks:
                break
            task = tasks.popleft()
            result = self._one(task, tasks[0] if tasks and not self._finishing else None)
            self._report([] if result is None else [result])
        self._give_back()

    def _fetch(self, tasks: deque[Task]) -> None:
        """See to it that there is a task, be it by waiting, and one more if it has come already."""
        while len(tasks) < 2 and not self._finishing:
            try:
                news = self._news.get_nowait() if tasks else self._wait()
            except queue.Empty:
                return
            if not news:
                if tasks:
                    self._news.put(news)  # it is the end once these are done
                return
            tasks += news
            # What comes next is asked for while these run, so that the slot never waits for it.
            self._claim()

    def _claim(self) -> None:
        future = self._source.claim(self.name, _ROOM)
        future.add_done_callback(
            lambda done: self._news.put([] if done.exception() else done.result())
        )

    def _give_back(self) -> None:
        """Tasks that came too late to be begun."""
        while True:
            try:
                tasks = self._news.get_nowait()
            except queue.Empty:
                return
            self._report([given_back(task, "lost", "the worker ends") for task in tasks or []])

    def _wait(self) -> list[Task] | None:
        while True:
            try:
                return self._news.get(timeout=self._settings.idle)
            except queue.Empty:
                if self._retire(self, idle=True):
                    return None

    def _one(self, task: Task, following: Task | None) -> Result | None:
        if self._finishing:
            return given_back(task, "lost", "the server stops")
        code = self._codes(task.code)
        runtime = self._settings.runtime_of(code.spec)
        if isinstance(runtime, str):
            return given_back(task, "crash", runtime)
        with self._lock:
            old = self._slot
            if old is not None and old.code.key != code.key:
                old.close()
                self._slot = old = None
            if old is None:
                folder = worker_folder(self._settings, self.name)
                kind = BatchSlot if code.spec.transform.datum_batching else CommandSlot
                self._slot = kind(self._source, code, runtime, folder, self._settings.hidden)
            slot, self._running = self._slot, task
            assert slot is not None
            slot.begin_anew()
        try:
            return slot.run(task, following)
        except Abandoned:
            return given_back(task, "lost", "the server stops") if self._finishing else None
        finally:
            with self._lock:
                self._running = None

    def _report(self, results: list[Result]) -> None:
        if not results:
            return
        try:
            self._source.report(self.name, results)
        except VedetteError as error:  # the leases lapse, and the datums run again
            _log.warning("results not taken", worker=self.name, error=error.message)
