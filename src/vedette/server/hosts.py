"""The hosts that run workers for this server: their sessions, and what was given to them.

All of it belongs to the server's event loop. What a session remembers is what was sent to it, so
that what never arrived can be given to others; who holds which lease is known to the scheduler.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field

from vedette.model import hosts as model
from vedette.model.errors import Conflict, NotJoined, TooLarge
from vedette.model.work import Task
from vedette.scheduling.demand import Demand
from vedette.versioning.contents import Prepared

MOST_SESSIONS = 10_000
MOST_WORKERS = 1024
MOST_UPLOADS = 200_000
FORGET = 60.0
"""Seconds after which a session without a sign of life is forgotten."""

_PAUSE = 0.02
KEPT = 86_400.0
"""Seconds for which an upload waits for the result that names it."""

_Told = tuple[tuple[str, int, int, tuple[str, ...]], ...]


@dataclass(slots=True)
class Lent:
    """What a worker may read under one lease: a pipeline version, and objects with their sizes."""

    datum: int
    code: str
    objects: dict[bytes, int]

    @staticmethod
    def under(task: Task) -> Lent:
        """What a task lends."""
        found = {file.object: file.size for given in task.inputs for file in given.files}
        return Lent(task.datum, task.code, found)


@dataclass(slots=True)
class Hand:
    """A worker of a session. `wish` is the number of its newest wish for tasks."""

    name: str
    pool: str
    wish: int = 0
    lent: dict[int, Lent] = field(default_factory=dict)


@dataclass(slots=True)
class Session:
    """A host while it works for this server. `number` counts what it was told to have.

    `promised` are outputs on their way to the store itself, `checks` those that are compared now.
    """

    id: str
    joined: model.Join
    since: int
    seen: float
    number: int = 0
    told: _Told | None = None
    hands: dict[str, Hand] = field(default_factory=dict)
    promised: dict[bytes, int] = field(default_factory=dict)
    checks: dict[bytes, asyncio.Task[Prepared | None]] = field(default_factory=dict)
    uploads: OrderedDict[bytes, list[tuple[float, Prepared]]] = field(default_factory=OrderedDict)

    def hand(self, name: str) -> Hand:
        """One of its workers. Raises NotJoined: the worker must be registered again."""
        found = self.hands.get(name)
        if found is None:
            raise NotJoined(f"worker {name!r} is not known here: register it")
        return found

    def size_of(self, object_id: bytes) -> int | None:
        """The size of an object that a datum at hand reads; None for any other."""
        for hand in self.hands.values():
            for lent in hand.lent.values():
                if (size := lent.objects.get(object_id)) is not None:
                    return size
        return None

    def may_read(self, code: str) -> bool:
        """Whether a datum of this pipeline version is at hand."""
        return any(lent.code == code for hand in self.hands.values() for lent in hand.lent.values())

    def keep(self, upload: Prepared) -> None:
        """Remember an upload until a result names it; for a day, if none does.

        While it is remembered the collector leaves its bytes alone.
        """
        now = time.monotonic()
        self.uploads.setdefault(upload.id, []).append((now, upload))
        self.uploads.move_to_end(upload.id)
        while (oldest := next(iter(self.uploads.values())))[-1][0] < now - KEPT:
            del self.uploads[oldest[0][1].id]
        if len(self.uploads) > MOST_UPLOADS:
            self.uploads.popitem(last=False)

    def take(self, object_id: bytes, size: int) -> Prepared | None:
        """The upload that a result names; each is named once."""
        kept = self.uploads.get(object_id)
        if not kept or kept[0][1].size != size:
            return None
        _, found = kept.pop(0)
        if not kept:
            del self.uploads[object_id]
        return found


class Hosts:
    """All sessions, and the demand that they are told of."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._demand: dict[str, Demand] = {}
        self._waiting: set[asyncio.Event] = set()
        self._ends: set[asyncio.Event] = set()

    def watch(self, demand: dict[str, Demand]) -> None:
        """Take note of the demand; called in the scheduler's thread after every round."""
        changed = demand != self._demand
        self._demand = demand
        loop = self._loop
        # Harmless race: who begins to wait after this looks at the demand first.
        if changed and self._waiting and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()

    def stop(self) -> None:
        """End every wait: the server stops."""
        self.stopping = True
        for event in (*self._ends, *self._waiting):
            event.set()

    async def end(self) -> None:
        """Return when the server stops."""
        event = asyncio.Event()
        self._ends.add(event)
        try:
            if not self.stopping:
                await event.wait()
        finally:
            self._ends.discard(event)

    def join(self, joined: model.Join, now: int) -> Session:
        """A new session. Raises Conflict for a name that is in use, TooLarge for too many hosts."""
        self._loop = asyncio.get_running_loop()
        self.sweep()
        if any(known.joined.name == joined.name for known in self.sessions.values()):
            raise Conflict(f"a host works here as {joined.name!r} already: choose another name")
        if len(self.sessions) >= MOST_SESSIONS:
            raise TooLarge(f"{MOST_SESSIONS} hosts work here already, the limit of this server")
        made = Session(secrets.token_hex(16), joined, now, time.monotonic())
        self.sessions[made.id] = made
        return made

    def sweep(self) -> None:
        """Forget the sessions of hosts that have been silent for long: their leases have lapsed."""
        limit = time.monotonic() - FORGET
        for key in [key for key, each in self.sessions.items() if each.seen < limit]:
            del self.sessions[key]

    def get(self, key: str) -> Session:
        """A session that has just spoken. Raises NotJoined: the host must join again."""
        found = self.sessions.get(key)
        if found is None:
            raise NotJoined("this session is not known here, or was given up: join again")
        found.seen = time.monotonic()
        return found

    def taken(self, worker: str, session: Session) -> bool:
        """Whether another session has a worker of this name."""
        return any(
            worker in each.hands for each in self.sessions.values() if each is not session
        )  # fmt: skip

    async def demand(self, session: Session, seen: int, seconds: float) -> None:
        """Wait until the host should have other workers than it was told when it was at `seen`."""
        changed = asyncio.Event()
        self._waiting.add(changed)
        try:
            async with asyncio.timeout(seconds):
                while not self.stopping:
                    wanted = self._wanted(session)
                    if wanted != session.told or session.number != seen:
                        session.number += wanted != session.told
                        session.told = wanted
                        return
                    await changed.wait()
                    await asyncio.sleep(_PAUSE)  # under load every round changes it
                    changed.clear()
        except TimeoutError:
            return
        finally:
            self._waiting.discard(changed)

    def _wanted(self, session: Session) -> _Told:
        found = []
        for key, each in self._demand.items():
            count = each.on_host(session.id, session.joined.slots)
            if count:
                codes = tuple(served.code_key for served in each.served)
                found.append((key, each.pool.slots, count, codes))
        return tuple(found)

    def told(self, session: Session, known: Collection[str]) -> model.Demand:
        """What a session was told last, with the specs that it does not know."""
        wanted = []
        for key, _, count, codes in session.told or ():
            each = self._demand.get(key)
            if each is None:
                continue
            offers = tuple(
                model.Offer(pipeline=served.name, code=served.code_key,
                            spec=None if served.code_key in known else served.spec)
                for served in each.served if served.code_key in codes
            )  # fmt: skip
            wanted.append(model.Wanted(pool=each.pool, count=count, offers=offers))
        return model.Demand(number=session.number, wanted=tuple(wanted))
