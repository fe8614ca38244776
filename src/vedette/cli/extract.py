"""Taking the definition of an installation out, and making it again elsewhere."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from vedette.cli import words
from vedette.cli.pipelines import spec_option
from vedette.cli.session import connected, raw_option
from vedette.decide.order import topological
from vedette.model.errors import Conflict, InvalidSpec
from vedette.model.inputs import Cron, leaves
from vedette.model.pipeline import PipelineInfo, PipelineSpec
from vedette.model.spec import parse_spec

if TYPE_CHECKING:
    from vedette.client import Client


@words.command("extract-pipeline")
@words.argument("pipeline")
@words.option("--version", type=words.integer(1, 10**9 - 1), help="As it was in this version.")
@raw_option
@connected
async def extract_pipeline(client: Client, pipeline: str, version: int | None, raw: bool) -> None:
    """Print the spec of a pipeline, to create it again. Values of secrets are not in it."""
    if version is not None:
        spec = (await client.pipeline_version(pipeline, version)).spec
    else:
        spec = (await client.inspect_pipeline(pipeline)).spec
    _tell_secrets([spec])
    print(_shown(spec, raw))


@words.command("extract")
@raw_option
@connected
async def extract(client: Client, raw: bool) -> None:
    """Print all repos and pipelines, without files and secrets, for `recreate`."""
    pipelines = _ordered(await client.list_pipeline())
    ticks = {
        leaf.repo
        for pipeline in pipelines
        for leaf in leaves(parse_spec(pipeline.spec).spec.input)
        if isinstance(leaf, Cron)
    }
    for repo in await client.list_repo():
        if repo.kind == "user" and repo.name not in ticks:
            made = {"name": repo.name, "description": repo.description}
            print(_shown({"repo": made}, raw))
    _tell_secrets([pipeline.spec for pipeline in pipelines])
    for pipeline in pipelines:
        print(_shown(pipeline.spec, raw))


@words.command("recreate")
@spec_option
@connected
async def recreate(client: Client, documents: list[dict[str, Any]]) -> None:
    """Make the repos and pipelines of an extract; those that exist as they should stay."""
    present = {info.name: info.spec for info in await client.list_pipeline()}
    for document in documents:
        if "repo" in document:
            await _repo(client, document["repo"])
            continue
        name = parse_spec(document).spec.name
        if present.get(name) != document:
            await client.create_pipeline(document)
            print(f"pipeline {name}", file=sys.stderr)


async def _repo(client: Client, given: Any) -> None:
    name = given.get("name") if isinstance(given, dict) else None
    if not isinstance(name, str) or not isinstance(given.get("description", ""), str):
        raise InvalidSpec(f"a repo is given by name and description, not {given!r:.60}")
    try:
        await client.create_repo(name, given.get("description", ""))
    except Conflict:
        return
    print(f"repo {name}", file=sys.stderr)


def _ordered(pipelines: list[PipelineInfo]) -> list[PipelineInfo]:
    """Each after those that it reads, so that they can be made in this order."""
    named = {pipeline.name: pipeline for pipeline in pipelines}
    reads = {pipeline.name: set(pipeline.inputs) for pipeline in pipelines}
    for pipeline in pipelines:
        made = parse_spec(pipeline.spec).spec
        for leaf in leaves(made.input):
            if isinstance(leaf, Cron):
                # Who reads the ticks of another comes after it.
                for other, inputs in reads.items():
                    if other != pipeline.name and leaf.repo in inputs:
                        inputs.add(pipeline.name)
    return [named[name] for name in topological(reads, {name: name for name in named})]


def _shown(document: dict[str, Any], raw: bool) -> str:
    if raw:
        return msgspec.json.encode(document).decode()
    return json.dumps(document, indent=2, ensure_ascii=False)


def _tell_secrets(specs: list[dict[str, Any]]) -> None:
    parsed: list[PipelineSpec] = [parse_spec(spec).spec for spec in specs]
    names = sorted({mount.name for spec in parsed for mount in spec.transform.secrets})
    if names:
        print(f"vedette: secrets to create there: {', '.join(names)}", file=sys.stderr)
