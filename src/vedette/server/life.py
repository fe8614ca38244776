"""Operations on the life of pipelines and jobs."""

from __future__ import annotations

import asyncio

from vedette.model.api import PipelinePlan, PipelineVersion, Tick
from vedette.model.errors import Invalid, Unavailable
from vedette.model.job import TERMINAL, JobInfo
from vedette.model.pipeline import PipelineInfo
from vedette.scheduling import clocks, history, jobs, life, pipelines
from vedette.server.call import Call
from vedette.server.site import Site
from vedette.server.waiting import waited
from vedette.versioning.transaction import Transaction

_DIGITS = 10


async def stop_pipeline(site: Site, call: Call) -> PipelineInfo:
    """Start nothing more of a pipeline (ENGINE U3)."""
    return await site.write(lambda tx: life.stop(tx, call.params["name"]))


async def start_pipeline(site: Site, call: Call) -> PipelineInfo:
    """Let a stopped pipeline go on (ENGINE U3)."""
    return await site.write(lambda tx: life.start(tx, call.params["name"]))


async def run_pipeline(site: Site, call: Call) -> JobInfo:
    """One job over the newest inputs."""
    name = call.params["name"]
    commit = await site.write(lambda tx: life.run(tx, name))
    with site.read() as rows:
        return next(job for job in jobs.of_commit(rows, commit) if job.pipeline == name)


async def wait_job(site: Site, call: Call) -> JobInfo:
    """A job when it has ended."""
    identity, timeout = call.params["id"], call.query.timeout

    async def look() -> JobInfo | None:
        with site.read() as rows:
            job = jobs.inspect(rows, identity)
        return job if job.state in TERMINAL else None

    found = await waited(site, look, timeout)
    if found is None:
        raise Unavailable(f"job {identity} has not ended after {timeout:g} s: ask again")
    return found


async def delete_job(site: Site, call: Call) -> None:
    """Forget a job that has ended."""
    while await site.write(lambda tx: history.forget_job(tx, call.params["id"])):
        pass


async def rerun_pipeline(site: Site, call: Call) -> PipelinePlan:
    """Run datums again (ENGINE U5)."""
    name, query = call.params["name"], call.query
    if query.branch and not query.all:
        raise Invalid("a branch goes with all: what failed is run again in its own branch")

    act = ("rerun", name, query.branch)
    before = site.plans.take(act) if query.all and not query.dry_run else ""

    def look() -> life.Again:
        with site.read() as rows:
            if query.all:
                return life.all_again(rows, name, query.branch, before)
            return life.failed_again(rows, name)

    found = await asyncio.to_thread(look)
    if query.dry_run:
        return PipelinePlan(plan=site.plans.keep(act, found.told) if query.all else found.told)

    def work(tx: Transaction) -> PipelinePlan:
        life.run_again(tx, found)
        return PipelinePlan(pipeline=pipelines.inspect(tx.rows, name), plan=found.told)

    return await site.write(work)


async def pipeline_versions(site: Site, call: Call) -> list[PipelineVersion]:
    """The versions of a pipeline (ENGINE U1)."""
    with site.read() as rows:
        return life.versions(rows, call.params["name"])


async def pipeline_version(site: Site, call: Call) -> PipelineVersion:
    """One version of a pipeline."""
    given = call.params["version"]
    if not (given.isascii() and given.isdigit() and len(given) < _DIGITS):
        raise Invalid(f"version {given[:40]!r}: a version is a number from 1 on")
    with site.read() as rows:
        return life.version(rows, call.params["name"], int(given))


async def run_cron(site: Site, call: Call) -> list[Tick]:
    """Tick each cron input of a pipeline now (ENGINE D6)."""
    name = call.params["name"]
    return await site.write(lambda tx: clocks.by_hand(tx, pipelines.spec_of(tx.rows, name)))
