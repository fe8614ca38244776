"""One worker of a Python pool: claims datums for a stage process and sees them through."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count

import structlog

from vedette.model.errors import VedetteError
from vedette.model.work import Code, Pool, Result, Source, Task
from vedette.stage import frames
from vedette.stage.frames import Done
from vedette.worker import results
from vedette.worker.mailbox import Mailbox
from vedette.worker.pace import Pace
from vedette.worker.settings import Settings, worker_folder, worker_name
from vedette.worker.slot import SlotLost
from vedette.worker.stage_process import Held, StageProcess

_log = structlog.get_logger()
_numbers = count(1)
_FOREVER = 3600.0
_ABANDON_AFTER = 1.0
_RESPAWN_SECONDS = 1.0
SPARED = 3
"""How often a process may die before it has begun a datum, without a try being used."""


class PythonWorker:
    """A name known to the server, and the stage process of the moment behind it.

    The process may die and be replaced; the worker, its leases and the tries it has counted stay.
    """

    def __init__(
        self, pool: Pool, source: Source, settings: Settings, mailbox: Mailbox,
        selector: selectors.BaseSelector, code_of: Callable[[Task], Code | str],
    ) -> None:  # fmt: skip
        self.name = worker_name(pool.key)
        self.idle_since: float | None = time.monotonic()
        self._source = source
        self._settings = settings
        self._mailbox = mailbox
        self._selector = selector
        self._code_of = code_of
        self._process: StageProcess | None = None
        self._pace = Pace()
        self._claim: Future[list[Task]] | None = None
        self._results: list[Result] = []
        self._again: list[Held] = []
        self._suspect = False
        self._draining = False
        self._ended = False
        self._not_before = 0.0
        self._watching_writes = False
        source.register(self.name, pool.key)

    # what the agent's loop calls

    def on_readable(self) -> None:
        """The process's socket has something to say, or takes more."""
        process = self._process
        if process is None:
            return
        process.flush()
        messages = process.receive()
        if messages is None:
            self._bury(process)
            return
        for message in messages:
            if isinstance(message, Done):
                self._done(process, message)
            elif isinstance(message, frames.Fetch):
                process.answer(message.object, self._source.read)
            elif isinstance(message, frames.Begun):
                process.begun = message.number
            else:
                process.ready = True
                process.head_since = time.monotonic()

    def step(self) -> None:
        """Kill what is over time, start what must run again, hand in results, ask for work."""
        self._check_time()
        if self._again and not self._draining and time.monotonic() >= self._not_before:
            again, self._again = self._again, []
            for held in again:
                self._give(held)
        if self._results:
            handed, self._results = self._results, []
            self._report(handed)
        self._ask()
        process = self._process
        if process is not None and process.wants_to_write != self._watching_writes:
            self._watch(process, writes=process.wants_to_write)
        busy = bool(self._again or (process is not None and process.held))
        self.idle_since = None if busy else (self.idle_since or time.monotonic())

    def next_event(self) -> float:
        """Seconds until `step` must be called though nothing is said."""
        process = self._process
        if self._again:
            return max(0.0, self._not_before - time.monotonic())
        timeout = self._timeout()
        if process is None or timeout is None:
            return _FOREVER
        return max(0.0, process.head_since + timeout - time.monotonic())

    def beat(self) -> None:
        """Tell the server that the worker lives, and keep the process's output in bounds."""
        self._mailbox.when_done(self._source.heartbeat(self.name), self._abandon)
        if self._process is not None:
            self._process.trim()

    def drain(self) -> None:
        """Take no more work, and give back what has not begun."""
        self._draining = True
        process = self._process
        waiting = [held.task for held in self._again]
        self._again = []
        if process is not None:
            for number in list(process.held)[1:]:
                process.cancel(number)
                waiting.append(process.held.pop(number).task)
        self._results += [results.given_back(t, "lost", "the server stops") for t in waiting]
        self.step()

    def end(self, reason: str) -> None:
        """Kill the process and free all leases."""
        self._ended = True
        process = self._process
        if process is not None:
            lost = [held.task for held in process.held.values() if not held.dropped]
            self._results += [results.given_back(task, "lost", reason) for task in lost]
            self._forget(process)
        if self._results:
            self._report(self._results)
        self._source.release(self.name, reason)

    def give_up(self, reason: str) -> None:
        """As `end`, when nothing can be relied upon any more."""
        self._ended = True
        for act in (self._drop_process, lambda: self._source.release(self.name, reason)):
            try:
                act()
            except Exception:  # noqa: BLE001 - the fault that led here is logged already
                _log.warning("worker not ended cleanly", worker=self.name)

    def _drop_process(self) -> None:
        if self._process is not None:
            self._forget(self._process)

    # claiming

    def _ask(self) -> None:
        if self._claim is not None or self._draining or self._suspect or self._again:
            return
        process = self._process
        held = [] if process is None else [held.code.key for held in process.held.values()]
        room = self._pace.room(held)
        if room:
            self._claim = self._source.claim(self.name, room)
            self._mailbox.when_done(self._claim, self._claimed)

    def _claimed(self, tasks: list[Task]) -> None:
        self._claim = None
        if not tasks:
            self._draining = True  # the server stops
        for task in tasks:
            if self._draining or self._ended:
                self._results.append(results.given_back(task, "lost", "the server stops"))
                continue
            code = self._code_of(task)
            if isinstance(code, str):
                self._results.append(results.given_back(task, "crash", code))
            else:
                self._give(Held(task, code))
        if self._ended and self._results:
            self._report(self._results)
            self._results = []

    def _give(self, held: Held) -> None:
        try:
            if self._process is None:
                spec = held.code.spec
                runtime = self._settings.runtime_of(spec)
                if isinstance(runtime, str):
                    raise LookupError(runtime)
                folder = worker_folder(self._settings, self.name)
                self._process = StageProcess(folder, runtime, self._settings.hidden, spec)
                self._watch(self._process, writes=False, new=True)
            self._process.give(next(_numbers), held, self._source.read)
        except (OSError, LookupError, SlotLost) as error:
            said = error.args[0] if isinstance(error, LookupError) else error
            reason = f"no stage process can be started: {said}"
            self._results.append(results.given_back(held.task, "crash", reason))

    def _watch(self, process: StageProcess, *, writes: bool, new: bool = False) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writes else 0)
        self._watching_writes = writes
        if new:
            self._selector.register(process.socket, events, self)
        else:
            self._selector.modify(process.socket, events, self)

    # what became of datums

    def _done(self, process: StageProcess, done: Done) -> None:
        held = process.finished(done.number)
        process.begun = done.next
        if held is None or held.dropped:
            return
        self._suspect = False
        held.seconds += done.seconds
        held.cpu_seconds += done.cpu_seconds
        held.logs += done.logs
        self._pace.learn(held.code.key, done.seconds)
        if done.state == "success":
            self._results.append(results.success(held, done, self._source.put))
        elif done.state == "failed":
            self._failed(held, done.reason)
        else:
            self._results.append(results.given_back(held.task, done.state, done.reason))

    def _failed(self, held: Held, reason: str) -> None:
        if held.tries < held.code.spec.datum_tries and not self._draining:
            held.tries += 1
            self._again.append(held)
        else:
            self._results.append(results.failure(held, reason))

    def _bury(self, process: StageProcess, reason: str = "") -> None:
        """A process has ended: its running datum has used a try, the others go back."""
        if reason:
            process.kill()
        why, words, never_started = process.obituary()
        reason = reason or why
        begun = process.head is not None and process.head == process.begun
        waiting = list(process.held.values())
        self._forget(process)
        if never_started:
            self._not_before = time.monotonic() + _RESPAWN_SECONDS
            state = "crash"
        else:
            state = "lost"
            if waiting and not (head := waiting.pop(0)).dropped:
                self._died(head, words, reason, begun=begun)
        tasks = [held.task for held in waiting if not held.dropped]
        self._results += [results.given_back(task, state, reason) for task in tasks]
        _log.warning("stage process ended", worker=self.name, reason=reason)

    def _died(self, head: Held, words: list[str], reason: str, *, begun: bool) -> None:
        """The datum at the head of a process that died: only if it had begun is a try used (C2)."""
        if not begun and head.spared < SPARED and not self._draining:
            head.spared += 1
            self._again.append(head)
            return
        head.logs += results.last_lines(head, words, reason)
        self._suspect = True
        self._failed(head, reason)
        self._suspect = bool(self._again)

    def _forget(self, process: StageProcess) -> None:
        self._selector.unregister(process.socket)
        self._process = None
        process.close()

    def _timeout(self) -> float | None:
        process = self._process
        if process is None or not process.ready or process.head is None:
            return None
        return process.held[process.head].code.spec.datum_timeout

    def _check_time(self) -> None:
        process, timeout = self._process, self._timeout()
        if process is not None and timeout and time.monotonic() - process.head_since >= timeout:
            self._bury(process, f"datum_timeout of {timeout:g} s passed: killed")

    def _abandon(self, leases: list[int]) -> None:
        """Leases that the server has given to others: stop at once what runs under them."""
        gone = set(leases)
        self._again = [held for held in self._again if held.task.lease not in gone]
        process = self._process
        if process is None or not gone:
            return
        for number, held in list(process.held.items()):
            if held.task.lease not in gone:
                continue
            if number != process.head:
                process.cancel(number)
                del process.held[number]
                continue
            held.dropped = True
            if time.monotonic() - process.head_since > _ABANDON_AFTER:
                self._bury(process, "its lease has lapsed")
                return

    def _report(self, handed: list[Result]) -> None:
        try:
            self._source.report(self.name, handed)
        except VedetteError as error:  # the leases lapse, and the datums run again
            _log.warning("results not taken", worker=self.name, error=error.message)
