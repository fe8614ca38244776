"""What passes between a worker and the server: tasks to run and their results.

These values cross process and host borders, so they are plain and self-contained. `Source` is the
protocol through which a worker speaks to the server; in one process it wraps scheduling and
versioning, elsewhere it will wrap the HTTP client. A worker never holds database credentials.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct

from vedette.model.pipeline import PipelineSpec

if TYPE_CHECKING:
    from concurrent.futures import Future


class TaskFile(Struct, frozen=True, array_like=True):
    """A file that a datum reads: its path in the repo, object id and size in bytes."""

    path: str
    object: bytes
    size: int


class TaskInput(Struct, frozen=True, array_like=True):
    """One input of a datum. `path` is the match; `files` are all files at or below it.

    A group has several matches of an input: `paths` are all of them, `path` is the last.
    """

    name: str
    repo: str
    branch: str
    commit: str
    path: str
    files: tuple[TaskFile, ...]
    join_on: str = ""
    group_by: str = ""
    paths: tuple[str, ...] = ()


class Task(Struct, frozen=True, kw_only=True):
    """One datum to run under one lease. `code` names the pipeline's version (`Source.code`)."""

    datum: int
    lease: int
    id: str
    code: str
    job: str
    commit: str
    attempt: int
    inputs: tuple[TaskInput, ...]


class Output(Struct, frozen=True, array_like=True):
    """One file that a datum wrote. `data` travels with it when it is small and new.

    When `data` is None the object is in the store: an input passed on by reference, or `put`.
    """

    path: str
    object: bytes
    size: int
    data: bytes | None = None


class LogEntry(Struct, frozen=True, array_like=True):
    """A line of output of user code. `at` is microseconds since 1970 UTC."""

    at: int
    attempt: int
    stream: str
    text: str


class Result(Struct, frozen=True, kw_only=True):
    """What became of a task.

    `not_ready` gives the datum back without using a try: the stage cannot work yet (ENGINE C3).
    `lost` too: the worker could not do it through no fault of the datum.
    `crash` says that the stage could not even start: the pipeline is CRASHING with `reason`.
    """

    datum: int
    lease: int
    state: Literal["success", "failed", "recovered", "not_ready", "lost", "crash"]
    outputs: tuple[Output, ...] = ()
    logs: tuple[LogEntry, ...] = ()
    reason: str = ""
    tries: int = 1
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    download: int = 0
    upload: int = 0


class Pool(Struct, frozen=True, kw_only=True):
    """Workers that are alike: they serve the same pipelines in the same way.

    `kind` python: warm stage processes that serve many pipelines; command: one pipeline's `cmd`.
    `slots` bounds how many datums run at once.
    """

    key: str
    kind: Literal["python", "command"]
    slots: int


class Code(Struct, frozen=True, kw_only=True):
    """A pipeline version as a worker needs it; `secrets` holds the values that its spec names."""

    key: str
    pool: str
    pipeline: str
    version: int
    spec: PipelineSpec
    secrets: dict[str, dict[str, str]] = {}


class Source(Protocol):
    """The server as a worker sees it. Futures complete after the transaction is durable."""

    def register(self, worker: str, pool: str) -> None:
        """Make a worker known. `worker` is a name unique in the installation."""

    def claim(self, worker: str, room: int) -> Future[list[Task]]:
        """Ask for up to `room` tasks; completes when there is at least one (or [] at shutdown)."""

    def report(self, worker: str, results: Sequence[Result]) -> Future[list[int]]:
        """Hand in results; completes with the leases that were refused because they had lapsed."""

    def heartbeat(self, worker: str) -> Future[list[int]]:
        """Say that the worker lives; completes with the leases it should abandon."""

    def release(self, worker: str, reason: str) -> Future[None]:
        """The worker has gone: its leases are free at once."""

    def code(self, key: str) -> Code:
        """The pipeline version that a task names."""

    def read(self, object_id: bytes) -> bytes:
        """An object's bytes, verified."""

    def fetch(self, object_id: bytes, size: int, descriptor: int) -> None:
        """Write an object's bytes, verified, to an open file: in pieces, however many they are."""

    def put_file(self, descriptor: int) -> tuple[bytes, int]:
        """As `put`, of all bytes of an open file, in pieces; returns object id and size."""

    def put(self, data: bytes) -> bytes:
        """Store a large output; returns its object id. It becomes durable with the report."""


class Emitted(Struct, frozen=True, kw_only=True):
    """A file that a spout emitted: its path, and what keeps its bytes until they are committed."""

    path: str
    prepared: object
