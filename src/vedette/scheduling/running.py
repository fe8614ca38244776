"""What runs now: the scheduler's memory.

Everything here is derived from rows and is rebuilt from them at start and after a round that
failed (`vedette.scheduling.recovery`); the rows are the truth. Values marked `dirty` are written
at the end of the round, once, in their final state.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol

from vedette.decide.tree import By, Node, Steps
from vedette.model.glob import Glob
from vedette.model.pipeline import PipelineSpec
from vedette.model.schedule import Schedule
from vedette.model.work import Pool, Result, TaskFile

Heap = list[tuple[tuple[int, int, int], int]]
"""Datums by (order, number), the first to run on top."""

Branch = tuple[int, str]
"""A repo's number and a branch's name."""


@dataclass(slots=True)
class Leaf:
    """One leaf of a pipeline's input tree.

    `key` stands for its name in a datum's cache key: the name itself, with a number where an
    earlier leaf of another branch has the same name, as the sides of a union may (ENGINE D2, D8).
    `keys` are the templates of its keys in joins and groups, `indexes` the numbers of the indexes
    in which they are looked up, as far as they are known.
    """

    index: int
    name: str
    key: str
    repo: str
    branch: Branch
    glob: Glob
    reference: bool
    keys: dict[By, str] = field(default_factory=dict)
    indexes: dict[By, int] = field(default_factory=dict)


@dataclass(slots=True)
class Clock:
    """A cron input: the repo of its ticks (name and number), its last tick and the next one due.

    Times are microseconds; `next` is None where the schedule ends.
    """

    name: str
    repo: str
    number: int
    overwrite: bool
    schedule: Schedule
    last: int
    next: int | None


@dataclass(slots=True, eq=False)
class Pipeline:
    """A pipeline and its unfinished jobs, oldest first.

    `problem` is why it cannot run here, or that nothing does, `turn` when its oldest unfinished job
    became that (microseconds). `behind` is what is left to do of a large job before another may
    end.
    `good` is the newest job that succeeded, `standing` how many of its datums stand failed (-1:
    not known). `seconds` is a running mean of what a datum takes.
    `retry_at` (microseconds) is when a crashing pipeline is tried again; `probe` the number of the
    one datum that tries. `elsewhere`: not in the server's own process, but perhaps on another host;
    `alone` (microseconds) is since when it has work and no worker.
    """

    id: int
    name: str
    version: int
    spec: PipelineSpec
    salt: bytes
    code: bytes
    repo: int
    branch: str
    created: int
    leaves: list[Leaf]
    node: Node
    state: str
    good: Base | None = None
    behind: Going | None = None
    reason: str = ""
    problem: str = ""
    pool: Pool | None = None
    jobs: deque[Job] = field(default_factory=deque)
    seconds: float = 0.1
    retry_at: int = 0
    failures: int = 0
    probe: int = 0
    depth: int = 0
    standing: int = -1
    elsewhere: bool = False
    alone: int = 0
    clocks: list[Clock] = field(default_factory=list)
    turn: int = 0

    @property
    def repeats(self) -> bool:
        """Whether two leaves are the same input, so that both may give a datum (ENGINE D2)."""
        return len({(leaf.name, leaf.branch) for leaf in self.leaves}) < len(self.leaves)

    @property
    def family(self) -> str:
        """The pipeline that people know: what is run again into another branch has its name too."""
        return self.name.partition("@")[0]

    @property
    def aside(self) -> bool:
        """Whether it runs history again beside the live pipeline, in one job (ENGINE S5)."""
        return "@" in self.name

    @property
    def output(self) -> Branch:
        """The branch that the pipeline writes."""
        return (self.repo, self.branch)

    @property
    def code_key(self) -> str:
        """The name of this version among all, for workers."""
        return f"{self.name}:{self.version}:{self.salt.hex()[:8]}"


@dataclass(slots=True, frozen=True)
class Match:
    """A datum's match in one leaf. `object` is None for a directory."""

    leaf: int
    path: str
    object: bytes | None
    size: int


@dataclass(slots=True)
class Datum:
    """A datum that waits or runs for one or more jobs."""

    num: int
    key: bytes
    ident: bytes
    pipeline: Pipeline
    version: int
    job: int
    matches: tuple[Match, ...]
    order: tuple[int, int, int]
    created: int
    state: str = "queued"
    fresh: bool = False
    worker: str = ""
    lease: int = 0
    tries: int = 0
    lost: int = 0
    prior: bool = False
    refs: bytes = b""
    newest_references: bool = False
    hint: str = ""
    jobs: list[Job] = field(default_factory=list)
    result: Result | None = None
    encoded: bytes | None = None
    finished: int | None = None
    reason: str = ""


@dataclass(slots=True)
class Effect:
    """What a job does with one identity.

    `how`: "" while it waits, then run, cached, failed or recovered. `order` sorts the datums of a
    job; `outputs` are (path, object, size).
    """

    datum: int
    order: str
    how: str
    outputs: tuple[tuple[str, bytes, int], ...] = ()


class Going(Protocol):
    """Work that goes on over several rounds."""

    def go_on(self, round: Any) -> bool:
        """Do one step; True when the work is done."""


class Now(Protocol):
    """The round in progress, for an expansion that lasts longer than one."""

    round: Any


@dataclass(slots=True)
class Job:
    """An unfinished job. `effects` by identity; `gone` identities left the inputs.

    `base` is the job whose inputs this one was compared with, None for a full enumeration;
    `change` is how many datums the job has more than that one. A job with many datums is
    `spilled`: what has ended is in rows and in `tally` (`vedette.scheduling.effects`). `stale`:
    it left such rows when it was expanded before.
    """

    num: int
    id: str
    pipeline: Pipeline
    version: int
    commit: int
    commit_id: str
    inputs: tuple[int, ...]
    created: int
    plan: int
    state: str = "CREATED"
    base: Base | None = None
    started: int | None = None
    finished: int | None = None
    reason: str = ""
    total: int = 0
    processed: int = 0
    skipped: int = 0
    failed: int = 0
    recovered: int = 0
    download: int = 0
    upload: int = 0
    pending: int = 0
    full: bool = False
    expanded: bool = False
    retried: bool = False
    expansion: Steps | None = None
    now: Now | None = None
    salt: bytes = b""
    effects: dict[bytes, Effect] = field(default_factory=dict)
    gone: set[bytes] = field(default_factory=set)
    seen: set[bytes] = field(default_factory=set)
    forced: set[int] = field(default_factory=set)
    again: set[int] = field(default_factory=set)
    tally: dict[str, int] = field(default_factory=dict)
    failure: Effect | None = None
    closing: Going | None = None
    change: int = 0
    spilled: bool = False
    stale: bool = False
    fresh: bool = True
    dirty: bool = True

    @property
    def ended(self) -> bool:
        """Whether the job has reached its last state."""
        return self.state in ("SUCCESS", "FAILURE", "KILLED", "UNRUNNABLE")


@dataclass(slots=True)
class Base:
    """What a job is compared with: the inputs and the count of an earlier one."""

    num: int
    version: int
    inputs: tuple[int, ...]
    total: int


@dataclass(slots=True)
class Worker:
    """A worker that serves one pool. `seen` is when it last spoke (microseconds).

    `host` is the session of the host that it is on, "" for the server's own process; `only` names
    the pipelines that it serves, None stands for all of the pool.
    """

    name: str
    pool: str
    seen: int
    host: str = ""
    only: frozenset[str] | None = None
    leases: dict[int, int] = field(default_factory=dict)
    room: int = 0
    busy: float = 0.0
    revoked: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Memory:
    """All of it.

    `ready` has heaps of queued datums by pool, pipeline, and the worker that has their files warm.
    `unfinished` are the output commits of open jobs. `followed` are branches that others follow by
    a trigger, `timed` says that only time moves those (`rate`), from `next_trigger` on.
    """

    pipelines: dict[str, Pipeline] = field(default_factory=dict)
    order: list[Pipeline] = field(default_factory=list)
    planned: dict[Branch, int] = field(default_factory=dict)
    unfinished: set[int] = field(default_factory=set)
    datums: dict[int, Datum] = field(default_factory=dict)
    by_key: dict[bytes, Datum] = field(default_factory=dict)
    ready: dict[str, dict[str, dict[str, Heap]]] = field(default_factory=dict)
    workers: dict[str, Worker] = field(default_factory=dict)
    hints: dict[str, str] = field(default_factory=dict)
    trees: dict[tuple[int, str], tuple[TaskFile, ...]] = field(default_factory=dict)
    next_job: int = 1
    next_datum: int = 1
    next_plan: int = 1
    next_lease: int = 1
    next_trigger: int = 0
    followed: set[Branch] = field(default_factory=set)
    timed: bool = True
    looked: bool = False

    def hint(self, commit_id: str, worker: str) -> None:
        """Remember who worked last for a global id, and so has its pictures in memory."""
        self.hints.pop(commit_id, None)
        self.hints[commit_id] = worker
        if len(self.hints) > 2048:
            del self.hints[next(iter(self.hints))]

    def by_id(self, pipeline: int) -> Pipeline | None:
        """The pipeline with this number."""
        return next((p for p in self.order if p.id == pipeline), None)
