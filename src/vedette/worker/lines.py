"""What user code writes to its standard output and error, line by line (ENGINE R7)."""

from __future__ import annotations

import os

from vedette.stage.output import LineLimit, decode

MAX_LINE = 65536
"""Bytes after which a line without an end is cut into pieces."""

_STREAMS = ("stdout", "stderr")


class Lines:
    """Two pipes, and what they held last that had no end of line yet."""

    def __init__(self) -> None:
        pairs = [os.pipe() for _ in _STREAMS]
        self.descriptors = [read for read, _ in pairs]
        self.write_ends = [write for _, write in pairs]
        for descriptor in self.descriptors:
            os.set_blocking(descriptor, False)
        self._rest = dict.fromkeys(self.descriptors, b"")

    def passed_on(self) -> None:
        """The process that writes has its own copies of the write ends: give up ours."""
        for descriptor in self.write_ends:
            os.close(descriptor)
        self.write_ends = []

    def take(self, limit: LineLimit, *, partial: bool = True) -> None:
        """Take in what the pipes hold; with `partial`, the last line though it has no end.

        Once the limit is reached the rest is read and dropped, however much it is.
        """
        for name, descriptor in zip(_STREAMS, self.descriptors, strict=True):
            rest = self._rest[descriptor]
            while data := _read(descriptor):
                if limit.full:
                    rest = b""
                    continue
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    limit.add(name, decode(line))
                if len(rest) > MAX_LINE:
                    limit.add(name, decode(rest))
                    rest = b""
            if partial and rest:
                limit.add(name, decode(rest))
                rest = b""
            self._rest[descriptor] = rest

    def close(self) -> None:
        """Give the pipes back."""
        self.passed_on()
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors, self._rest = [], {}


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return b""
