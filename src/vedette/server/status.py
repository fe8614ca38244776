"""Operations on the server as a whole."""

from __future__ import annotations

from msgspec import structs

from vedette.model.api import Health, Idle, Status, Version
from vedette.model.errors import Unavailable
from vedette.scheduling import state
from vedette.server.call import Call, Content
from vedette.server.hub import sent_events
from vedette.server.site import Site
from vedette.server.waiting import waited
from vedette.versioning import repos


async def version(site: Site, _: Call) -> Version:
    """Which release answers."""
    return Version(version=site.version)


async def health(site: Site, _: Call) -> Health:
    """Whether the metadata can be read."""
    with site.read() as rows:
        repos.listing(rows)
    return Health()


async def status(site: Site, _: Call) -> Status:
    """The server and its services."""
    return Status(
        version=site.version, started=site.started, services=await site.services.states(),
        space=site.space.room(),
    )  # fmt: skip


async def idle(site: Site, call: Call) -> Idle:
    """Wait until no job is unfinished, no trigger due and no delivery queued."""
    last = Idle(jobs=0, triggers=0, deliveries=0)

    def unfinished() -> bool:
        nonlocal last
        with site.read() as rows:
            now = state.idle(rows)
        last = Idle(jobs=now.jobs, triggers=now.triggers, deliveries=last.deliveries,
                    stopped=now.stopped)  # fmt: skip
        return bool(now.jobs or now.triggers)

    async def look() -> Idle | None:
        nonlocal last
        # What a job made is counted by a service from then on, and what a service commits may make
        # a job: so jobs, then services, then jobs once more, and nothing slips between them.
        if unfinished():
            return None
        last = structs.replace(last, deliveries=await site.services.pending())
        return None if last.deliveries or unfinished() else last

    found = await waited(site, look, call.query.timeout)
    if found is None:
        raise Unavailable(
            f"not idle after {call.query.timeout:g} s: {last.jobs} jobs unfinished, "
            f"{last.triggers} triggers due, {last.deliveries} deliveries queued"
        )
    return found


async def events(site: Site, _: Call) -> Content:
    """What happens, as it happens."""
    return Content(chunks=sent_events(site.hub), media="text/event-stream", live=True)
