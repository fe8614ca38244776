"""One private root, from outside: starts the process that keeps it and speaks with it."""

from __future__ import annotations

import contextlib
import marshal
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import vedette
from vedette.model.pipeline import Limits
from vedette.worker.cgroups import Group
from vedette.worker.root import Layout

_BOOT = """\
import sys
sys.path.insert(0, sys.argv[1])
from vedette.worker.keeper import main
main(int(sys.argv[2]))
"""


class SlotLost(Exception):  # noqa: N818 - it is news about a process
    """The process that kept the root has ended."""


class Slot:
    """A private root and the process that keeps it.

    `socket` is the agent's end of its channel, `descriptor` the number of the other end inside.
    `group` bounds what runs in it. `connector` gives connections to ports inside, if asked for.
    """

    def __init__(
        self, layout: Layout, stdout: int, stderr: int, *, limits: Limits | None = None,
        connected: bool = False,
    ) -> None:  # fmt: skip
        self.group = Group(limits or Limits())
        self.connector: socket.socket | None = None
        inner: tuple[socket.socket, ...] = ()
        if connected:
            self.connector, inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            inner = (inside,)
        self.connector_inside = inner[0].fileno() if inner else -1
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._base = layout.base
        Path(layout.base).mkdir(parents=True, exist_ok=True)
        source = str(Path(vedette.__file__).parent.parent)
        self.descriptor = theirs.fileno()
        command = [sys.executable, "-I", "-S", "-c", _BOOT, source, str(self.descriptor)]
        try:
            with theirs:
                self.process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, env={}, cwd="/",
                    pass_fds=(self.descriptor, *(each.fileno() for each in inner)),
                    start_new_session=True,
                )  # fmt: skip
            self._bound()
        except OSError:
            self._close_sockets()
            self.group.close()
            shutil.rmtree(layout.base, ignore_errors=True)
            raise
        finally:
            for each in inner:
                each.close()
        self.send(tuple(layout))

    def _bound(self) -> None:
        """Put the process under its limits, before it is told what to do."""
        try:
            self.group.add(self.process.pid)
        except OSError:
            self.process.kill()
            self.process.communicate()
            raise

    def _close_sockets(self) -> None:
        self.socket.close()
        if self.connector is not None:
            self.connector.close()

    def send(self, message: Any) -> None:
        """Send a request. Raises `SlotLost`."""
        body = marshal.dumps(message)
        try:
            self.socket.sendall(struct.pack("<I", len(body)) + body)
        except OSError as error:
            raise SlotLost from error

    def receive(self) -> Any:
        """Wait for the answer to a request. Raises `SlotLost`."""
        (length,) = struct.unpack("<I", self._exactly(4))
        return marshal.loads(self._exactly(length))  # noqa: S302 - from our own process

    def ask(self, message: Any) -> Any:
        """Send a request and wait for its answer. Raises `SlotLost`."""
        self.send(message)
        return self.receive()

    def _exactly(self, count: int) -> bytes:
        try:
            data = self.socket.recv(count, socket.MSG_WAITALL)
        except OSError as error:
            raise SlotLost from error
        if len(data) != count:
            raise SlotLost
        return data

    def exit_code(self, seconds: float = 1.0) -> int | None:
        """How the process ended, once it has: its exit code, 128 + N for signal N."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self.process.wait(seconds)
            return code if code >= 0 else 128 - code
        return None

    def close(self) -> None:
        """Kill everything that runs in the root, and remove what it was built on."""
        self._close_sockets()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.group.close()
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            try:
                Path(self._base).rmdir()
            except FileNotFoundError:
                return
            except OSError:
                # the kernel is still taking the namespace down
                time.sleep(0.002)
            else:
                return
        shutil.rmtree(self._base, ignore_errors=True)
