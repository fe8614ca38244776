"""Run one datum of a command stage in a private root (ENGINE R1 to R7)."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from vedette.model.errors import NoSpace, Unavailable, VedetteError
from vedette.model.runtime import Runtime
from vedette.model.work import Code, LogEntry, Output, Result, Source, Task
from vedette.stage.output import LineLimit, decode
from vedette.worker import command_env, staging, view
from vedette.worker.gather import BadOutput, gather
from vedette.worker.keeper import BROKEN
from vedette.worker.slot import Slot, SlotLost


class Abandoned(Exception):  # noqa: N818 - the lease went to somebody else
    """The datum is no longer ours."""


class CannotRun(Exception):  # noqa: N818 - the pipeline is CRASHING with this text
    """The command could not even be started."""


class _Ran(Struct, frozen=True):
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
        self._pipes: list[int] = []
        self._wake_read, self._wake_write = os.pipe()
        self._partial: dict[int, bytes] = {}
        self._cpu = 0.0

    def abandon(self) -> None:
        """Stop at once what runs; safe from any thread."""
        os.write(self._wake_write, b"x")

    def close(self) -> None:
        """End every process and remove the folder."""
        self._drop()
        os.close(self._wake_read)
        os.close(self._wake_write)
        staging.clear(self._pfs)
        self._pfs.rmdir()
        if self._folder.exists():
            self._folder.rmdir()

    def run(self, task: Task) -> Result:
        """Run the datum, with all its tries. Raises `Abandoned`."""
        started = time.perf_counter()
        self._cpu = 0.0
        logs: list[LogEntry] = []
        tries, state, reason, download = 0, "failed", "", 0
        outputs: tuple[Output, ...] = ()
        upload = 0
        try:
            while tries < max(1, self.code.spec.datum_tries):
                limit = LineLimit(task.attempt + tries)
                tries += 1
                try:
                    download += staging.lay_out(task, self._pfs, self._source.read)
                    ran = self._command(task, self.code.spec.transform.cmd, limit)
                    if ran.ok:
                        found = gather(task, self._pfs, self._source.put, self._ask)
                        outputs, upload, state = found.outputs, found.upload, "success"
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
        except VedetteError as error:
            state, reason = "failed", error.message
        return Result(
            datum=task.datum, lease=task.lease, state=state, outputs=outputs,  # type: ignore[arg-type]
            logs=tuple(logs), reason="" if state == "success" else reason, tries=max(1, tries),
            seconds=time.perf_counter() - started, cpu_seconds=self._cpu,
            download=download, upload=upload,
        )  # fmt: skip

    def _recovers(self, task: Task, tries: int, logs: list[LogEntry]) -> bool:
        transform = self.code.spec.transform
        if not transform.err_cmd:
            return False
        limit = LineLimit(task.attempt + tries - 1)
        staging.lay_out(task, self._pfs, self._source.read)
        try:
            ran = self._command(task, transform.err_cmd, limit, error=True)
        except SlotLost:
            ran = _Ran(False)
        logs += limit.entries
        return ran.ok

    def _command(
        self, task: Task, cmd: Sequence[str], limit: LineLimit, *, error: bool = False
    ) -> _Ran:
        transform = self.code.spec.transform
        argv, remark = command_env.words(cmd)
        if remark:
            limit.add("system", remark)
        stdin = command_env.standard_input(transform.err_stdin if error else transform.stdin)
        env = command_env.for_task(self._runtime, self.code, task)
        fresh = self._slot is None
        slot = self._ready()
        try:
            slot.send(("run", argv, env, stdin))
        except SlotLost:
            if fresh:
                return self._died(slot, limit)
            # It was killed while it had nothing to do: that is no try of this datum.
            self._drop()
            return self._command(task, cmd, limit, error=error)
        if not self._wait(slot, limit):
            self._drop()
            return _Ran(
                False, f"datum_timeout of {self.code.spec.datum_timeout:g} s passed: killed"
            )
        try:
            word, code, _, cpu, remarks = slot.receive()
        except SlotLost:
            return self._died(slot, limit)
        self._drain(limit)
        self._cpu += cpu
        for text in remarks:
            limit.add("system", text)
        if word == "cannot":
            raise CannotRun(str(code))
        if code == 0 or (not error and code in transform.accept_return_code):
            return _Ran(True)
        return _Ran(False, _exit_text(int(code)))

    def _died(self, slot: Slot, limit: LineLimit) -> _Ran:
        code = slot.exit_code()
        self._drain(limit)
        self._drop()
        if code == BROKEN:
            said = [entry.text for entry in limit.entries if entry.stream == "stderr"]
            raise CannotRun(" ".join(said) or "no private /pfs can be made on this host")
        return _Ran(False, "killed with all its processes: out of memory, or killed from outside")

    def _wait(self, slot: Slot, limit: LineLimit) -> bool:
        """Take in the command's lines until it ends; False when its time is up."""
        timeout = self.code.spec.datum_timeout
        deadline = time.monotonic() + timeout if timeout else None
        waiting = select.poll()
        for descriptor in (slot.socket.fileno(), self._wake_read, *self._pipes):
            waiting.register(descriptor, select.POLLIN)
        while True:
            left = None if deadline is None else max(0.0, (deadline - time.monotonic()) * 1000)
            ready = dict(waiting.poll(left))
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
                self._drop()
                raise Abandoned
            self._drain(limit, partial=False)
            if slot.socket.fileno() in ready:
                return True
            if deadline is not None and time.monotonic() >= deadline:
                self._drain(limit)
                return False

    def _drain(self, limit: LineLimit, *, partial: bool = True) -> None:
        """Take in what the pipes hold; with `partial`, the last line though it has no end."""
        for name, pipe in zip(("stdout", "stderr"), self._pipes, strict=False):
            rest = self._partial.get(pipe, b"")
            while True:
                try:
                    data = os.read(pipe, 65536)
                except BlockingIOError:
                    break
                if not data:
                    break
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    limit.add(name, decode(line))
                if len(rest) > 65536:
                    limit.add(name, decode(rest))
                    rest = b""
            if partial and rest:
                limit.add(name, decode(rest))
                rest = b""
            self._partial[pipe] = rest

    def _ask(self, message: Any) -> Any:
        return self._ready().ask(message)

    def _ready(self) -> Slot:
        if self._slot is not None:
            return self._slot
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        self._pipes = [out_read, err_read]
        for pipe in self._pipes:
            os.set_blocking(pipe, False)
        try:
            layout = view.layout(
                self._runtime, base=str(self._folder / "root"), pfs=str(self._pfs),
                hidden=self._hidden, network=self.code.spec.network,
                working_dir=self.code.spec.transform.working_dir,
                secrets=command_env.secret_files(self.code),
            )  # fmt: skip
            self._slot = Slot(layout, out_write, err_write)
        except OSError as error:
            self._drop()
            where = f"{error.filename}: " if error.filename else ""
            reason = error.strerror or str(error)
            raise CannotRun(f"no worker can be started here: {where}{reason}") from None
        finally:
            os.close(out_write)
            os.close(err_write)
        return self._slot

    def _drop(self) -> None:
        if self._slot is not None:
            self._slot.close()
            self._slot = None
        for pipe in self._pipes:
            os.close(pipe)
        self._pipes, self._partial = [], {}


def _exit_text(code: int) -> str:
    if code < 0:
        return f"the command was killed by signal {-code}"
    return f"the command ended with exit code {code}"
