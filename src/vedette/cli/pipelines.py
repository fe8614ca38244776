"""Commands on pipelines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from vedette.cli import shown
from vedette.cli.session import connected, raw_option
from vedette.client import Client
from vedette.model.api import PipelinePlan
from vedette.model.errors import Invalid, InvalidSpec
from vedette.model.spec import parse_documents, parse_spec, unsupported

Decorated = Callable[..., Any]


def spec_option(command: Decorated) -> Decorated:
    """-f FILE, as often as wanted."""
    return click.option(
        "-f", "--file", "files", multiple=True, required=True, metavar="SPEC",
        help="A file of specs, or - for standard input; may be repeated.",
    )(command)  # fmt: skip


@click.command("create-pipeline")
@spec_option
@click.option("--from", "since", default="", metavar="COMMIT",
              help="Replay an input's history from this commit on.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say what would run.")
@raw_option
@connected
async def create_pipeline(
    client: Client, files: tuple[str, ...], since: str, dry_run: bool, raw: bool
) -> None:
    """Create pipelines from their specs."""
    for document in _documents(files):
        _told(await client.create_pipeline(document, dry_run=dry_run, since=since), dry_run, raw)


@click.command("update-pipeline")
@spec_option
@click.option("--reprocess", is_flag=True, help="Run every datum again.")
@click.option("--dry-run", is_flag=True, help="Only say what would run.")
@raw_option
@connected
async def update_pipeline(
    client: Client, files: tuple[str, ...], reprocess: bool, dry_run: bool, raw: bool
) -> None:
    """Give pipelines new specs; those that are missing are created."""
    for document in _documents(files):
        plan = await client.create_pipeline(
            document, update=True, reprocess=reprocess, dry_run=dry_run
        )
        _told(plan, dry_run, raw)


@click.command("validate-pipeline")
@spec_option
def validate_pipeline(files: tuple[str, ...]) -> None:
    """Check specs by themselves, without a server; every fault is told."""
    faults: list[str] = []
    for document in _documents(files):
        try:
            parsed = parse_spec(document)
        except InvalidSpec as error:
            faults += error.message.splitlines()
            continue
        faults += unsupported(parsed.spec)
        _warn(parsed.warnings)
        print(f"{parsed.spec.name}: a spec that can be created")
    if faults:
        raise InvalidSpec("\n".join(faults))


@click.command("list-pipeline")
@raw_option
@connected
async def list_pipeline(client: Client, raw: bool) -> None:
    """List all pipelines."""
    pipelines = await client.list_pipeline()
    if raw:
        shown.raw(pipelines)
        return
    rows = (
        (
            pipeline.name,
            pipeline.input,
            pipeline.output,
            shown.age(pipeline.created),
            f"{pipeline.state}: {pipeline.reason}" if pipeline.reason else pipeline.state,
        )
        for pipeline in pipelines
    )
    shown.table(("NAME", "INPUT", "OUTPUT", "CREATED", "STATE"), rows)


@click.command("inspect-pipeline")
@click.argument("pipeline")
@raw_option
@connected
async def inspect_pipeline(client: Client, pipeline: str, raw: bool) -> None:
    """Show one pipeline."""
    shown.details(await client.inspect_pipeline(pipeline), as_raw=raw)


@click.command("delete-pipeline")
@click.argument("pipeline", required=False)
@click.option("-f", "--force", is_flag=True, help="Also when another pipeline reads it.")
@click.option("--keep-repo", is_flag=True, help="Keep what it has written.")
@click.option("--all", "everything", is_flag=True, help="All pipelines.")
@connected
async def delete_pipeline(
    client: Client, pipeline: str | None, force: bool, keep_repo: bool, everything: bool
) -> None:
    """Delete a pipeline and its repo."""
    if bool(pipeline) == everything:
        raise Invalid("name one pipeline, or use --all")
    names = [pipeline] if pipeline else [p.name for p in await client.list_pipeline()]
    for name in names:
        await client.delete_pipeline(name, force=force or everything, keep_repo=keep_repo)


def _documents(files: tuple[str, ...]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in files:
        text = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        try:
            documents = parse_documents(text)
        except Invalid as error:
            raise type(error)(f"{name}: {error.message}") from None
        if not documents:
            raise InvalidSpec(f"{name} holds no pipeline spec")
        found += documents
    return found


def _told(plan: PipelinePlan, dry_run: bool, raw: bool) -> None:
    _warn(plan.warnings)
    if raw:
        shown.raw([plan])
    elif plan.plan:
        print(plan.plan, file=sys.stdout if dry_run else sys.stderr)


def _warn(warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        print(f"vedette: warning: {warning}", file=sys.stderr)
