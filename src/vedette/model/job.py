"""Jobs, datums and their logs, as they are shown to people and programs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

JobState = Literal[
    "CREATED", "STARTING", "RUNNING", "EGRESSING", "FINISHING",
    "SUCCESS", "FAILURE", "KILLED", "UNRUNNABLE",
]  # fmt: skip
TERMINAL: frozenset[str] = frozenset({"SUCCESS", "FAILURE", "KILLED", "UNRUNNABLE"})


class JobInput(Struct, frozen=True, kw_only=True):
    """The commit that a job reads from one branch."""

    name: str
    repo: str
    branch: str
    commit: str


class JobInfo(Struct, frozen=True, kw_only=True):
    """A job. processed + skipped + failed + recovered = total once it has ended (ENGINE R9).

    `number` orders the jobs of one installation.
    """

    id: str
    number: int = 0
    pipeline: str
    version: int
    commit: str
    state: JobState
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None
    restarts: int = 0
    total: int = 0
    processed: int = 0
    skipped: int = 0
    failed: int = 0
    recovered: int = 0
    download: int = 0
    upload: int = 0
    reason: str = ""
    inputs: tuple[JobInput, ...] = ()


class DatumFile(Struct, frozen=True, kw_only=True):
    """One match that belongs to a datum: the file or directory `path` of an input."""

    name: str
    repo: str
    branch: str
    path: str
    object: str = ""
    size: int = 0


class DatumInfo(Struct, frozen=True, kw_only=True):
    """A datum. `id` is its identity, `number` names one execution's record."""

    id: str
    number: int
    pipeline: str
    job: str = ""
    state: Literal["QUEUED", "RUNNING", "SUCCESS", "FAILED", "RECOVERED", "SKIPPED"]
    inputs: tuple[DatumFile, ...] = ()
    tries: int = 0
    reason: str = ""
    finished: datetime | None = None
    seconds: float = 0.0
    outputs: tuple[str, ...] = ()


class DatumPreview(Struct, frozen=True, kw_only=True):
    """Datums of a spec, `total` of which there are over the newest inputs (ENGINE D9).

    `waiting` are branches without a commit: until each has one there are no datums.
    """

    total: int
    datums: tuple[DatumInfo, ...]
    waiting: tuple[str, ...] = ()


class LogLine(Struct, frozen=True, kw_only=True):
    """One line that user code, or the platform on its behalf, wrote while a datum ran."""

    at: datetime
    pipeline: str
    job: str
    datum: str
    attempt: int
    stream: Literal["stdout", "stderr", "system"]
    text: str
