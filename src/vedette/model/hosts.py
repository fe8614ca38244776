"""What passes between the server and a host that runs workers for it over HTTP.

A host joins and is given a session. Within it each of its workers is registered, asks for work,
hands in results and says that it lives. All of these may be said twice: an answer may be lost.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from vedette.model.pipeline import PipelineSpec
from vedette.model.work import Pool, Result, Task

PROTOCOL = 1
"""What a host and a server must have in common."""


class Join(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A host that offers to work. `name` is its own among all; `slots` are datums at once.

    `pipelines` is the glob on names by which it was told to choose, for people to see.
    """

    name: str
    host: str
    slots: int
    pipelines: str = "*"
    version: str = ""
    protocol: int = PROTOCOL


class Joined(Struct, frozen=True, kw_only=True):
    """The session of a host. After `lease` seconds of silence its work goes to others.

    `direct`: objects may be had from the store itself, by links that the server gives.
    """

    session: str
    lease: float
    direct: bool = False


class AskDemand(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`seen` is the number of the demand that is known; `known` are codes whose spec is."""

    seen: int = 0
    known: tuple[str, ...] = ()


class Offer(Struct, frozen=True, kw_only=True):
    """A pipeline version that a host may serve. `spec` is None when the host knows it already."""

    pipeline: str
    code: str
    spec: PipelineSpec | None = None


class Wanted(Struct, frozen=True, kw_only=True):
    """How many workers of a pool a host should have, and what the pool's pipelines are."""

    pool: Pool
    count: int
    offers: tuple[Offer, ...]


class Demand(Struct, frozen=True, kw_only=True):
    """What is wanted of a host now. Pools that are not named need nobody."""

    number: int
    wanted: tuple[Wanted, ...]


class NewWorker(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker that serves these pipelines of a pool. `name` is its own among all workers."""

    name: str
    pool: str
    pipelines: tuple[str, ...]


class Work(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Results, and the wish for up to `room` tasks within `wait` seconds.

    `held` are the leases that the worker knows of: others that it was given never reached it.
    `number` counts the wishes of this worker, so that one that comes late is told from a new one.
    """

    number: int = 0
    room: int = 0
    wait: float = 0.0
    held: tuple[int, ...] = ()
    results: tuple[Result, ...] = ()


class Given(Struct, frozen=True, kw_only=True):
    """Tasks for a worker, and those of the leases it reported on that had lapsed."""

    tasks: tuple[Task, ...] = ()
    refused: tuple[int, ...] = ()


class Beat(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """These workers live, and hold these leases."""

    workers: dict[str, tuple[int, ...]]


class Beaten(Struct, frozen=True, kw_only=True):
    """Leases to abandon, by worker, and workers that must be registered again."""

    abandon: dict[str, tuple[int, ...]] = {}
    unknown: tuple[str, ...] = ()


class Release(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Workers that have gone. With `fault` their leases count as lost (ENGINE C2)."""

    workers: tuple[str, ...]
    reason: str = ""
    fault: bool = False


class Stored(Struct, frozen=True, kw_only=True):
    """An object that was uploaded."""

    object: bytes
    size: int


class AskLinks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Objects that a datum at hand reads."""

    objects: tuple[bytes, ...]


class Direct(Struct, frozen=True, array_like=True):
    """Where an object is in the store: `length` bytes from `offset` on, at `url`."""

    url: str
    offset: int
    length: int


class Links(Struct, frozen=True, kw_only=True):
    """Where objects are, in the order of the question; None: ask the server for the bytes."""

    links: tuple[Direct | None, ...]


class AskUpload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A large output: may it go to the store itself? Or, once it was `sent`: is it there?"""

    object: bytes
    size: int
    sent: bool = False


class Upload(Struct, frozen=True, kw_only=True):
    """Where to PUT an output (""; through the server), or what became of it.

    state: "" not known yet (ask again), "there", or "missing" (send it through the server).
    """

    url: str = ""
    state: Literal["", "there", "missing"] = ""


class HostInfo(Struct, frozen=True, kw_only=True):
    """A host with workers. `running` counts the datums that it has been given."""

    name: str
    host: str
    pools: tuple[str, ...]
    slots: int
    since: datetime
    workers: int
    running: int
    pipelines: str = "*"
