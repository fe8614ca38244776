"""Commands on pipelines."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from vedette.cli import shown
from vedette.cli.session import connected, raw_option
from vedette.cli.web import fetched, is_address
from vedette.client import Client
from vedette.model.api import PipelineVersion
from vedette.model.errors import Invalid, InvalidSpec
from vedette.model.spec import parse_documents, parse_spec, unsupported

Decorated = Callable[..., Any]
_LARGEST = 16 << 20


def spec_option(command: Decorated) -> Decorated:
    """-f FILE, as often as wanted."""
    return click.option(
        "-f", "--file", "files", multiple=True, required=True, metavar="SPEC",
        help="A file or URL of specs (JSON or YAML), or - for standard input; may be repeated.",
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
    for document in await documents(files):
        await _act(client, document, dry_run, raw, since=since)


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
    for document in await documents(files):
        await _act(client, document, dry_run, raw, update=True, reprocess=reprocess)


@click.command("validate-pipeline")
@spec_option
def validate_pipeline(files: tuple[str, ...]) -> None:
    """Check specs by themselves, without a server; every fault is told."""
    faults: list[str] = []
    for document in asyncio.run(documents(files)):
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
@click.argument("pipeline", required=False)
@click.option("--history", is_flag=True, help="All versions that there were, newest first.")
@raw_option
@connected
async def list_pipeline(client: Client, pipeline: str | None, history: bool, raw: bool) -> None:
    """List all pipelines, or one."""
    if history:
        names = [pipeline] if pipeline else [p.name for p in await client.list_pipeline()]
        found = [each for name in names for each in await client.pipeline_versions(name)]
        _history(found, raw)
        return
    pipelines = [await client.inspect_pipeline(pipeline)] if pipeline else []
    pipelines = pipelines or await client.list_pipeline()
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
@click.option("--version", type=click.IntRange(1, 10**9 - 1), help="As it was in this version.")
@raw_option
@connected
async def inspect_pipeline(client: Client, pipeline: str, version: int | None, raw: bool) -> None:
    """Show one pipeline."""
    if version is not None:
        shown.details(await client.pipeline_version(pipeline, version), as_raw=raw)
    else:
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


def _history(found: list[PipelineVersion], raw: bool) -> None:
    if raw:
        shown.raw(found)
        return
    rows = (
        (
            each.pipeline,
            each.version,
            shown.age(each.created),
            ", ".join((*each.changed, *(["reprocess"] if each.reprocess else []))) or "-",
        )
        for each in found
    )
    shown.table(("NAME", "VERSION", "CREATED", "CHANGED"), rows)


async def documents(files: tuple[str, ...]) -> list[dict[str, Any]]:
    """The specs in files, at web addresses, and in standard input (`-`), in order."""
    found: list[dict[str, Any]] = []
    for name in files:
        text = await _text(name)
        if len(text) > _LARGEST:
            raise Invalid(f"{name} has more than {_LARGEST} bytes: that is no file of specs")
        try:
            found += parse_documents(text)
        except Invalid as error:
            raise type(error)(f"{name}: {error.message}") from None
    return found


async def _text(name: str) -> bytes:
    """At most one byte more than may be."""
    if not is_address(name):
        if name == "-":
            return sys.stdin.buffer.read(_LARGEST + 1)
        with Path(name).open("rb") as file:
            return file.read(_LARGEST + 1)
    text = b""
    async for piece in fetched(name):
        text += piece
        if len(text) > _LARGEST:
            break
    return text


async def _act(
    client: Client, document: dict[str, Any], dry_run: bool, raw: bool, **options: Any
) -> None:
    """Say what will happen, then do it (ENGINE U1)."""
    plan = await client.create_pipeline(document, dry_run=True, **options)
    _warn(plan.warnings)
    if plan.plan and not (raw and dry_run):
        print(plan.plan, file=sys.stdout if dry_run else sys.stderr, flush=True)
    if not dry_run:
        plan = await client.create_pipeline(document, **options)
    if raw:
        shown.raw([plan])


def _warn(warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        print(f"vedette: warning: {warning}", file=sys.stderr)
