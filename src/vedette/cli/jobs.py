"""Commands on jobs, datums and logs."""

from __future__ import annotations

import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from vedette.cli import shown, words
from vedette.cli.session import connected, raw_option, speak
from vedette.model.errors import Invalid

if TYPE_CHECKING:
    from vedette.client import Client
    from vedette.model.job import DatumInfo, JobInfo

_PAGE = 1000


@words.command("list-job")
@words.argument("commit", required=False, metavar="[ID]")
@words.option("-p", "--pipeline", default="", help="Of one pipeline only.")
@words.option("-n", "--number", type=words.integer(1, 10_000), default=100, help="So many at most.")
@raw_option
@connected
async def list_job(
    client: Client, commit: str | None, pipeline: str, number: int, raw: bool
) -> None:
    """List jobs, newest first; with the ID of a commit those that it caused."""
    jobs = await client.list_job(pipeline, commit=commit or "", limit=number)
    if raw:
        shown.raw(jobs)
        return
    columns = (
        "ID", "OUTPUT COMMIT", "STARTED", "DURATION", "RESTART", "PROGRESS", "DL", "UL", "STATE"
    )  # fmt: skip
    shown.table(columns, map(_job, jobs))


def _job(job: JobInfo) -> tuple[object, ...]:
    return (
        job.id,
        f"{job.pipeline}/{job.commit}",
        shown.age(job.started or job.created),
        shown.duration(job.started or job.created, job.finished),
        job.restarts,
        f"{job.processed} + {job.skipped} / {job.total}",
        shown.size(job.download),
        shown.size(job.upload),
        f"{job.state}: {job.reason}" if job.reason else job.state,
    )


@words.command("inspect-job")
@words.argument("job")
@raw_option
@connected
async def inspect_job(client: Client, job: str, raw: bool) -> None:
    """Show one job."""
    shown.details(await client.inspect_job(job), as_raw=raw)


@words.command("stop-job")
@words.argument("job")
@connected
async def stop_job(client: Client, job: str) -> None:
    """End a job; nothing of it is committed."""
    await client.stop_job(job)


@words.command("list-datum")
@words.argument("job", required=False)
@words.option("-p", "--pipeline", default="", help="With --failed: of one pipeline only.")
@words.option("--failed", is_flag=True, help="Datums that failed, of any job.")
@words.option("-f", "--file", "spec", default="", metavar="SPEC",
              help="Those of a pipeline that need not exist.")  # fmt: skip
@words.option("-n", "--number", type=words.integer(1, 1_000_000), default=1000,
              help="With -f: so many at most.")  # fmt: skip
@raw_option
def list_datum(
    job: str | None, pipeline: str, failed: bool, spec: str, number: int, raw: bool
) -> None:
    """List the datums of a job, those that failed, or those that a spec would have."""
    if sum(map(bool, (job, failed, spec))) != 1:
        raise Invalid("name one job, or use --failed, or -f SPEC")
    if not spec:
        speak(lambda client: _list_datum(client, job, pipeline, raw))
        return
    from vedette.cli.spec_files import documents

    specs = documents((spec,))
    if len(specs) != 1:
        raise Invalid(f"{spec} holds {len(specs)} specs: give one")
    speak(lambda client: _preview(client, specs[0], number, raw))


async def _list_datum(client: Client, job: str | None, pipeline: str, raw: bool) -> None:
    found: list[DatumInfo] = []
    while True:
        after = found[-1].number if found else 0
        page = (
            await client.list_datum(job, after=after, limit=_PAGE)
            if job
            else await client.failed_datums(pipeline, after=after, limit=_PAGE)
        )
        found += page
        if len(page) < _PAGE:
            break
    if raw:
        shown.raw(found)
        return
    rows = (
        (d.number, ", ".join(f.path for f in d.inputs), f"{d.seconds:.2f}s", d.state, d.reason)
        for d in found
    )
    shown.table(("NUMBER", "FILES", "TIME", "STATE", "REASON"), rows)


async def _preview(client: Client, document: dict[str, Any], number: int, raw: bool) -> None:
    """The datums of a pipeline that need not exist (ENGINE D9)."""
    found: list[DatumInfo] = []
    while True:
        page = await client.preview_datum(
            document, after=len(found), limit=min(_PAGE, number - len(found))
        )
        found += page.datums
        if not page.datums or len(found) >= min(number, page.total):
            break
    if raw:
        shown.raw(found)
        return
    rows = ((d.id[:12], ", ".join(f"{f.name}:{f.path}" for f in d.inputs), d.state) for d in found)
    shown.table(("ID", "FILES", "STATE"), rows)
    if page.waiting:
        print(f"no datums before {', '.join(page.waiting)} has a commit", file=sys.stderr)
    elif page.total > len(found):
        print(f"{page.total - len(found):,} more of {page.total:,}: use -n", file=sys.stderr)


@words.command("inspect-datum")
@words.argument("words", nargs=-1, required=True, metavar="[JOB] DATUM")
@raw_option
@connected
async def inspect_datum(client: Client, words: tuple[str, ...], raw: bool) -> None:
    """Show one datum, by number or id."""
    if len(words) > 2:
        raise Invalid("name one datum, by number or id")
    shown.details(await client.inspect_datum(words[-1]), as_raw=raw)


@words.command("restart-datum")
@words.argument("datum", type=words.integer(1))
@connected
async def restart_datum(client: Client, datum: int) -> None:
    """Run a datum again, named by its number."""
    await client.restart_datum(datum)


@words.command("get-logs")
@words.option("-p", "--pipeline", default="", help="Of a pipeline.")
@words.option("-j", "--job", default="", help="Of a job.")
@words.option("--datum", default="", help="Of a datum, by number or id.")
@words.option("-f", "--follow", is_flag=True, help="Go on as lines come.")
@raw_option
@connected
async def get_logs(
    client: Client, pipeline: str, job: str, datum: str, follow: bool, raw: bool
) -> None:
    """Show what user code wrote."""
    if not (pipeline or job or datum):
        raise Invalid("say whose logs: --pipeline, --job or --datum")
    found = client.logs(pipeline=pipeline, job=job, datum=datum, follow=follow)
    async with aclosing(found) as lines:
        async for line in lines:
            if raw:
                shown.raw([line])
            else:
                print(line.text)
            if follow:
                sys.stdout.flush()
