"""Results that come from another host: checked, their bytes staged, then taken in.

A worker on another host may be older, broken or not ours: what it says of bytes is not believed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec import structs

from vedette.model.errors import Corrupt, NoSpace, Unavailable, VedetteError
from vedette.model.paths import clean
from vedette.model.work import Output, Result
from vedette.scheduling import leasing
from vedette.server.hosts import Hand, Lent, Session
from vedette.server.site import Site
from vedette.versioning import contents
from vedette.versioning.contents import Prepared

_HERE = 256 << 10


async def report(site: Site, session: Session, hand: Hand, results: Sequence[Result]) -> list[int]:
    """Take results in; answers the leases that had lapsed (those of a repeated report too)."""
    fresh: list[Result] = []
    refused: list[int] = []
    for result in results:
        held = hand.lent.get(result.lease)
        if held is None or held.datum != result.datum:
            refused.append(result.lease)
        else:
            fresh.append(result)
    if not fresh:
        return refused
    inline = sum(len(o.data) for result in fresh for o in result.outputs if o.data is not None)
    work = [(result, hand.lent[result.lease]) for result in fresh]
    if inline <= _HERE:
        ready = [_checked(site, session, result, lent) for result, lent in work]
    else:
        ready = await asyncio.to_thread(
            lambda: [_checked(site, session, result, lent) for result, lent in work]
        )
    taken = [result for result, _ in ready]
    stored = [prepared for _, prepared in ready]
    name = hand.name
    refused += await asyncio.wrap_future(
        site.rounds.enter(
            lambda round: leasing.report(round, name, taken, stored), durable=True
        )
    )  # fmt: skip
    for result in fresh:
        hand.lent.pop(result.lease, None)
    return refused


def _checked(
    site: Site, session: Session, result: Result, lent: Lent
) -> tuple[Result, list[Prepared]]:
    """A result that can be believed, and the bytes that it brings along.

    What cannot be stored now is run again when the pipeline is tried again, as for a worker of the
    server's own process; what is not true counts as a lost lease (ENGINE C2).
    """
    try:
        found = [_output(site, session, output, lent) for output in result.outputs]
    except (NoSpace, Unavailable) as error:
        reason = f"its output could not be stored: {error.message}"
        return _instead(result, "crash", reason, tries=0), []
    except VedetteError as error:
        return _instead(result, "lost", f"its worker reported badly: {error.message}", tries=1), []
    return result, [prepared for prepared in found if prepared is not None]


def _instead(result: Result, state: str, reason: str, *, tries: int) -> Result:
    return structs.replace(result, state=state, reason=reason, tries=tries, outputs=())


def _output(site: Site, session: Session, output: Output, lent: Lent) -> Prepared | None:
    """The bytes of an output; None for an input that is passed on."""
    if output.path == "/" or clean(output.path) != output.path:
        raise Corrupt(f"output {output.path!r} is not a clean path")
    if output.data is not None:
        made = contents.prepare(site.objects, output.data)
        if (made.id, made.size) != (output.object, output.size):
            raise Corrupt(f"output {output.path}: its bytes are not those of its id")
        return made
    upload = session.take(output.object, output.size)
    if upload is not None:
        return upload
    if lent.objects.get(output.object) != output.size:
        raise Corrupt(f"output {output.path} names bytes that were not uploaded")
    return None
