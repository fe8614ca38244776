"""Serve all stage processes of one pool from one thread.

The thread sleeps until a process has said something, the server has, or a time has come. It never
waits for the server: tasks, refused leases and results pass as futures.
"""

from __future__ import annotations

import selectors
import threading
import time
from collections.abc import Callable

import structlog

from vedette.model.runtime import stage_words
from vedette.model.work import Code, Pool, Source, Task
from vedette.worker.mailbox import Mailbox
from vedette.worker.python_worker import PythonWorker
from vedette.worker.settings import Settings

_log = structlog.get_logger()
_TICK = 1.0


class PythonAgent:
    """As many warm stage processes of one pool as are wanted."""

    def __init__(
        self, pool: Pool, source: Source, codes: Callable[[str], Code], settings: Settings
    ) -> None:
        self._pool = pool
        self._source = source
        self._find_code = codes
        self._settings = settings
        self._codes: dict[str, Code | str] = {}
        self._lock = threading.Lock()
        self._wanted = 0
        self._thread: threading.Thread | None = None
        self._mailbox = Mailbox()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._mailbox.descriptor, selectors.EVENT_READ)
        self._workers: list[PythonWorker] = []
        self._stopping = False
        self._next_beat = 0.0

    def want(self, count: int) -> None:
        """Have `count` workers live; surplus ones go when they have been idle for a while."""
        with self._lock:
            self._wanted = min(count, self._pool.slots)
            if self._thread is None and self._wanted and not self._stopping:
                name = f"vedette-{self._pool.key}"
                self._thread = threading.Thread(target=self._guard, name=name, daemon=True)
                self._thread.start()
        self._mailbox.post(lambda: None)

    def live(self) -> int:
        """How many workers there are."""
        return len(self._workers)

    def stop(self) -> None:
        """Give back what waits, let what runs end within the grace period, and end."""
        with self._lock:
            self._stopping = True
            thread = self._thread
        self._mailbox.post(lambda: None)
        if thread is not None:
            thread.join()
        self._selector.close()
        self._mailbox.close()

    def _guard(self) -> None:
        try:
            self._run()
        except Exception as error:  # noqa: BLE001 - an agent's fault must free its leases
            _log.exception("agent failed", pool=self._pool.key)
            reason = f"the agent failed: {type(error).__name__}: {error}"
            for worker in self._workers:
                worker.give_up(reason)
            self._workers.clear()
            with self._lock:
                self._thread = None  # the next wish starts it anew

    def _run(self) -> None:
        deadline: float | None = None
        while True:
            if self._stopping and deadline is None:
                deadline = time.monotonic() + self._settings.grace
                for worker in self._workers:
                    worker.drain()
            self._adjust(deadline)
            with self._lock:
                if not self._workers and (self._stopping or not self._wanted):
                    self._thread = None
                    return
            timeout = min((worker.next_event() for worker in self._workers), default=_TICK)
            for key, _ in self._selector.select(max(0.0, min(timeout, _TICK))):
                if key.data is None:
                    self._mailbox.work_off()
                else:
                    key.data.on_readable()
            self._beat()
            for worker in list(self._workers):
                worker.step()

    def _adjust(self, deadline: float | None) -> None:
        """Start workers that are wanted, end those that are not."""
        while len(self._workers) < self._wanted and not self._stopping:
            worker = PythonWorker(
                self._pool, self._source, self._settings, self._mailbox, self._selector,
                self._code,
            )  # fmt: skip
            self._workers.append(worker)
        now = time.monotonic()
        for worker in list(self._workers):
            surplus = len(self._workers) > self._wanted
            idle = worker.idle_since is not None and now - worker.idle_since
            over = surplus and idle is not False and idle >= self._settings.idle
            if self._stopping:
                over = idle is not False or (deadline is not None and now >= deadline)
            if over:
                self._workers.remove(worker)
                worker.end("the server stops" if self._stopping else "idle")

    def _beat(self) -> None:
        now = time.monotonic()
        if now < self._next_beat:
            return
        self._next_beat = now + self._settings.heartbeat
        for worker in self._workers:
            worker.beat()

    def _code(self, task: Task) -> Code | str:
        """The pipeline version of a task, or why it cannot run here."""
        found = self._codes.get(task.code)
        if found is None:
            if len(self._codes) > 256:
                self._codes.clear()
            found = self._check(self._find_code(task.code))
            if isinstance(found, Code):
                self._codes[task.code] = found
        return found

    def _check(self, code: Code) -> Code | str:
        runtime = self._settings.runtime_of(code.spec)
        if isinstance(runtime, str):
            return runtime
        if stage_words(code.spec) is None:
            return f"pipeline {code.pipeline!r}: cmd names no Python stage"
        if any(secret.mount_path for secret in code.spec.transform.secrets):
            return (
                f"pipeline {code.pipeline!r}: a Python stage gets secrets by variable: "
                "use env_var and key instead of mount_path"
            )
        return code
