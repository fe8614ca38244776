"""Run one datum of a command stage in a private root (ENGINE R1 to R7)."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from vedette.model.errors import NoSpace, Unavailable, VedetteError
from vedette.model.runtime import Runtime
from vedette.model.work import Code, LogEntry, Result, Source, Task
from vedette.stage.output import LineLimit
from vedette.worker import command_env, staging
from vedette.worker.gather import BadOutput, Gathered, gather
from vedette.worker.keeper import BROKEN
from vedette.worker.lazy_inputs import Fetching
from vedette.worker.lines import Lines
from vedette.worker.private import CannotRun, private_layout
from vedette.worker.slot import Slot, SlotLost

SPARED = 3
"""How often a root that dies before a datum has begun is made anew, without a try being used."""


class Abandoned(Exception):  # noqa: N818 - the lease went to somebody else
    """The datum is no longer ours."""


class Ran(Struct, frozen=True):
    """How one command ended, and why that is no success."""

    ok: bool
    why: str = ""


class CommandSlot:
    """A private root for one pipeline version, and the folder behind its `/pfs`."""

    def __init__(
        self, source: Source, code: Code, runtime: Runtime, folder: Path, hidden: Sequence[str]
    ) -> None:
        self.code = code
        self._source = source
        self._runtime = runtime
        self._folder = folder
        self._hidden = hidden
        self._pfs = folder / "pfs"
        self._pfs.mkdir(parents=True, exist_ok=True)
        self._slot: Slot | None = None
        self._lines: Lines | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self._cpu = 0.0
        self._killed = 0
        self._env = command_env.for_code(runtime, code)

    def abandon(self) -> None:
        """Stop at once what runs; safe from any thread."""
        os.write(self._wake_write, b"x")

    def begin_anew(self) -> None:
        """Whatever was to be stopped has ended: what runs next is not meant."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def close(self) -> None:
        """End every process and remove the folder."""
        self._drop()
        os.close(self._wake_read)
        os.close(self._wake_write)
        staging.remove(self._folder)

    def run(self, task: Task, following: Task | None = None) -> Result:
        """Run the datum, with all its tries. Raises `Abandoned`.

        `following` is what will be run next, if that is known: some of it may be done ahead.
        """
        started = time.perf_counter()
        self._cpu = 0.0
        logs: list[LogEntry] = []
        tries, state, reason, download = 0, "failed", "", 0
        found = Gathered((), 0, ())
        try:
            while tries < max(1, self.code.spec.datum_tries):
                limit = LineLimit(task.attempt + tries)
                tries += 1
                try:
                    ran, got = self._try(task, limit)
                    download += got
                    if ran.ok:
                        found, state = self._gather(task), "success"
                        for remark in found.remarks:
                            limit.add("system", remark)
                        break
                    reason = ran.why
                except BadOutput as error:
                    reason = str(error)
                except SlotLost:
                    self._drop()
                    reason = "the process that keeps /pfs was killed"
                finally:
                    logs += limit.entries
                limit.add("system", reason)
                logs.append(limit.entries[-1])
            if state == "failed" and self._recovers(task, tries, logs):
                state = "recovered"
        except CannotRun as error:
            state, reason = "crash", str(error)
        except (NoSpace, Unavailable, OSError) as error:
            state, reason = "lost", f"this worker could not move the datum's files: {error}"
            if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
                # So it would be anywhere: a repo's names may be longer than a file system's.
                state, reason = "failed", _long_name(error)
        except VedetteError as error:
            state, reason = "failed", error.message
        return Result(
            datum=task.datum, lease=task.lease, state=state, outputs=found.outputs,  # type: ignore[arg-type]
            logs=tuple(logs), reason="" if state == "success" else reason, tries=max(1, tries),
            seconds=time.perf_counter() - started, cpu_seconds=self._cpu,
            download=download, upload=found.upload,
        )  # fmt: skip

    def _try(self, task: Task, limit: LineLimit) -> tuple[Ran, int]:
        """Lay out the inputs and run the command once; also the bytes that came in."""
        return self._once(task, self.code.spec.transform.cmd, limit)

    def _gather(self, task: Task) -> Gathered:
        return gather(task, self._pfs, self._source, self._ask)

    def _once(
        self, task: Task, cmd: Sequence[str], limit: LineLimit, *, error: bool = False
    ) -> tuple[Ran, int]:
        with Fetching(self._source) as fetching:
            manner = staging.manner(self.code.spec)
            # After a command that ended by itself nothing lives that could still write there.
            reuse = self._slot is not None
            download = staging.lay_out(task, self._pfs, self._source, manner, fetching, reuse=reuse)
            if fetching.remark:
                limit.add("system", fetching.remark)
            fetching.start()
            ran = self._command(task, cmd, limit, error=error)
        if fetching.fault is not None:
            raise fetching.fault
        return ran, download + fetching.fetched

    def _recovers(self, task: Task, tries: int, logs: list[LogEntry]) -> bool:
        transform = self.code.spec.transform
        if not transform.err_cmd:
            return False
        limit = LineLimit(task.attempt + tries - 1)
        try:
            ran, _ = self._once(task, transform.err_cmd, limit, error=True)
        except SlotLost:
            ran = Ran(False)
        logs += limit.entries
        return ran.ok

    def _words(
        self, task: Task, cmd: Sequence[str], limit: LineLimit, error: bool
    ) -> tuple[list[str], dict[str, str], bytes | None]:
        """Arguments, environment and standard input of a command."""
        transform = self.code.spec.transform
        argv, remark = command_env.words(cmd)
        if remark:
            limit.add("system", remark)
        stdin = command_env.standard_input(transform.err_stdin if error else transform.stdin)
        return argv, command_env.for_task(self._env, task), stdin

    def _command(
        self, task: Task, cmd: Sequence[str], limit: LineLimit, *, error: bool = False
    ) -> Ran:
        argv, env, stdin = self._words(task, cmd, limit, error)
        slot = self._begun(("run", argv, env, stdin), limit)
        if not self._wait(slot, limit, self._deadline()):
            return self._late()
        try:
            word, code, _, cpu, remarks = slot.receive()
        except SlotLost:
            return self._died(slot, limit)
        self._take(limit)
        self._cpu += cpu
        for text in remarks:
            limit.add("system", text)
        if word == "cannot":
            raise CannotRun(str(code))
        return self._judged(int(code), slot, limit, error=error)

    def _begun(self, request: tuple[Any, ...], limit: LineLimit) -> Slot:
        """Have a command started in a root that lives, be it a new one. Raises `CannotRun`.

        A root that was killed while it had nothing to do costs no try: only what dies after it
        said that it begins does (ENGINE C2).
        """
        for _ in range(SPARED):
            slot = self._ready()
            self._killed = slot.group.killed()
            try:
                slot.send((*request, slot.group.address_space))
                slot.receive()
            except SlotLost:
                self._refused(slot, limit)
                self._drop()
                continue
            return slot
        raise SlotLost

    def _refused(self, slot: Slot, limit: LineLimit) -> None:
        """Tell a host that allows no private root from a root that was killed."""
        if slot.exit_code() != BROKEN:
            return
        self._take(limit)
        said = [entry.text for entry in limit.entries if entry.stream == "stderr"]
        raise CannotRun(" ".join(said) or "no private /pfs can be made on this host")

    def _judged(self, code: int, slot: Slot, limit: LineLimit, *, error: bool = False) -> Ran:
        """Whether an exit code is a success, and what the kernel did meanwhile."""
        hungry = slot.group.killed() > self._killed
        if code == 0 or (not error and code in self.code.spec.transform.accept_return_code):
            if hungry:
                limit.add("system", f"a process was killed: {self._memory_text()}")
            return Ran(True)
        why = _exit_text(code)
        if hungry:
            return Ran(False, f"{self._memory_text()}; {why}")
        if slot.group.address_space:
            why += f" (it could have at most {slot.group.address_space:,} bytes of memory)"
        return Ran(False, why)

    def _memory_text(self) -> str:
        limit = self.code.spec.limits.memory
        return f"out of memory: more than resource_limits.memory of {limit:,} bytes"

    def _died(self, slot: Slot, limit: LineLimit) -> Ran:
        """The root went, with all that ran in it, during the datum."""
        self._refused(slot, limit)
        hungry = slot.group.killed() > self._killed
        self._take(limit)
        self._drop()
        if hungry:
            return Ran(False, self._memory_text())
        return Ran(False, "killed with all its processes: out of memory, or killed from outside")

    def _late(self) -> Ran:
        self._drop()
        return Ran(False, f"datum_timeout of {self.code.spec.datum_timeout:g} s passed: killed")

    def _deadline(self) -> float | None:
        """When the time of a datum that begins now is up."""
        timeout = self.code.spec.datum_timeout
        return time.monotonic() + timeout if timeout else None

    def _wait(self, slot: Slot, limit: LineLimit, deadline: float | None) -> bool:
        """Take in the command's lines until it says something; False when its time is up."""
        waiting = select.poll()
        assert self._lines is not None, "a slot has its lines"
        for descriptor in (slot.socket.fileno(), self._wake_read, *self._lines.descriptors):
            waiting.register(descriptor, select.POLLIN)
        while True:
            left = None if deadline is None else max(0.0, (deadline - time.monotonic()) * 1000)
            ready = dict(waiting.poll(left))
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
                self._drop()
                raise Abandoned
            self._take(limit, partial=False)
            if slot.socket.fileno() in ready:
                return True
            if deadline is not None and time.monotonic() >= deadline:
                self._take(limit)
                return False

    def _take(self, limit: LineLimit, *, partial: bool = True) -> None:
        if self._lines is not None:
            self._lines.take(limit, partial=partial)

    def _ask(self, message: Any) -> Any:
        return self._ready().ask(message)

    def _ready(self) -> Slot:
        if self._slot is None:
            self._lines = Lines()
            try:
                layout = private_layout(
                    self.code, self._runtime, self._folder, self._pfs, self._hidden
                )
                self._slot = Slot(layout, *self._lines.write_ends, limits=self.code.spec.limits)
            except (CannotRun, OSError) as error:
                self._drop()
                raise CannotRun.because(error) from None
            self._lines.passed_on()
        return self._slot

    def _drop(self) -> None:
        if self._slot is not None:
            self._slot.close()
            self._slot = None
        if self._lines is not None:
            self._lines.close()
            self._lines = None


def _long_name(error: OSError) -> str:
    longest = max(os.fsdecode(error.filename or "").split("/"), key=len)
    return (
        f"an input has a name that no file may have, of {len(os.fsencode(longest))} bytes "
        f"({longest[:40]}...): rename it, or read it in Python"
    )


def _exit_text(code: int) -> str:
    if code < 0:
        return f"the command was killed by signal {-code}"
    return f"the command ended with exit code {code}"
