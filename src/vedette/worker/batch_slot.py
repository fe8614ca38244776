"""Run the datums of a batching command: one process, which asks for each (ENGINE R8).

The command calls `pachctl next datum` (or `vedette next datum`) before each datum. The call ends
the datum before, returns when the next one lies in `/pfs`, and waits while there is none; a process
that waits when its worker goes is ended. With `--error TEXT` the datum before has failed. Exit 0 in
a datum ends that too; any other end fails the try, and the next one is another process.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from vedette.model.errors import VedetteError
from vedette.model.runtime import Runtime
from vedette.model.work import Code, Result, Source, Task
from vedette.stage.output import LineLimit
from vedette.worker import command_env, lasting_command, staging
from vedette.worker.command_slot import SPARED, CommandSlot, Ran
from vedette.worker.gather import Gathered
from vedette.worker.lazy_inputs import Fetching
from vedette.worker.private import CannotRun
from vedette.worker.slot import SlotLost

ENVIRONMENT = ".env"
"""The file in `/pfs` with the datum's variables, for a shell to read: `. /pfs/.env`."""

AHEAD_BYTES = 1 << 20
AHEAD_FILES = 100
"""What the next datum may have for its files to be written while the one before it runs."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SAFE = re.compile(r"[A-Za-z0-9_./:@%+=,-]*")


class _Laid(Struct):
    """A datum whose files are there, and the bytes that came in for them."""

    task: Task
    fetching: Fetching
    download: int

    def drop(self) -> None:
        """It will not be run, or not so."""
        self.fetching.close()


class BatchSlot(CommandSlot):
    """A private root whose command lives on from datum to datum.

    `_next` is where the next datum is made ready, `_past` where that of the one before goes.
    While a datum runs, `_following` is made ready as `_laid`; when the first has ended well, the
    command goes on with it at once and it is `_given`, before anybody runs it here.

    `_asking` is what the command said with its wish for the datum to come, None while it has not
    asked. `_begun_with` says that it has what it was given, `_until` when its time is up. `_events`
    came while an answer was waited for. `_gone` says that it has ended.
    """

    _following: Task | None = None
    _laid: _Laid | None = None
    _given: _Laid | None = None
    _asking: str | None = None
    _begun_with = False
    _until: float | None = None
    _events: tuple[Any, ...] = ()
    _gone = False
    _moved = 0

    def __init__(
        self, source: Source, code: Code, runtime: Runtime, folder: Path, hidden: Sequence[str]
    ) -> None:
        super().__init__(source, code, runtime, folder, hidden)
        self._next = folder / "next"
        self._past = folder / "past"

    def run(self, task: Task, following: Task | None = None) -> Result:
        """Run the datum, with all its tries. Raises `Abandoned`."""
        alike = following is not None and following.code == task.code
        self._following = following if alike else None
        return super().run(task)

    def _try(self, task: Task, limit: LineLimit) -> tuple[Ran, int]:
        if self._given is not None and self._given.task is not task:
            self._drop()
        for _ in range(SPARED):
            if self._given is None:
                ran = self._asked(task, limit)
                if ran is not None:
                    return ran, 0
                self._give(self._made_ready(task))
            laid, self._given = self._given, None
            if laid is None:
                continue  # it was killed while it waited: that is no try of this datum
            with laid.fetching as fetching:
                if fetching.remark:
                    limit.add("system", fetching.remark)
                self._tidy(task)
                ended = self._ended(limit)
            if fetching.fault is not None:
                raise fetching.fault
            if ended is not None:
                return ended, laid.download + fetching.fetched
        why = f"{SPARED} times the command ended between asking for a datum and beginning it"
        return Ran(False, why), 0

    def _asked(self, task: Task, limit: LineLimit) -> Ran | None:
        """See to it that the command waits for a datum; how it ended if it does not."""
        if self._asking is not None and self._slot is not None:
            return None
        staging.clear(self._pfs)
        argv, env, stdin = self._words(task, self.code.spec.transform.cmd, limit, error=False)
        env["PATH"] = f"{lasting_command.FOLDER}:{env['PATH']}"
        self._gone = False
        self._begun(("attend", argv, env, stdin, -1), limit)
        self._begun_with, self._until = True, self._deadline()
        ran = self._event(limit)
        if isinstance(ran, Ran):
            why = ran.why or "the command ended with exit code 0"
            return Ran(False, f"{why} without having called `next datum`")
        return None

    def _gather(self, task: Task) -> Gathered:
        found = super()._gather(task)
        # The command goes on while its result is reported.
        laid = self._laid
        if laid is not None and laid.task is self._following and self._asking is not None:
            self._laid = None
            try:
                self._give(laid)
            except OSError:  # told when the datum's turn has come
                self._drop()
        return found

    def _made_ready(self, task: Task) -> _Laid:
        laid, self._laid = self._laid, None
        if laid is not None and laid.task is task:
            return laid
        if laid is not None:
            laid.drop()
        return self._lay_out(task)

    def _lay_out(self, task: Task) -> _Laid:
        """Write a datum's files out of sight.

        The command lives, and could lead us astray by links if files were written where it sees
        them; renaming follows none.
        """
        hidden = self._next
        hidden.mkdir(exist_ok=True)
        with contextlib.ExitStack() as stack:
            fetching = stack.enter_context(Fetching(self._source))
            manner = staging.manner(self.code.spec)
            download = staging.lay_out(task, hidden, self._source, manner, fetching, reuse=True)
            env = command_env.for_task(self._env, task)
            with open(f"{hidden}/{ENVIRONMENT}", "wb") as file:
                file.write(_assignments(env).encode())
            stack.pop_all()
        return _Laid(task, fetching, download)

    def _give(self, laid: _Laid) -> None:
        """Put a datum where the command sees it, and let it go on.

        Where that has been killed meanwhile nothing is given.
        """
        try:
            self._put_in_place()
            laid.fetching.start()
            slot = self._ready()
            self._killed = slot.group.killed()
            self._begun_with, self._until = False, self._deadline()
            self._asking = None
            slot.send(("give", "ok"))
        except BaseException as error:
            laid.drop()
            self._drop()
            if not isinstance(error, SlotLost):
                raise
        else:
            self._given = laid

    def _put_in_place(self) -> None:
        """Rename each part of what is ready into `/pfs`, and what was there out of it."""
        hidden, pfs, past = str(self._next), str(self._pfs), str(self._past)
        os.makedirs(past, exist_ok=True)
        for name in os.listdir(pfs):
            self._moved += 1
            os.rename(f"{pfs}/{name}", f"{past}/{self._moved}")
        for name in os.listdir(hidden):
            _move(f"{hidden}/{name}", f"{pfs}/{name}")

    def _tidy(self, task: Task) -> None:
        """While the command works: remove what it had before, and make the next datum ready.

        Folders wait for the disk while anybody syncs a file. What fails here is done, or told,
        when the next datum's turn has come; what something still writes to goes with the slot.
        """
        with contextlib.suppress(OSError):
            staging.clear(self._past)
        following = self._following
        with contextlib.suppress(OSError, VedetteError):
            if following is None or self._laid is not None:
                return
            if _is_small(following):
                self._laid = self._lay_out(following)
            else:
                staging.make(self._next, staging.folders(task))

    def _ended(self, limit: LineLimit) -> Ran | None:
        """Wait until the datum is done: the command asks for the next one, or ends.

        None when the command, or all of its root, was killed before it had begun the datum.
        """
        ran = self._event(limit)
        if isinstance(ran, str):
            return Ran(not ran, ran and f"the command said: {ran}")
        return ran if self._begun_with else None

    def _event(self, limit: LineLimit) -> Ran | str:
        """The next thing that the command does: how it ended, or what it said when asking."""
        slot = self._ready()
        while True:
            try:
                if not self._events:
                    if not self._wait(slot, limit, self._until):
                        return self._late()
                    self._events = (slot.receive(),)
            except SlotLost:
                return self._died(slot, limit)
            event, *rest = self._events
            self._events = tuple(rest)
            if event[0] != "given":
                break
            self._begun_with = True
        self._take(limit)
        if event[0] == "next":
            self._asking = event[1].strip()
            return self._asking
        word, code, _, cpu, remarks = event
        self._cpu += cpu
        for text in remarks:
            limit.add("system", text)
        if word == "cannot":
            raise CannotRun(str(code))
        self._asking = None
        self._gone = True
        return self._judged(int(code), slot, limit)

    def _ask(self, message: Any) -> Any:
        """Ask something of the root; what the command does meanwhile is kept for later."""
        slot = self._ready()
        if self._gone:
            return slot.ask(message)
        slot.send(message)
        while True:
            said = slot.receive()
            if said[0] == "answer":
                return said[1]
            self._events += (said,)
            if said[0] not in ("next", "given"):
                self._gone = True
                # The request reached the root when the command had ended: it is answered plainly.
                return slot.receive()

    def _recovers(self, task: Task, tries: int, logs: Any) -> bool:
        if self.code.spec.transform.err_cmd:
            self._drop()  # there is one command at a time
        return super()._recovers(task, tries, logs)

    def _drop(self) -> None:
        self._asking, self._gone, self._events = None, False, ()
        for laid in (self._given, self._laid):
            if laid is not None:
                laid.drop()
        self._given = self._laid = None
        super()._drop()


def _is_small(task: Task) -> bool:
    """Whether a datum's files are so few that writing them keeps nobody waiting."""
    files = [file for given in task.inputs for file in given.files]
    return len(files) <= AHEAD_FILES and sum(file.size for file in files) <= AHEAD_BYTES


def _move(source: str, target: str) -> None:
    """Rename into `/pfs`, over whatever a process that still runs has put there meanwhile."""
    for _ in range(3):
        try:
            os.rename(source, target)
        except OSError:
            staging.remove(target)
        else:
            return
    os.rename(source, target)


def _assignments(env: dict[str, str]) -> str:
    """Lines that a shell reads as variables; names that are none for a shell are left out."""
    lines = []
    for name, value in env.items():
        if _NAME.fullmatch(name) and name not in ("PATH", "PYTHONPATH", "HOME"):
            plain = bool(_SAFE.fullmatch(value))
            lines.append(f"{name}={value}" if plain else f"{name}='{_quoted(value)}'")
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    return value.replace("'", "'\\''")
