"""One warm stage process, from outside: what it holds, what it has said, how it is fed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from vedette.model.errors import TooLarge, VedetteError
from vedette.model.pipeline import PipelineSpec
from vedette.model.runtime import Runtime, stage_words
from vedette.model.work import Code, LogEntry, Task
from vedette.stage import frames
from vedette.stage.frames import Begin, Bytes, Cancel, Mirror, Run
from vedette.stage.output import MAX_BYTES
from vedette.worker import command_env, staging, view
from vedette.worker.identity import identify
from vedette.worker.keeper import BROKEN
from vedette.worker.slot import Slot, SlotLost

MAX_EAGER_FILES = 16
ONE_THREAD = {
    name: "1"
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                 "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
}  # fmt: skip


class Held(Struct):
    """A datum that a stage process has been given. `logs` are those of earlier tries.

    `spared` counts the processes that died before they had begun it.
    """

    task: Task
    code: Code
    tries: int = 1
    logs: tuple[LogEntry, ...] = ()
    dropped: bool = False
    spared: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class StageProcess:
    """A stage process in a private root of its own, and the datums it holds, in order.

    `spec` is of any pipeline of its pool: they agree in user, limits, network and working folder.
    `begun` is the number of the datum that it said it runs.
    """

    def __init__(self, folder: Path, runtime: Runtime, hidden: Sequence[str], spec: PipelineSpec):
        self.held: OrderedDict[int, Held] = OrderedDict()
        self.ready = False
        self.begun = 0
        self.limits = spec.limits
        self.head_since = time.monotonic()
        self._folder = folder
        self._codes: set[str] = set()
        self._mirror = Mirror()
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._memory = [_memory("stdout"), _memory("stderr")]
        folder.mkdir(parents=True, exist_ok=True)
        try:
            layout = view.layout(
                runtime, base=str(folder / "root"), pfs=None, hidden=hidden, network=spec.network,
                working_dir=spec.transform.working_dir, identity=identify(spec.transform.user),
            )  # fmt: skip
            self._slot = Slot(layout, *self._memory, limits=spec.limits)
        except (OSError, LookupError):
            self._clean_up()
            raise
        self.socket = self._slot.socket
        env = {**command_env.base(runtime), **ONE_THREAD}
        argv = [sys.executable, "-m", "vedette.stage", "--serve", str(self._slot.descriptor)]
        with contextlib.suppress(SlotLost):  # its end is seen when reading
            self._slot.send(("serve", argv, env, self._slot.group.address_space))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

    @property
    def head(self) -> int | None:
        """The number of the datum that runs now: the oldest one held."""
        return next(iter(self.held), None)

    @property
    def wants_to_write(self) -> bool:
        """Whether the socket took less than there was to send."""
        return bool(self._outbox)

    def give(self, number: int, held: Held, read: Callable[[bytes], bytes]) -> None:
        """Hand over one datum, with the bytes that the process is thought to lack."""
        task, code = held.task, held.code
        if code.key not in self._codes:
            self._codes.add(code.key)
            target, *args = stage_words(code.spec) or ("",)
            begin = Begin(code.key, code.pipeline, target, tuple(args), command_env.user(code),
                          _empty(code))  # fmt: skip
            self._queue(frames.pack(begin))
        run = Run(
            number, code.key, task.id, task.job, task.commit, task.attempt + held.tries - 1,
            task.inputs, self._eager(task, staging.manner(code.spec), read),
        )  # fmt: skip
        if not self.held:
            self.head_since = time.monotonic()
        self.held[number] = held
        self._queue(frames.pack(run))

    def _eager(
        self, task: Task, manner: Mapping[str, str], read: Callable[[bytes], bytes]
    ) -> dict[bytes, bytes]:
        eager: dict[bytes, bytes] = {}
        room = frames.EAGER_BYTES
        for given in task.inputs:
            if len(given.files) > MAX_EAGER_FILES or given.name in manner:
                continue
            for file in given.files:
                if file.size > room or self._mirror.touch(file.object):
                    continue
                try:
                    eager[file.object] = read(file.object)
                except (VedetteError, OSError):
                    continue  # the stage asks for it when it needs it, and is told why not
                room -= file.size
                self._mirror.add(file.object, file.size)
        return eager

    def answer(self, object_id: bytes, read: Callable[[bytes], bytes]) -> None:
        """Send the bytes that the process asked for, or why there are none."""
        try:
            data = read(object_id)
            if len(data) > frames.MAX_BYTES:
                raise TooLarge(
                    f"an input file has {len(data):,} bytes, at most {frames.MAX_BYTES:,} "
                    "in a Python stage: run it as a command"
                )
        except (VedetteError, OSError) as error:
            self._queue(frames.pack(Bytes(object_id, b"", str(error) or "it cannot be read")))
        else:
            self._queue(frames.pack(Bytes(object_id, data)))
            if len(data) <= frames.EAGER_BYTES:
                self._mirror.add(object_id, len(data))

    def cancel(self, number: int) -> None:
        """Tell the process to skip a datum that waits."""
        self._queue(frames.pack(Cancel(number)))

    def _queue(self, frame: bytearray) -> None:
        """Send a frame after those that wait; at once, without a copy, when none does."""
        if self._outbox:
            self._outbox += frame
        else:
            self._outbox = frame
            self.flush()

    def flush(self) -> None:
        """Send what the socket takes."""
        if not self._outbox:
            return
        try:
            sent = self.socket.send(self._outbox)
        except BlockingIOError:
            return
        except OSError:
            self._outbox.clear()  # its end is seen when reading
            return
        del self._outbox[:sent]

    def receive(self) -> list[frames.FromStage] | None:
        """What the process has said; None when it has ended."""
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        self._inbox += data
        return [frames.from_stage.decode(body) for body in frames.split(self._inbox)]

    def finished(self, number: int) -> Held | None:
        """Take a datum off those held; the next one runs from now on."""
        self.head_since = time.monotonic()
        return self.held.pop(number, None)

    def kill(self) -> None:
        """End the process, whatever it does."""
        self._slot.process.kill()

    def obituary(self) -> tuple[str, list[str], bool]:
        """Of a process that has ended: why, its last words, and whether it could never start."""
        code = self._slot.exit_code()
        hungry = self._slot.group.killed() > 0
        words = [line for line in self.last_words() if line]
        if code == BROKEN or not self.ready:
            return " ".join(words[-3:]) or f"the stage process ended with code {code}", words, True
        if hungry:
            reason = (
                f"out of memory: more than resource_limits.memory of {self.limits.memory:,} bytes"
            )
            return reason, words, False
        if code is not None and code > 128:
            hint = " (out of memory?)" if code == 137 else ""
            return f"the stage process was killed by signal {code - 128}{hint}", words, False
        return f"the stage process ended with exit code {code}", words, False

    def last_words(self) -> list[str]:
        """The lines that no finished datum has taken away."""
        lines = []
        for descriptor in self._memory:
            size = os.fstat(descriptor).st_size
            data = os.pread(descriptor, min(size, MAX_BYTES), 0)
            lines += data.decode("utf-8", "backslashreplace").splitlines()
        return lines

    def trim(self) -> None:
        """Keep native code that prints for ever from filling the memory."""
        for descriptor in self._memory:
            if os.fstat(descriptor).st_size > 16 * MAX_BYTES:
                os.ftruncate(descriptor, MAX_BYTES)

    def close(self) -> None:
        """Kill the process and all that it started."""
        self._slot.close()
        self._clean_up()

    def _clean_up(self) -> None:
        for descriptor in self._memory:
            os.close(descriptor)
        if self._folder.exists():
            self._folder.rmdir()


def _empty(code: Code) -> tuple[str, ...]:
    manner = staging.manner(code.spec)
    return tuple(name for name, how in manner.items() if how == "empty")


def _memory(name: str) -> int:
    descriptor = os.memfd_create(name)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND)
    return descriptor
