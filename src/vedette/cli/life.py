"""Commands on the life of pipelines and jobs."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from vedette.cli import shown, words
from vedette.cli.session import connected, raw_option
from vedette.model.errors import Invalid

if TYPE_CHECKING:
    from vedette.client import Client


@words.command("stop-pipeline")
@words.argument("pipeline")
@connected
async def stop_pipeline(client: Client, pipeline: str) -> None:
    """Start nothing more of a pipeline; what runs goes on to its end."""
    await client.stop_pipeline(pipeline)


@words.command("start-pipeline")
@words.argument("pipeline")
@connected
async def start_pipeline(client: Client, pipeline: str) -> None:
    """Let a stopped pipeline go on, with one job for the newest inputs."""
    await client.start_pipeline(pipeline)


@words.command("run-pipeline")
@words.argument("pipeline")
@raw_option
@connected
async def run_pipeline(client: Client, pipeline: str, raw: bool) -> None:
    """Have one job over the newest inputs, though none is new, and print its id."""
    job = await client.run_pipeline(pipeline)
    if raw:
        shown.raw([job])
    else:
        print(job.id)


@words.command("wait-job")
@words.argument("job")
@words.option(
    "--timeout", type=words.number(), default=3600.0, help="Give up after so many seconds."
)
@raw_option
@connected
async def wait_job(client: Client, job: str, timeout: float, raw: bool) -> None:
    """Wait until a job has ended, and show it."""
    shown.details(await client.wait_job(job, timeout), as_raw=raw)


@words.command("delete-job")
@words.argument("job")
@connected
async def delete_job(client: Client, job: str) -> None:
    """Forget a job that has ended, with its logs; its commit stays."""
    await client.delete_job(job)


@words.command("rerun-pipeline")
@words.argument("pipeline")
@words.option("--failed", is_flag=True, help="What stands failed; so it is without options.")
@words.option("--all", "everything", is_flag=True, help="Every datum.")
@words.option("--branch", default="", help="With --all: into this branch, beside the live one.")
@words.option("--dry-run", is_flag=True, help="Only say what would run.")
@raw_option
@connected
async def rerun_pipeline(
    client: Client,
    pipeline: str,
    failed: bool,
    everything: bool,
    branch: str,
    dry_run: bool,
    raw: bool,
) -> None:
    """Run datums again: what failed, or everything."""
    if failed and everything:
        raise Invalid("use --failed or --all, not both")
    again = partial(client.rerun_pipeline, pipeline, everything=everything, branch=branch)
    plan = await again(dry_run=True)
    print(plan.plan, file=sys.stdout if dry_run and not raw else sys.stderr)
    if not dry_run:
        plan = await again()
    if raw:
        shown.raw([plan])


@words.command("run-cron")
@words.argument("pipeline")
@connected
async def run_cron(client: Client, pipeline: str) -> None:
    """Tick each cron input of a pipeline now, and print the commits."""
    for tick in await client.run_cron(pipeline):
        print(f"{tick.repo}@{tick.commit}:{tick.path}")


@words.command("delete-all", by_click=True)
@words.option("-y", "--yes", is_flag=True, help="Do not ask.")
@connected
async def delete_all(client: Client, yes: bool) -> None:
    """Delete every pipeline and every repo. Tokens and secrets stay."""
    pipelines, repos = await client.list_pipeline(), await client.list_repo()
    names = ", ".join(repo.name for repo in repos[:8]) + (", ..." if len(repos) > 8 else "")
    if not yes:
        if not sys.stdin.isatty():
            raise Invalid("delete-all asks first, but nobody can answer: use --yes")
        import click

        click.confirm(
            f"Delete {len(pipelines)} pipelines and {len(repos)} repos ({names})?", abort=True
        )
    for pipeline in pipelines:
        await client.delete_pipeline(pipeline.name, force=True)
    for repo in await client.list_repo():
        await client.delete_repo(repo.name, force=True)
