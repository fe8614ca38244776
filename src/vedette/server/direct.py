"""Objects that hosts move from and to the store itself, by links that the server signs."""

from __future__ import annotations

import asyncio

from vedette.model import hosts as model
from vedette.model.errors import Forbidden, Invalid, TooLarge
from vedette.model.ids import ObjectId
from vedette.objects.store import Place
from vedette.server.call import Call
from vedette.server.hosts import Session
from vedette.server.site import Site
from vedette.server.workers import session_of
from vedette.versioning import contents
from vedette.versioning.contents import Prepared

LEAST = 4 << 20
"""Bytes from which on an output may go to the store by itself."""

MOST_LINKS = 10_000
_PATIENCE = 15.0


async def links(site: Site, call: Call) -> model.Links:
    """Where the inputs of datums at hand are."""
    session = session_of(site, call)
    wanted: tuple[bytes, ...] = call.body.objects
    if len(wanted) > MOST_LINKS:
        raise TooLarge(f"{len(wanted)} links at once: at most {MOST_LINKS}")
    found: list[model.Direct | None] = []
    with site.read() as rows:
        for name in wanted:
            if session.size_of(name) is None:
                raise Forbidden(f"object {name.hex()} belongs to no datum that this host holds")
            row = rows.one("object_get", id=name)
            link = None
            if row is not None and row[1] is None:
                link = site.objects.link(ObjectId(name), row[0], Place(row[2], row[3]))
            if link is not None:
                found.append(model.Direct(link.url, link.offset, link.length))
            else:
                found.append(None)
    return model.Links(links=tuple(found))


async def upload(site: Site, call: Call) -> model.Upload:
    """Where an output may go; or, once it was sent, whether it is there.

    What a row names already is never written again: whoever holds a link could write other bytes.
    """
    session = session_of(site, call)
    ask: model.AskUpload = call.body
    if len(ask.object) != 32 or ask.size < 0:
        raise Invalid("an object is named by 32 bytes, and has no negative size")
    name = ObjectId(ask.object)
    if not ask.sent:
        with site.read() as rows:
            known = rows.one("object_size", id=name) is not None
        if known or ask.size < LEAST or ask.size > site.limits.stream:
            return model.Upload()
        url = await asyncio.to_thread(site.objects.accept, name, ask.size)
        if url is None:
            return model.Upload()
        session.promised[name] = ask.size
        return model.Upload(url=url)
    if session.promised.get(name) != ask.size:
        return model.Upload(state="missing")
    return await _arrived(site, session, name, ask.size)


async def _arrived(site: Site, session: Session, name: ObjectId, size: int) -> model.Upload:
    """Have all bytes of an upload read once; a long one is asked for again."""
    task = session.checks.get(name)
    if task is None:
        work = asyncio.to_thread(contents.arrived, site.objects, name, size)
        task = session.checks[name] = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=_PATIENCE)
    if not done:
        return model.Upload()
    if session.checks.pop(name, None) is None:
        return model.Upload(state="there" if task.result() is not None else "missing")
    session.promised.pop(name, None)
    found: Prepared | None = task.result()
    if found is None:
        return model.Upload(state="missing")
    session.keep(found)
    return model.Upload(state="there")
