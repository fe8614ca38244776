"""Keep one service or spout running: a long-lived command in a private root (ENGINE R10).

It is started again when it ends, each time later, up to half a minute; and at once when its inputs
have changed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import structlog

from vedette.decide.retry import backoff
from vedette.model.errors import VedetteError
from vedette.model.runtime import Runtime
from vedette.model.work import Code, Emitted, LogEntry, Task
from vedette.stage.output import LineLimit, microseconds
from vedette.worker import command_env, port_relay, staging
from vedette.worker.keeper import BROKEN
from vedette.worker.lazy_inputs import Fetching
from vedette.worker.lines import Lines
from vedette.worker.port_relay import Relay
from vedette.worker.private import CannotRun, private_layout
from vedette.worker.slot import Slot, SlotLost
from vedette.worker.spout_output import Emitting, Store

LONGEST_DELAY = 30.0
STEADY = 60.0
"""Seconds after which a command that ends is one that worked."""

GRACE = 5.0
"""Seconds between asking a service to end and killing it."""

_FLUSH = 0.2
_MINUTE = 60.0
_log = structlog.get_logger("vedette.standing")


class Post(Protocol):
    """What a standing command's keeper needs of the server. Any thread may call."""

    def task(self) -> Task:
        """The newest inputs. Raises VedetteError, LookupError with what is waited for."""

    def read(self, object_id: bytes) -> bytes:
        """An object's bytes."""

    def fetch(self, object_id: bytes, size: int, descriptor: int) -> None:
        """Write an object's bytes to an open file."""

    @property
    def store(self) -> Store:
        """Keeps the bytes of a file that was emitted."""

    def emit(self, files: list[Emitted]) -> None:
        """Commit what a spout emitted; returns when it is durable. Raises VedetteError."""

    def marker(self) -> bytes | None:
        """The bytes of the marker that a spout emitted last."""

    def say(self, state: str, reason: str) -> None:
        """Show how the pipeline is."""

    def log(self, entries: Sequence[LogEntry]) -> None:
        """Keep lines of its log."""


class _Log:
    """The lines of one start, which are passed on a few at a time; a minute has its own limit."""

    def __init__(self, post: Post, limit: LineLimit) -> None:
        self.limit = limit
        self._post = post
        self._sent = 0
        self._since = time.monotonic()

    @property
    def waits(self) -> bool:
        """Whether there are lines that were not passed on."""
        return self._sent < len(self.limit.entries)

    def pass_on(self) -> None:
        """Hand in what is new."""
        self._post.log(self.limit.entries[self._sent :])
        self._sent = len(self.limit.entries)

    def turn(self) -> None:
        """Begin a new limit when a minute has passed; what a flood holds is passed on in parts."""
        late = time.monotonic() - self._since > _MINUTE
        if late or len(self.limit.entries) - self._sent > 1000:
            self.pass_on()
        if late:
            self._since, self._sent = time.monotonic(), 0
            self.limit = LineLimit(self.limit.attempt)


class Standing:
    """One service or spout on this host, run by a thread from `start` to `stop`."""

    def __init__(
        self, code: Code, runtime: Runtime | str, folder: Path, hidden: Sequence[str], post: Post
    ) -> None:
        self.code = code
        self._runtime = runtime
        self._folder = folder
        self._pfs = folder / "pfs"
        self._hidden = hidden
        self._post = post
        self._starts = 0
        self._stopping = threading.Event()
        self._changed = threading.Event()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)
        self._thread = threading.Thread(
            target=self._run, name=f"vedette-{code.pipeline}", daemon=True
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def refresh(self) -> None:
        """The inputs have changed: start again with the newest."""
        self._changed.set()
        self._wake()

    def ask_to_stop(self) -> None:
        """End the command soon; `stop` waits for it."""
        self._stopping.set()
        self._wake()

    def stop(self) -> None:
        """End the command, and wait until it has."""
        self.ask_to_stop()
        self._thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"x")

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            self._changed.clear()
            try:
                reason = self._once()
            except Exception as error:  # noqa: BLE001 - one pipeline's fault must not end its keeper
                reason = error.message if isinstance(error, VedetteError) else str(error)
                reason = reason or type(error).__name__
                if not isinstance(error, VedetteError | OSError | CannotRun | LookupError):
                    _log.exception("standing pipeline failed", pipeline=self.code.pipeline)
            finally:
                staging.remove(self._folder)
            if self._stopping.is_set() or not reason:
                continue
            if time.monotonic() - began > STEADY:
                failures = 0
            failures += 1
            self._post.say("CRASHING", reason)
            self._post.log([LogEntry(microseconds(), self._starts, "system", reason)])
            self._pause(backoff(failures, longest=LONGEST_DELAY))

    def _pause(self, seconds: float) -> None:
        """Wait; a change of the inputs, which may mend what was wrong, ends it."""
        until = time.monotonic() + seconds
        while not (self._stopping.is_set() or self._changed.is_set()):
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._wake_read], [], [], left)[0]:
                return
            self._woken()

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def _once(self) -> str:
        """Run the command once; why it ended, "" when it was us who ended it."""
        if isinstance(self._runtime, str):
            raise CannotRun(self._runtime)
        task = self._post.task()
        self._pfs.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            fetching = stack.enter_context(Fetching(self._post))
            manner = staging.manner(self.code.spec)
            staging.lay_out(task, self._pfs, self._post, manner, fetching)
            fetching.start()
            limit = LineLimit(self._starts + 1)
            emitting = self._emitter(limit)
            if emitting is not None:
                emitting.start()
                stack.callback(emitting.finish)
            service = self.code.spec.service
            listener = None
            if service is not None:
                listener = port_relay.listen(service.ip, service.external_port)
                stack.callback(listener.close)
            return self._attended(stack, task, listener, self._runtime)

    def _emitter(self, limit: LineLimit) -> Emitting | None:
        spout = self.code.spec.spout
        if spout is None:
            return None
        out = self._pfs / "out"
        staging.remove(out)
        os.mkfifo(out, 0o600)
        if spout.marker:
            found = self._post.marker()
            if found is not None:
                (self._pfs / spout.marker).write_bytes(found)

        def remark(text: str) -> None:
            self._post.log([LogEntry(microseconds(), limit.attempt, "system", text)])

        return Emitting(out, self._folder, self._post.store, self._post.emit, remark)

    def _attended(
        self, stack: contextlib.ExitStack, task: Task, listener: socket.socket | None,
        runtime: Runtime,
    ) -> str:  # fmt: skip
        lines = Lines()
        stack.callback(lines.close)
        layout = private_layout(self.code, runtime, self._folder, self._pfs, self._hidden)
        slot = Slot(
            layout, *lines.write_ends, limits=self.code.spec.limits, connected=listener is not None
        )
        stack.callback(slot.close)
        lines.passed_on()
        self._starts += 1
        limit = LineLimit(self._starts)
        argv, remark = command_env.words(self.code.spec.transform.cmd)
        if remark:
            limit.add("system", remark)
        stdin = command_env.standard_input(self.code.spec.transform.stdin)
        env = command_env.for_task(command_env.for_code(runtime, self.code), task)
        request = ("attend", argv, env, stdin, slot.connector_inside, slot.group.address_space)
        try:
            slot.send(request)
            said = slot.receive()
        except SlotLost:
            lines.take(limit)
            return self._broken(slot, limit)
        if said[0] == "cannot":
            raise CannotRun(str(said[1]))
        if listener is not None and slot.connector is not None:
            assert self.code.spec.service is not None
            passing = Relay(listener, slot.connector, self.code.spec.service.internal_port)
            passing.start()
            stack.callback(passing.stop)
        self._post.say("RUNNING", "")
        return self._watch(slot, lines, limit)

    def _broken(self, slot: Slot, limit: LineLimit) -> str:
        said = " ".join(entry.text for entry in limit.entries if entry.stream == "stderr")
        if slot.exit_code() == BROKEN:
            raise CannotRun(said or "no private /pfs can be made on this host")
        return "the process that keeps /pfs was killed"

    def _watch(self, slot: Slot, lines: Lines, limit: LineLimit) -> str:
        """Keep its log until it ends, or is to end."""
        waiting = select.poll()
        for descriptor in (slot.socket.fileno(), self._wake_read, *lines.descriptors):
            waiting.register(descriptor, select.POLLIN)
        log = _Log(self._post, limit)
        asked_at = 0.0
        while True:
            rest = _FLUSH * 1000 if log.waits else self._rest(asked_at)
            ready = dict(waiting.poll(rest))
            lines.take(log.limit, partial=False)
            if self._wake_read in ready:
                self._woken()
            if slot.socket.fileno() in ready:
                lines.take(log.limit)
                log.pass_on()
                return self._end(slot, asked=bool(asked_at))
            if not ready:
                log.pass_on()
            log.turn()
            if not (self._stopping.is_set() or self._changed.is_set()):
                continue
            if not asked_at:
                asked_at = time.monotonic()
                with contextlib.suppress(SlotLost):
                    slot.send(("signal", int(signal.SIGTERM)))
            elif time.monotonic() - asked_at > GRACE:
                log.pass_on()
                return ""

    def _rest(self, asked_at: float) -> float | None:
        """Milliseconds until something must be done though nothing is heard."""
        if not asked_at:
            return _MINUTE * 1000
        return max(0.0, GRACE - (time.monotonic() - asked_at)) * 1000 + 1

    def _end(self, slot: Slot, *, asked: bool) -> str:
        try:
            _, code, _, _, _ = slot.receive()
        except SlotLost:
            return "" if asked else "killed with all its processes"
        if asked:
            return ""
        what = "spout" if self.code.spec.spout is not None else "service"
        if slot.group.killed():
            return f"the {what} took more than resource_limits.memory"
        if int(code) < 0:
            return f"the {what} was killed by signal {-int(code)}"
        return f"the {what} ended with exit code {code}"
