"""Operations on jobs, datums and logs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from vedette.client.endpoints import LogQuery
from vedette.model.api import NumberedLine
from vedette.model.errors import Invalid, NotFound
from vedette.model.job import DatumInfo, DatumPreview, JobInfo, LogLine
from vedette.scheduling import datums, jobs, preview
from vedette.server.call import Call, Content
from vedette.server.site import Site
from vedette.versioning.transaction import Transaction

_PAGE = 1000
_ID_DIGITS = 64
_NUMBER_DIGITS = 18
_encode = msgspec.json.Encoder().encode


async def list_job(site: Site, call: Call) -> list[JobInfo]:
    """Jobs, newest first."""
    query = call.query
    limit = site.page(query.limit)
    with site.read() as rows:
        if query.commit:
            found = [
                job
                for job in reversed(jobs.of_commit(rows, query.commit))
                if job.pipeline == (query.pipeline or job.pipeline)
                and (query.before is None or job.number < query.before)
            ]
            return found[:limit]
        return jobs.listing(rows, pipeline=query.pipeline or None, limit=limit, before=query.before)


async def inspect_job(site: Site, call: Call) -> JobInfo:
    """One job."""
    with site.read() as rows:
        return jobs.inspect(rows, call.params["id"])


async def stop_job(site: Site, call: Call) -> JobInfo:
    """End a job (ENGINE U5)."""
    identity = call.params["id"]

    def work(tx: Transaction) -> JobInfo:
        jobs.stop(tx, identity)
        return jobs.inspect(tx.rows, identity)

    return await site.write(work)


async def list_datum(site: Site, call: Call) -> list[DatumInfo]:
    """The datums of a job."""
    with site.read() as rows:
        jobs.inspect(rows, call.params["id"])
        return datums.of_job(
            rows, call.params["id"], after=call.query.after, limit=site.page(call.query.limit)
        )


async def preview_datum(site: Site, call: Call) -> DatumPreview:
    """The datums of a spec (ENGINE D9)."""
    limit = site.page(call.query.limit)

    def look() -> DatumPreview:
        with site.read() as rows:
            return preview.show(rows, call.body, after=call.query.after, limit=limit)

    return await asyncio.to_thread(look)


async def failed_datums(site: Site, call: Call) -> list[DatumInfo]:
    """Failed datums."""
    query = call.query
    if query.state != "failed":
        raise Invalid(f"state {query.state!r}: only state=failed can be listed without a job")
    with site.read() as rows:
        return datums.failed(
            rows, pipeline=query.pipeline or None, after=query.after, limit=site.page(query.limit)
        )


async def inspect_datum(site: Site, call: Call) -> DatumInfo:
    """One datum."""
    with site.read() as rows:
        return datums.inspect(rows, number_or_id(call.params["id"]))


async def restart_datum(site: Site, call: Call) -> DatumInfo:
    """Run a datum again (ENGINE U5)."""
    given = number_or_id(call.params["id"])

    def work(tx: Transaction) -> DatumInfo:
        number = given if isinstance(given, int) else datums.inspect(tx.rows, given).number
        datums.restart(tx, number)
        return datums.inspect(tx.rows, number)

    return await site.write(work)


async def logs(site: Site, call: Call) -> Content:
    """Lines of logs, as they come if asked."""
    query: LogQuery = call.query
    first = _lines(site, query, query.after)
    return Content(chunks=_log(site, query, first), media="application/x-ndjson", live=query.follow)


def number_or_id(given: str) -> int | str:
    """What names a datum: its number, or its id in hex. Raises NotFound for a number too large."""
    if not (given.isascii() and given.isdigit()) or len(given) == _ID_DIGITS:
        return given
    if len(given) > _NUMBER_DIGITS:
        raise NotFound(f"no datum has the number {given[:40]}: see `vedette list-datum JOB`")
    return int(given)


def _lines(site: Site, query: LogQuery, after: int) -> list[tuple[int, LogLine]]:
    with site.read() as rows:
        return datums.logs(
            rows,
            pipeline=query.pipeline or None,
            job=query.job or None,
            datum=number_or_id(query.datum) if query.datum else None,
            after=after,
            limit=_PAGE,
        )


async def _log(
    site: Site, query: LogQuery, found: list[tuple[int, LogLine]]
) -> AsyncIterator[bytes]:
    after = query.after
    with site.hub.listening() as listener:
        while True:
            if found:
                after = found[-1][0]
                yield b"".join(_encode(_numbered(*line)) + b"\n" for line in found)
            if len(found) < _PAGE:
                if not query.follow or site.hub.stopping:
                    return
                await listener.next(1.0)
            found = _lines(site, query, after)


def _numbered(number: int, line: LogLine) -> NumberedLine:
    fields: dict[str, Any] = msgspec.structs.asdict(line)
    return NumberedLine(number=number, **fields)
