"""News for an agent's thread from other threads, with a descriptor that wakes it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class Mailbox:
    """A queue of calls to make in the agent's thread."""

    def __init__(self) -> None:
        self.descriptor, self._write = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._write, False)
        self._calls: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._closed = False

    def post(self, call: Callable[[], None]) -> None:
        """Have `call` made in the agent's thread; safe from any thread, and after `close`."""
        with self._lock:
            self._calls.append(call)
            if len(self._calls) == 1 and not self._closed:
                # a full pipe means that the thread is about to wake
                with contextlib.suppress(BlockingIOError):
                    os.write(self._write, b"x")

    def when_done(self, future: Future[T], call: Callable[[T], None]) -> None:
        """Have `call` made with the future's value; a future that failed has no news."""

        def pass_on(done: Future[T]) -> None:
            if not done.cancelled() and done.exception() is None:
                self.post(lambda: call(done.result()))

        future.add_done_callback(pass_on)

    def work_off(self) -> None:
        """Make the calls that have come."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.descriptor, 4096)
        with self._lock:
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    def close(self) -> None:
        """Give the descriptors back; later news is dropped."""
        with self._lock:
            self._closed = True
            os.close(self.descriptor)
            os.close(self._write)
