"""Pass connections from a port of the host to one inside of a private network (ENGINE R10).

The service has no network but its own. Its keeper makes connections in there and hands them out;
this relay accepts on the host and copies bytes both ways.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from dataclasses import dataclass, field

MAX_CONNECTIONS = 512
_CHUNK = 65536
_PATIENCE = 5.0


def listen(ip: str, port: int) -> socket.socket:
    """A socket of the host on which a service is reached. Raises OSError."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((ip, port))
        made.listen(128)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


@dataclass(eq=False)
class _End:
    """One end of a connection, and what it has still to send."""

    socket: socket.socket
    other: _End | None = None
    out: bytearray = field(default_factory=bytearray)
    done: bool = False
    """Nothing more comes from here."""
    shut: bool = False


class Relay:
    """Serves one listening socket by a thread, between `start` and `stop`.

    `connector` is the channel on which the keeper of the private root hands out connections to
    `port` inside.
    """

    def __init__(self, listener: socket.socket, connector: socket.socket, port: int) -> None:
        self._listener = listener
        self._connector = connector
        self._connector.settimeout(_PATIENCE)
        self._port = port
        self._ends: set[_End] = set()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="vedette-relay", daemon=True)

    def start(self) -> None:
        """Begin to accept."""
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._thread.start()

    def stop(self) -> None:
        """End all connections; the listening socket stays open."""
        self._wake_write.send(b"x")
        self._thread.join()
        for end in list(self._ends):
            end.socket.close()
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()

    def _run(self) -> None:
        while True:
            for key, events in self._selector.select():
                if key.fileobj is self._wake_read:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif key.data in self._ends:
                    self._move(key.data, events)

    def _accept(self) -> None:
        try:
            outer, _ = self._listener.accept()
        except OSError:
            return
        inner = self._connect() if len(self._ends) < 2 * MAX_CONNECTIONS else None
        if inner is None:
            outer.close()
            return
        ends = [_End(outer), _End(inner)]
        ends[0].other, ends[1].other = ends[1], ends[0]
        for end in ends:
            end.socket.setblocking(False)
            self._ends.add(end)
            self._selector.register(end.socket, selectors.EVENT_READ, end)

    def _connect(self) -> socket.socket | None:
        try:
            self._connector.send(struct.pack("<I", self._port))
            _, descriptors, _, _ = socket.recv_fds(self._connector, 1, 1)
        except OSError:
            return None
        return socket.socket(fileno=descriptors[0]) if descriptors else None

    def _move(self, end: _End, events: int) -> None:
        other = end.other
        assert other is not None, "ends come in pairs"
        try:
            if events & selectors.EVENT_WRITE and end.out:
                del end.out[: end.socket.send(end.out)]
            if events & selectors.EVENT_READ and not end.done and len(other.out) < _CHUNK:
                data = end.socket.recv(_CHUNK)
                other.out += data
                end.done = not data
        except BlockingIOError:
            pass
        except OSError:
            self._drop(end)
            return
        for each in (end, other):
            self._settle(each)
        if end.done and other.done and not end.out and not other.out:
            self._drop(end)

    def _settle(self, end: _End) -> None:
        """Say what is waited for on this end, and pass on that the other has ended."""
        other = end.other
        assert other is not None
        if other.done and not end.out and not end.shut:
            end.shut = True
            with contextlib.suppress(OSError):
                end.socket.shutdown(socket.SHUT_WR)
        wanted = selectors.EVENT_WRITE if end.out else 0
        if not end.done and len(other.out) < _CHUNK:
            wanted |= selectors.EVENT_READ
        known = end.socket in self._selector.get_map()
        if wanted and known:
            self._selector.modify(end.socket, wanted, end)
        elif wanted:
            self._selector.register(end.socket, wanted, end)
        elif known:
            self._selector.unregister(end.socket)

    def _drop(self, end: _End) -> None:
        for each in (end, end.other):
            if each is not None and each in self._ends:
                self._ends.discard(each)
                if each.socket in self._selector.get_map():
                    self._selector.unregister(each.socket)
                each.socket.close()
