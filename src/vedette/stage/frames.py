"""What an agent and a stage process say to each other, and how it is framed.

Each message is MessagePack behind four bytes of length, least significant first, over a Unix
socket. The agent sends `Begin` once per pipeline version, then `Run` for each datum; datums are
worked off in order. It says which one it begins, for only that one has used a try when the
process dies. The stage process asks for bytes it lacks with `Fetch` and is answered with
`Bytes`, possibly behind further `Run`s.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import Literal

import msgspec
from msgspec import Struct

from vedette.model.work import LogEntry, TaskInput

EAGER_BYTES = 256 * 1024
MAX_BYTES = 1 << 30
"""How many bytes one input file, or all outputs of a datum, may have in a Python stage."""

MIRROR_BYTES = 64 * 1024 * 1024
EACH_BYTES = 1024
"""What an object counts beside its bytes, so that very many small ones are bounded too."""
_LENGTH = struct.Struct("<I")


class Begin(Struct, frozen=True, array_like=True, tag="begin"):
    """A pipeline version: the function to call, the words after it, and its environment.

    `empty` names the inputs whose files come without their bytes.
    """

    code: str
    pipeline: str
    target: str
    args: tuple[str, ...]
    env: dict[str, str]
    empty: tuple[str, ...] = ()


class Run(Struct, frozen=True, array_like=True, tag="run"):
    """A datum to run. `eager` holds objects by id that the process is thought to lack."""

    number: int
    code: str
    id: str
    job: str
    commit: str
    attempt: int
    inputs: tuple[TaskInput, ...]
    eager: dict[bytes, bytes]


class Bytes(Struct, frozen=True, array_like=True, tag="bytes"):
    """The answer to `Fetch`; `error` says why there are no bytes."""

    object: bytes
    data: bytes
    error: str = ""


class Cancel(Struct, frozen=True, array_like=True, tag="cancel"):
    """A datum that need not be run any more."""

    number: int


class Fetch(Struct, frozen=True, array_like=True, tag="fetch"):
    """A wish for an object's bytes."""

    object: bytes


class Written(Struct, frozen=True, array_like=True):
    """An output: new bytes, or an input's object by reference."""

    path: str
    data: bytes | None = None
    object: bytes = b""


class Begun(Struct, frozen=True, array_like=True, tag="begun"):
    """A datum that runs from now on; not said of one that `Done` names as the next."""

    number: int


class Done(Struct, frozen=True, array_like=True, tag="done"):
    """What became of a datum. `seconds` is wall time, `cpu_seconds` that of the whole process.

    `next` is the number of the datum that runs from now on; 0 when none waits.
    """

    number: int
    state: Literal["success", "failed", "not_ready", "crash"]
    reason: str
    outputs: tuple[Written, ...]
    logs: tuple[LogEntry, ...]
    seconds: float
    cpu_seconds: float
    next: int = 0


class Ready(Struct, frozen=True, array_like=True, tag="ready"):
    """The process has started and can run datums."""


ToStage = Begin | Run | Bytes | Cancel
FromStage = Fetch | Begun | Done | Ready

_encoder = msgspec.msgpack.Encoder()
to_stage = msgspec.msgpack.Decoder(ToStage)
from_stage = msgspec.msgpack.Decoder(FromStage)


def pack(message: Struct) -> bytearray:
    """A message with its length in front."""
    frame = bytearray(4)
    _encoder.encode_into(message, frame, 4)
    _LENGTH.pack_into(frame, 0, len(frame) - 4)
    return frame


def split(buffer: bytearray) -> list[bytes]:
    """Take all complete message bodies off the front of `buffer`."""
    bodies = []
    at, size = 0, len(buffer)
    with memoryview(buffer) as view:
        while size - at >= 4:
            (length,) = _LENGTH.unpack_from(buffer, at)
            if size - at - 4 < length:
                break
            bodies.append(bytes(view[at + 4 : at + 4 + length]))
            at += 4 + length
    del buffer[:at]
    return bodies


class Mirror:
    """The ids of objects that a process holds, least lately used first, bounded by their bytes.

    Agent and stage process each keep one and do the same to it, so that the agent can tell what the
    other side has. Being wrong costs one `Fetch`.
    """

    def __init__(self, limit: int = MIRROR_BYTES) -> None:
        # A plain dict looks past all that it has lost to find its first.
        self._sizes: OrderedDict[bytes, int] = OrderedDict()
        self._total = 0
        self._limit = limit

    def touch(self, object_id: bytes) -> bool:
        """Whether the object is held; it is then the most lately used one."""
        if object_id not in self._sizes:
            return False
        self._sizes.move_to_end(object_id)
        return True

    def add(self, object_id: bytes, size: int) -> list[bytes]:
        """Hold one more object; returns the ids of those that must go for it."""
        if self.touch(object_id):
            return []
        self._sizes[object_id] = size + EACH_BYTES
        self._total += size + EACH_BYTES
        gone = []
        while self._total > self._limit:
            oldest, freed = self._sizes.popitem(last=False)
            self._total -= freed
            gone.append(oldest)
        return gone
