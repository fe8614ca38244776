"""Operations of hosts that run workers for this server (docs/design/016)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from vedette.model import hosts as model
from vedette.model.errors import Conflict, Forbidden, Invalid, NotJoined, TooLarge, Unavailable
from vedette.model.ids import ObjectId
from vedette.model.work import Code, Task
from vedette.objects.store import Place
from vedette.scheduling import leasing
from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Worker
from vedette.server import files, host_results, uploads
from vedette.server.call import ADMIN, WORKER, Call, Content
from vedette.server.hosts import MOST_WORKERS, Hand, Lent, Session
from vedette.server.site import Site
from vedette.versioning import contents
from vedette.versioning.times import moment

LONGEST_WAIT = 25.0
"""Seconds after which a question that waits is answered: less than what proxies allow."""

MOST_ROOM = 64
_HERE = 256 << 10


async def list_worker(site: Site, call: Call) -> list[model.HostInfo]:
    """The hosts that have workers; the server's own process is one of them."""
    site.hosts.sweep()
    by_host: dict[str, list[Worker]] = {}
    for worker in site.rounds.workers():
        by_host.setdefault(worker.host, []).append(worker)
    found = [
        _info(each.joined.name, each.joined.host, each.joined.slots, each.joined.pipelines,
              each.since, by_host.get(each.id, []))
        for each in site.hosts.sessions.values()
    ]  # fmt: skip
    if own := by_host.get("", []):
        since = int(site.started.timestamp() * 1e6)
        found.insert(0, _info("server", "", len(own), "*", since, own))
    return found


def _info(
    name: str, host: str, slots: int, pipelines: str, since: int, workers: Sequence[Worker]
) -> model.HostInfo:
    return model.HostInfo(
        name=name, host=host, pools=tuple(sorted({worker.pool for worker in workers})),
        slots=slots, since=moment(since), workers=len(workers),
        running=sum(len(worker.leases) for worker in workers), pipelines=pipelines,
    )  # fmt: skip


async def join(site: Site, call: Call) -> model.Joined:
    """Begin a session."""
    _need_worker(call)
    body: model.Join = call.body
    if body.protocol != model.PROTOCOL:
        raise Conflict(
            f"this worker speaks version {body.protocol} of the workers' protocol, this server "
            f"({site.version}) version {model.PROTOCOL}: install the same release on both"
        )
    if not 1 <= body.slots <= MOST_WORKERS or not 1 <= len(body.name) <= 200:
        raise Invalid(
            f"slots {body.slots}: use 1 to {MOST_WORKERS}, and a name of 1 to 200 letters"
        )
    session = site.hosts.join(body, time.time_ns() // 1000)
    probe = site.objects.link(ObjectId(bytes(32)), 1, Place())
    return model.Joined(session=session.id, lease=leasing.LEASE, direct=probe is not None)


async def leave(site: Site, call: Call) -> None:
    """End a session."""
    _need_worker(call)
    session = site.hosts.get(call.params["session"])
    await _release(site, session, list(session.hands), "its host leaves", fault=False)
    site.hosts.sessions.pop(session.id, None)


async def demand(site: Site, call: Call) -> model.Demand:
    """What a host should have."""
    session = session_of(site, call)
    ask: model.AskDemand = call.body
    asked = asyncio.ensure_future(site.hosts.demand(session, ask.seen, LONGEST_WAIT))
    await _first(asked, asyncio.ensure_future(call.gone()))
    _check_running(site)
    return site.hosts.told(session, set(ask.known))


async def register(site: Site, call: Call) -> None:
    """Make a worker known."""
    session = session_of(site, call)
    new: model.NewWorker = call.body
    if site.hosts.taken(new.name, session):
        raise Conflict(f"another host has a worker {new.name!r}: choose another name")
    if len(session.hands) >= MOST_WORKERS and new.name not in session.hands:
        raise TooLarge(f"a host has at most {MOST_WORKERS} workers")
    only = frozenset(new.pipelines)

    def work(round: Round) -> None:
        worker = Worker(new.name, new.pool, round.now, session.id, only)
        leasing.register(round, worker)

    await asyncio.wrap_future(site.rounds.enter(work))
    hand = session.hands.setdefault(new.name, Hand(new.name, new.pool))
    hand.pool = new.pool


async def work(site: Site, call: Call) -> model.Given:
    """Take results in and give tasks out."""
    session = session_of(site, call)
    body: model.Work = call.body
    hand = session.hand(call.params["worker"])
    leases = site.rounds.beat(hand.name)
    if leases is None:
        raise NotJoined(f"worker {hand.name!r} was given up, for it was silent: register it again")
    if not 0 <= body.wait <= LONGEST_WAIT or not 0 <= body.room <= MOST_ROOM:
        raise Invalid(f"wait {body.wait}, room {body.room}: at most {LONGEST_WAIT}, {MOST_ROOM}")
    claim: Future[list[Task]] | None = None
    if body.room:
        if body.number <= hand.wish:
            raise Conflict(f"wish {body.number} of {hand.name!r} comes after {hand.wish}")
        hand.wish = body.number
        known = {*body.held, *(result.lease for result in body.results)}
        await _give_back(site, hand, {*hand.lent, *leases} - known)
        claim = site.rounds.claim(hand.name, body.room)
    refused: list[int] = []
    try:
        if body.results:
            refused = await host_results.report(site, session, hand, body.results)
    finally:
        if claim is not None and (body.results and not claim.done()):
            site.rounds.withdraw(hand.name, claim)
    tasks = [] if claim is None else await _tasks(site, call, hand, claim, body)
    _check_running(site)
    return model.Given(tasks=tuple(tasks), refused=tuple(refused))


async def _tasks(
    site: Site, call: Call, hand: Hand, claim: Future[list[Task]], body: model.Work
) -> list[Task]:
    """What a claim brings. Who has hung up, or has asked again, is given nothing."""
    asked = asyncio.ensure_future(_settled(claim))
    gone = asyncio.ensure_future(call.gone())
    stop = asyncio.ensure_future(site.hosts.end())
    try:
        await asyncio.wait(
            {asked, gone, stop}, timeout=body.wait, return_when=asyncio.FIRST_COMPLETED
        )
        site.rounds.withdraw(hand.name, claim)
        found = await asked
        left = gone.done() or stop.done()
    finally:
        await _cancelled(gone, stop)
    hand.lent.update((task.lease, Lent.under(task)) for task in found)
    if left or hand.wish != body.number:
        await _give_back(site, hand, {task.lease for task in found})
        return []
    return found


async def _first(*futures: asyncio.Future[None]) -> None:
    """Wait until one is done, and end the others."""
    try:
        await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _cancelled(*futures)


async def _cancelled(*futures: asyncio.Future[Any]) -> None:
    for future in futures:
        future.cancel()
    await asyncio.gather(*futures, return_exceptions=True)


async def _settled(claim: Future[list[Task]]) -> list[Task]:
    """What a claim was answered with. A claim is never cancelled: its tasks would be lost."""
    return await asyncio.shield(asyncio.wrap_future(claim))


async def _give_back(site: Site, hand: Hand, leases: set[int]) -> None:
    """Free what was given to a worker and never reached it."""
    if leases:
        for lease in leases:
            hand.lent.pop(lease, None)
        name = hand.name
        await asyncio.wrap_future(
            site.rounds.enter(lambda round: leasing.give_back(round, name, leases), durable=True)
        )


async def beat(site: Site, call: Call) -> model.Beaten:
    """Take note that workers live, and tell them what they hold in vain."""
    session = session_of(site, call)
    body: model.Beat = call.body
    abandon: dict[str, tuple[int, ...]] = {}
    unknown: list[str] = []
    for name, held in body.workers.items():
        hand = session.hands.get(name)
        leases = None if hand is None else site.rounds.beat(name)
        if hand is None or leases is None:
            unknown.append(name)
            continue
        if lapsed := tuple(lease for lease in held if lease not in leases):
            abandon[name] = lapsed
            for lease in lapsed:
                hand.lent.pop(lease, None)
    return model.Beaten(abandon=abandon, unknown=tuple(unknown))


async def release(site: Site, call: Call) -> None:
    """Let workers go."""
    session = session_of(site, call)
    body: model.Release = call.body
    names = [name for name in body.workers if name in session.hands]
    await _release(site, session, names, body.reason[:1000], fault=body.fault)


async def _release(
    site: Site, session: Session, names: Sequence[str], reason: str, *, fault: bool
) -> None:
    def work(round: Round) -> None:
        for name in names:
            leasing.release(round, name, reason, counts=fault)

    for name in names:
        session.hands.pop(name, None)
    if names:
        await asyncio.wrap_future(site.rounds.enter(work, durable=True))


async def code(site: Site, call: Call) -> Code:
    """A pipeline version, with its secrets: only for who holds a datum of it."""
    session = session_of(site, call)
    key = call.params["key"]
    if not session.may_read(key):
        raise Forbidden(f"this host holds no datum of {key!r}")
    return site.rounds.code(key)


async def read_object(site: Site, call: Call) -> Content:
    """Bytes of an object."""
    query = call.query
    try:
        name = ObjectId(bytes.fromhex(call.params["id"]))
    except ValueError:
        raise Invalid(f"object id {call.params['id'][:80]!r}: use 64 hex digits") from None
    if call.scope != ADMIN or query.session:
        session = session_of(site, call, query.session)
        if session.size_of(name) is None:
            raise Forbidden(f"object {name.hex()} belongs to no datum that this host holds")
    with site.read() as rows:
        size = contents.size(rows, name)
    first = min(query.offset, size)
    count = min(size - first, size if query.length is None else query.length)
    if count <= _HERE:
        with site.read() as rows:
            data = contents.read(rows, site.objects, name, first, count)
        return Content(chunks=data, media="application/octet-stream", size=count)
    chunks = files.in_thread(files.pieces_of(site, name, first, count, whole=count == size))
    return Content(chunks=chunks, media="application/octet-stream", size=count)


async def put_object(site: Site, call: Call) -> model.Stored:
    """Store an output that a result will name. One that is never named is harmless waste."""
    session = session_of(site, call)
    limit = site.limits.stream
    made = await uploads.staged_stream(site, b"", call.chunks(), "an output", limit)
    session.keep(made)
    return model.Stored(object=made.id, size=made.size)


def session_of(site: Site, call: Call, key: str | None = None) -> Session:
    """The session that a call belongs to. Raises Forbidden, NotJoined."""
    _need_worker(call)
    return site.hosts.get(call.params["session"] if key is None else key)


def _need_worker(call: Call) -> None:
    if call.scope not in (ADMIN, WORKER):
        raise Forbidden(f"a token of scope {call.scope} may not work: use one of scope worker")


def _check_running(site: Site) -> None:
    if site.hosts.stopping:
        raise Unavailable("the server is stopping: ask again when it is back")
