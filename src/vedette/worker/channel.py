"""Marshalled values behind four bytes of length: how an agent and its keepers speak."""

from __future__ import annotations

import marshal
import os
import struct
from typing import Any


def receive(descriptor: int) -> Any:
    """The next message; ends the process when the agent has gone."""
    (length,) = struct.unpack("<I", _exactly(descriptor, 4))
    return marshal.loads(_exactly(descriptor, length))  # noqa: S302 - only the agent writes here


def send(descriptor: int, message: Any) -> None:
    """Send one message."""
    body = marshal.dumps(message)
    data = memoryview(struct.pack("<I", len(body)) + body)
    while data:
        data = data[os.write(descriptor, data) :]


def _exactly(descriptor: int, count: int) -> bytes:
    parts = []
    while count:
        part = os.read(descriptor, min(count, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
