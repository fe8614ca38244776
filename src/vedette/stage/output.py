"""What user code prints, line by line, with limits (ENGINE R7)."""

from __future__ import annotations

import io
import os
import sys
import time
from bisect import bisect_right

from vedette.model.work import LogEntry

MAX_LINES = 10_000
MAX_BYTES = 1_000_000


def microseconds() -> int:
    """Now, in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class LineLimit:
    """Turns text into log entries until a try has had its 10,000 lines or 1 MB."""

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt
        self.entries: list[LogEntry] = []
        self._lines = 0
        self._bytes = 0
        self._cut = False

    @property
    def full(self) -> bool:
        """Whether nothing more will be kept."""
        return self._cut

    def add(self, stream: str, text: str, at: int | None = None) -> None:
        """Keep one line, or say once that the rest is cut."""
        if self._cut:
            return
        self._lines += 1
        self._bytes += len(text) + 1
        when = microseconds() if at is None else at
        if self._lines > MAX_LINES or self._bytes > MAX_BYTES:
            self._cut = True
            limit = f"{MAX_LINES:,} lines or {MAX_BYTES:,} bytes"
            stream, text = "system", f"log cut: this try wrote more than {limit}"
        self.entries.append(LogEntry(when, self.attempt, stream, text))


class Capture:
    """The process's own standard output and error, which are files in memory.

    Python's streams write through to them, so that nothing is lost when the process dies: its
    parent holds the same files. `take` reads and empties them between two datums.
    """

    def __init__(self) -> None:
        self._streams = [_Marked(1), _Marked(2)]
        sys.stdout = self._streams[0].text
        sys.stderr = self._streams[1].text

    def take(self, limit: LineLimit) -> None:
        """Move what was written since the last call into `limit`."""
        lines = []
        for name, stream in zip(("stdout", "stderr"), self._streams, strict=True):
            lines += [(at, name, line) for at, line in stream.take()]
        lines.sort(key=lambda line: line[0])
        for at, name, text in lines:
            limit.add(name, text, at)


class _Marked(io.RawIOBase):
    """A file descriptor that remembers when each write through Python happened."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._written = 0
        self._ends: list[int] = []
        self._times: list[int] = []
        buffered = io.BufferedWriter(self, 8192)  # type: ignore[type-var]
        self.text = io.TextIOWrapper(
            buffered, encoding="utf-8", errors="backslashreplace", line_buffering=True
        )

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        if self._written > 2 * MAX_BYTES:  # the log is full: a runaway must not fill the memory
            return len(data)
        self._ends.append(self._written)
        self._times.append(microseconds())
        written = os.write(self._descriptor, data)
        self._written += written
        return written

    def take(self) -> list[tuple[int, str]]:
        self.text.flush()
        size = os.fstat(self._descriptor).st_size
        if not size:
            return []
        data = os.pread(self._descriptor, min(size, 2 * MAX_BYTES), 0)
        os.ftruncate(self._descriptor, 0)
        starts, times, now = self._ends, self._times, microseconds()
        self._ends, self._times, self._written = [], [], 0
        lines, at = [], 0
        for line in data.splitlines(keepends=True):
            index = bisect_right(starts, at) - 1
            lines.append((times[index] if index >= 0 else now, decode(line)))
            at += len(line)
        return lines


def decode(line: bytes) -> str:
    """A line as text, without its end; bytes that are not UTF-8 are shown as \\xNN."""
    return line.rstrip(b"\r\n").decode("utf-8", "backslashreplace")
