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
from pathlib import Path
from typing import Any

from vedette.model.work import Task
from vedette.stage.output import LineLimit
from vedette.worker import command_env, lasting_command, staging
from vedette.worker.command_slot import CommandSlot, Ran
from vedette.worker.lazy_inputs import Fetching
from vedette.worker.private import CannotRun
from vedette.worker.slot import SlotLost

ENVIRONMENT = ".env"
"""The file in `/pfs` with the datum's variables, for a shell to read: `. /pfs/.env`."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SAFE = re.compile(r"[A-Za-z0-9_./:@%+=,-]*")


class BatchSlot(CommandSlot):
    """A private root whose command lives on from datum to datum.

    `_next` is where the next datum is made ready, `_past` where that of the one before goes.
    `_asking` is what the command said with its wish for the datum to come, None while it has not
    asked. `_events` came while an answer was waited for. `_gone` says that it has ended.
    """

    _asking: str | None = None
    _events: tuple[Any, ...] = ()
    _gone = False
    _moved = 0

    @property
    def _next(self) -> Path:
        return self._folder / "next"

    @property
    def _past(self) -> Path:
        return self._folder / "past"

    def _try(self, task: Task, limit: LineLimit) -> tuple[Ran, int]:
        with Fetching(self._source) as fetching:
            ran = self._asked(task, limit)
            if ran is not None:
                return ran, 0
            download = self._give(task, fetching, limit)
            ran = self._ended(limit)
        if fetching.fault is not None:
            raise fetching.fault
        return ran, download + fetching.fetched

    def _asked(self, task: Task, limit: LineLimit) -> Ran | None:
        """See to it that the command waits for a datum; how it ended if it does not."""
        if self._asking is not None and self._slot is not None:
            try:
                self._ask(("resolve", []))
            except SlotLost:  # it was killed while it waited: that is no try of this datum
                self._drop()
            else:
                if not self._gone:
                    return None
                self._drop()
        staging.clear(self._pfs)
        argv, env, stdin = self._words(task, self.code.spec.transform.cmd, limit, error=False)
        env["PATH"] = f"{lasting_command.FOLDER}:{env['PATH']}"
        self._gone = False
        self._begun(("attend", argv, env, stdin, -1), limit)
        ran = self._event(limit)
        if isinstance(ran, Ran):
            why = ran.why or "the command ended with exit code 0"
            return Ran(False, f"{why} without having called `next datum`")
        return None

    def _give(self, task: Task, fetching: Fetching, limit: LineLimit) -> int:
        """Put the datum where the command sees it, and let it go on."""
        download = self._put_in_place(task, fetching)
        if fetching.remark:
            limit.add("system", fetching.remark)
        fetching.start()
        slot = self._ready()
        self._killed = slot.group.killed()
        self._asking = None
        slot.send(("give", "ok"))
        self._tidy(task)
        return download

    def _tidy(self, task: Task) -> None:
        """While the command works: remove what it had before, and make the next one's folders.

        Both wait for the disk while anybody syncs a file. What fails here is done, or told, when
        the next datum is laid out; what something still writes to goes with the slot.
        """
        with contextlib.suppress(OSError):
            for name in os.listdir(self._past):
                staging.remove(self._past / name)
        with contextlib.suppress(OSError):
            staging.make(self._next, staging.folders(task))

    def _put_in_place(self, task: Task, fetching: Fetching) -> int:
        """Lay out the datum out of sight, then rename each part into `/pfs`.

        The command lives, and could lead us astray by links if files were written where it sees
        them; renaming follows none.
        """
        hidden, past = self._next, self._past
        hidden.mkdir(exist_ok=True)
        past.mkdir(exist_ok=True)
        manner = staging.manner(self.code.spec)
        download = staging.lay_out(task, hidden, self._source, manner, fetching, reuse=True)
        env = command_env.for_task(self._env, task)
        (hidden / ENVIRONMENT).write_text(_assignments(env), encoding="utf-8")
        for name in os.listdir(self._pfs):
            self._moved += 1
            os.rename(self._pfs / name, past / str(self._moved))
        for name in os.listdir(hidden):
            _move(hidden / name, self._pfs / name)
        return download

    def _ended(self, limit: LineLimit) -> Ran:
        """Wait until the datum is done: the command asks for the next one, or ends."""
        ran = self._event(limit)
        if isinstance(ran, Ran):
            return ran
        return Ran(not ran, ran and f"the command said: {ran}")

    def _event(self, limit: LineLimit) -> Ran | str:
        """The next thing that the command does: how it ended, or what it said when asking."""
        slot = self._ready()
        try:
            if not self._events:
                if not self._wait(slot, limit):
                    return self._late()
                self._events = (slot.receive(),)
        except SlotLost:
            return self._died(slot, limit)
        event, *rest = self._events
        self._events = tuple(rest)
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
            if said[0] != "next":
                self._gone = True
                # The request reached the root when the command had ended: it is answered plainly.
                return slot.receive()

    def _recovers(self, task: Task, tries: int, logs: Any) -> bool:
        if self.code.spec.transform.err_cmd:
            self._drop()  # there is one command at a time
        return super()._recovers(task, tries, logs)

    def _drop(self) -> None:
        self._asking, self._gone, self._events = None, False, ()
        super()._drop()


def _move(source: Path, target: Path) -> None:
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
