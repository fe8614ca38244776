"""Operations that say why something is there."""

from __future__ import annotations

from vedette.model.api import DatumWhy, FileWhy, JobWhy
from vedette.scheduling import why
from vedette.server.call import Call
from vedette.server.jobs import number_or_id
from vedette.server.site import Site


async def why_job(site: Site, call: Call) -> JobWhy:
    """Why a job is there."""
    with site.read() as rows:
        return why.of_job(rows, call.params["id"])


async def why_datum(site: Site, call: Call) -> DatumWhy:
    """Why a datum ran, or was skipped."""
    with site.read() as rows:
        return why.of_datum(rows, number_or_id(call.params["id"]), call.query.job)


async def why_file(site: Site, call: Call) -> FileWhy:
    """Which datum, job and commits made a file."""
    given = call.params
    with site.read() as rows:
        return why.of_file(rows, given["repo"], given["ref"], given["path"])
