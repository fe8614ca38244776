"""Operations on pipelines."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from vedette.client.endpoints import PipelineOptions
from vedette.model import egress
from vedette.model.api import PipelinePlan
from vedette.model.pipeline import PipelineInfo
from vedette.model.spec import parse_spec
from vedette.scheduling import pipelines, plans
from vedette.server import secrets
from vedette.server.call import Call
from vedette.server.site import Site
from vedette.versioning.transaction import Transaction

_SECRET_NAME = re.compile(r"SGKEY|.*_(?:KEY|TOKEN|PASSWORD|SECRET)")
_ENV_VAR = ("env_var", "envVar")


async def create_pipeline(site: Site, call: Call) -> PipelinePlan:
    """Create or update a pipeline, or say what that would do.

    Datums are counted before the write and never in it: what comes meanwhile is not in the plan.
    """
    document, values = lift_secrets(call.body)
    query = call.query
    with site.read() as rows:
        spec, warnings = pipelines.read_spec(document, rows)
    if spec.egress is not None:
        egress.check(spec.egress, site.egress_roots)
    act = ("create", document, query.update, query.reprocess, query.since)
    if query.dry_run:
        plan = site.plans.keep(act, await asyncio.to_thread(_plan, site, document, query))
        return PipelinePlan(plan=plan, warnings=warnings)
    plan = site.plans.take(act) or await asyncio.to_thread(_plan, site, document, query)

    def work(tx: Transaction) -> PipelinePlan:
        _keep(tx, document, values)
        info = pipelines.create(
            tx, document, update=query.update, reprocess=query.reprocess, since=query.since
        )
        return PipelinePlan(pipeline=info, plan=plan, warnings=warnings)

    return await site.write(work)


def _plan(site: Site, document: dict[str, Any], query: PipelineOptions) -> str:
    with site.read() as rows:
        return plans.plan(rows, document, update=query.update, reprocess=query.reprocess)


async def list_pipeline(site: Site, _: Call) -> list[PipelineInfo]:
    """All pipelines."""
    with site.read() as rows:
        return pipelines.listing(rows)


async def inspect_pipeline(site: Site, call: Call) -> PipelineInfo:
    """One pipeline."""
    with site.read() as rows:
        return pipelines.inspect(rows, call.params["name"])


async def delete_pipeline(site: Site, call: Call) -> None:
    """Delete a pipeline (ENGINE U4) with the secrets that its spec brought."""
    name, query = call.params["name"], call.query

    def work(tx: Transaction) -> None:
        pipelines.delete(tx, name, force=query.force, keep_repo=query.keep_repo)
        tx.rows.run("secret_delete", name=secret_of(name))

    await site.write(work)


def secret_of(pipeline: str) -> str:
    """The secret that holds what a pipeline's spec had in its environment."""
    return f"pipeline-{pipeline}"


def lift_secrets(document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """A spec without the secret values of `transform.env`, and those values by name.

    SGKEY and names that end in _KEY, _TOKEN, _PASSWORD or _SECRET count as secret; each becomes a
    reference in `transform.secrets`. An empty value stays: it says that there is none. What does
    not look like a spec is returned as it is, for the parser to name its faults.
    """
    transform, pipeline = document.get("transform"), document.get("pipeline")
    env = transform.get("env") if isinstance(transform, dict) else None
    name = pipeline.get("name") if isinstance(pipeline, dict) else None
    if not isinstance(transform, dict) or not isinstance(env, dict) or not isinstance(name, str):
        return dict(document), {}
    values = {
        key: value
        for key, value in env.items()
        if _SECRET_NAME.fullmatch(key) and isinstance(value, str) and value
    }
    if not values:
        return dict(document), {}
    given = transform.get("secrets")
    kept = [
        reference
        for reference in (given if isinstance(given, list) else [])
        if not (isinstance(reference, dict) and any(reference.get(w) in values for w in _ENV_VAR))
    ]
    references = [{"name": secret_of(name), "env_var": key, "key": key} for key in values]
    lifted = {
        **transform,
        "env": {key: value for key, value in env.items() if key not in values},
        "secrets": kept + references,
    }
    return {**document, "transform": lifted}, values


def _keep(tx: Transaction, document: Mapping[str, Any], values: Mapping[str, str]) -> None:
    """Store the values; forget those that the new document no longer refers to."""
    name = parse_spec(dict(document)).spec.name
    secret = secret_of(name)
    if values:
        secrets.put(tx, secret, values)
    wanted = {
        mount.key
        for mount in parse_spec(dict(document)).spec.transform.secrets
        if mount.name == secret
    }
    for key, _ in tx.rows.all("secret_keys", name=secret):
        if key not in wanted:
            tx.rows.run("secret_delete_key", name=secret, key=key)
