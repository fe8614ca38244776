"""In a private root: a command that lives longer than one datum, and what it asks for.

A batching command (ENGINE R8) asks for its next datum through a named pipe, by the small program
`NEXT`, which needs nothing but a shell. A service or spout (R10) asks for nothing; its agent may
ask for connections to a port of its own network, and to have it signalled.

Events go to the agent as they come: ("begun",), ("next", error), ("given",), ("exit", code,
seconds, CPU seconds, remarks) or ("cannot", why, 0, 0, remarks), which is the last. Requests while
it runs are ("give", text), answered by ("given",) if the command lives, ("signal", number) and the
questions of `inside.look`: ("answer", value).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import time
from typing import Any

from vedette.worker import inside
from vedette.worker.channel import receive, send
from vedette.worker.root import Layout

FOLDER = "/run/vedette/next"
ASK, GIVEN = f"{FOLDER}/ask", f"{FOLDER}/given"
PROGRAMS = ("pachctl", "vedette")
MAX_TEXT = 4000
UNANSWERED = ("give", "signal")

NEXT = f"""#!/bin/sh
# Asks the worker for the next datum, and waits for it. With --error the datum before has failed.
usage="usage: $0 next datum [--error TEXT]"
case "$1 $2" in
"next datum") shift 2 ;;
"next-datum "*) shift ;;
*) echo "$usage: inside of a datum there is nothing else" >&2; exit 2 ;;
esac
error=
while [ $# -gt 0 ]; do
  case "$1" in
  --error=*) error="${{1#--error=}}"; shift ;;
  --error|-e) [ $# -gt 1 ] || {{ echo "$usage" >&2; exit 2; }}; error="$2"; shift 2 ;;
  *) echo "$usage" >&2; exit 2 ;;
  esac
done
set -f
set -- $error
printf 'next %s\\n' "$*" >{ASK} || exit 1
IFS= read -r given <{GIVEN} || exit 1
[ "$given" = ok ] || {{ echo "$given" >&2; exit 1; }}
"""
"""The program by which a batching command asks, in the language of every /bin/sh."""


def programs() -> dict[str, bytes]:
    """The files of a private root in which a command may ask for its next datum."""
    return {f"{FOLDER}/{name}": NEXT.encode() for name in PROGRAMS}


def attend(descriptor: int, layout: Layout, request: Any, remarks: list[str]) -> None:
    """Start a command and see it to its end."""
    argv, env, stdin, connector, space = request
    started, used = time.perf_counter(), inside.cpu_of_children()
    child = inside.spawn(layout, argv, env, stdin, space)
    if isinstance(child, str):
        send(descriptor, ("cannot", child, 0.0, 0.0, remarks))
        return
    send(descriptor, ("begun",))
    code = _Attended(descriptor, child, connector, bool(layout.pipes)).until_end()
    inside.end_all()
    seconds, cpu = time.perf_counter() - started, inside.cpu_of_children() - used
    send(descriptor, ("exit", code, seconds, cpu, remarks))


class _Attended:
    """A command that runs, and the channels on which something may be said about it."""

    def __init__(self, descriptor: int, child: int, connector: int, asks: bool) -> None:
        self._agent = descriptor
        self._child = child
        self._connector = connector
        self._ask = self._given = -1
        self._heard = b""
        self._answer = b""
        if asks:  # both ends are held, so that neither opening nor closing them is news
            flags = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC
            self._ask, self._given = os.open(ASK, flags), os.open(GIVEN, flags)
        # A shell that is replaced by what it calls is still the same process: this tells its end.
        self._wake, write_end = os.pipe()
        os.set_blocking(write_end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._before = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        self._write_end = write_end

    def until_end(self) -> int:
        """Pass on what is said until the command has ended; its exit code."""
        try:
            while True:
                code = self._reap()
                if code is not None:
                    return code
                self._give()
                self._hear()
        finally:
            signal.set_wakeup_fd(self._before)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            held = (self._wake, self._write_end, self._ask, self._given)
            for descriptor in (each for each in held if each >= 0):
                os.close(descriptor)

    def _reap(self) -> int | None:
        """Take in the processes that have ended; the command's exit code if it is among them."""
        while True:
            try:
                done, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 0
            if done == self._child:
                return os.waitstatus_to_exitcode(status)
            if not done:
                return None

    def _hear(self) -> None:
        waiting = select.poll()
        for descriptor in (self._agent, self._wake, self._ask, self._connector):
            if descriptor >= 0:
                waiting.register(descriptor, select.POLLIN)
        for ready, _ in waiting.poll():
            if ready == self._wake:
                os.read(ready, 4096)
            elif ready == self._ask:
                self._asked()
            elif ready == self._connector:
                self._connect()
            else:
                self._told(receive(self._agent))

    def _asked(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._heard += os.read(self._ask, 65536)
        *lines, self._heard = self._heard.split(b"\n")
        self._heard = self._heard[:MAX_TEXT]
        for line in lines:
            with contextlib.suppress(BlockingIOError):  # an answer that nobody waited for
                os.read(self._given, 65536)
            text = line.removeprefix(b"next ")[:MAX_TEXT].decode("utf-8", "replace")
            send(self._agent, ("next", text))

    def _give(self) -> None:
        """Give what is to be given, now that the command is known to live."""
        if self._answer:
            send(self._agent, ("given",))
            with contextlib.suppress(BlockingIOError):
                os.write(self._given, self._answer)
            self._answer = b""

    def _told(self, request: Any) -> None:
        if request[0] == "give":
            self._answer = request[1].replace("\n", " ").encode()[:MAX_TEXT] + b"\n"
        elif request[0] == "signal":
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, request[1])
        else:
            send(self._agent, ("answer", inside.look(request)))

    def _connect(self) -> None:
        """Hand out a connection, not yet made, to a port of the private network."""
        with socket.socket(fileno=os.dup(self._connector)) as channel:
            wish = channel.recv(4)
            if not wish:
                os.close(self._connector)
                self._connector = -1
                return
            (port,) = struct.unpack("<I", wish)
            with socket.socket() as made:
                made.setblocking(False)
                made.connect_ex(("127.0.0.1", port))
                socket.send_fds(channel, [b"c"], [made.fileno()])
