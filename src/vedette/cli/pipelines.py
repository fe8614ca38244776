"""Commands on pipelines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from vedette.cli import shown, words
from vedette.cli.session import connected, raw_option
from vedette.model.errors import Invalid, InvalidSpec

if TYPE_CHECKING:
    from vedette.client import Client
    from vedette.model.api import PipelineVersion

Decorated = Callable[..., Any]


def spec_option(command: Decorated) -> Decorated:
    """-f FILE, as often as wanted; the command is given all `documents` that are in them."""

    @words.option(
        "-f", "--file", "files", multiple=True, required=True, metavar="SPEC",
        help="A file or URL of specs (JSON or YAML), or - for standard input; may be repeated.",
    )  # fmt: skip
    @wraps(command)
    def read(files: tuple[str, ...], **given: Any) -> Any:
        from vedette.cli.spec_files import documents

        return command(documents=documents(files), **given)

    return read


@words.command("create-pipeline")
@spec_option
@words.option("--from", "since", default="", metavar="COMMIT",
              help="Replay an input's history from this commit on.")  # fmt: skip
@words.option("--dry-run", is_flag=True, help="Only say what would run.")
@raw_option
@connected
async def create_pipeline(
    client: Client, documents: list[dict[str, Any]], since: str, dry_run: bool, raw: bool
) -> None:
    """Create pipelines from their specs."""
    for document in documents:
        await _act(client, document, dry_run, raw, since=since)


@words.command("update-pipeline")
@spec_option
@words.option("--reprocess", is_flag=True, help="Run every datum again.")
@words.option("--dry-run", is_flag=True, help="Only say what would run.")
@raw_option
@connected
async def update_pipeline(
    client: Client, documents: list[dict[str, Any]], reprocess: bool, dry_run: bool, raw: bool
) -> None:
    """Give pipelines new specs; those that are missing are created."""
    for document in documents:
        await _act(client, document, dry_run, raw, update=True, reprocess=reprocess)


@words.command("validate-pipeline")
@spec_option
def validate_pipeline(documents: list[dict[str, Any]]) -> None:
    """Check specs by themselves, without a server; every fault is told."""
    from vedette.model.spec import parse_spec, unsupported

    faults: list[str] = []
    for document in documents:
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


@words.command("list-pipeline")
@words.argument("pipeline", required=False)
@words.option("--history", is_flag=True, help="All versions that there were, newest first.")
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


@words.command("inspect-pipeline")
@words.argument("pipeline")
@words.option("--version", type=words.integer(1, 10**9 - 1), help="As it was in this version.")
@raw_option
@connected
async def inspect_pipeline(client: Client, pipeline: str, version: int | None, raw: bool) -> None:
    """Show one pipeline."""
    if version is not None:
        shown.details(await client.pipeline_version(pipeline, version), as_raw=raw)
    else:
        shown.details(await client.inspect_pipeline(pipeline), as_raw=raw)


@words.command("delete-pipeline")
@words.argument("pipeline", required=False)
@words.option("-f", "--force", is_flag=True, help="Also when another pipeline reads it.")
@words.option("--keep-repo", is_flag=True, help="Keep what it has written.")
@words.option("--all", "everything", is_flag=True, help="All pipelines.")
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
