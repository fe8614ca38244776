"""Stopping, starting and running again (ENGINE U3, U5)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from vedette.metadata.store import Row, Rows
from vedette.model.api import PipelineVersion
from vedette.model.errors import Conflict, NotFound
from vedette.model.inputs import leaves
from vedette.model.pipeline import PipelineInfo
from vedette.scheduling import pipelines, plans, rerun
from vedette.scheduling.forecast import forecast, told
from vedette.scheduling.intents import (
    FailedRerun,
    PipelineRun,
    PipelineStarted,
    PipelineStopped,
    intend,
)
from vedette.versioning import repos
from vedette.versioning.times import moment
from vedette.versioning.transaction import Transaction


def stop(tx: Transaction, name: str) -> PipelineInfo:
    """Start nothing more of a pipeline; what runs goes on to its end. Raises NotFound.

    Its unfinished jobs stay unfinished, and its clocks stand still, until it is started.
    """
    row = pipelines.row_of(tx.rows, name)
    if row[7] != "PAUSED":
        tx.rows.run("set_pipeline_state", id=row[0], state="PAUSED", reason="")
        intend(tx, PipelineStopped(name))
    return pipelines.inspect(tx.rows, name)


def start(tx: Transaction, name: str) -> PipelineInfo:
    """Let a stopped pipeline go on, with one job for the newest inputs. Raises NotFound."""
    row = pipelines.row_of(tx.rows, name)
    if row[7] == "PAUSED":
        tx.rows.run("set_pipeline_state", id=row[0], state="RUNNING", reason="")
        intend(tx, PipelineStarted(name))
    return pipelines.inspect(tx.rows, name)


def run(tx: Transaction, name: str) -> str:
    """Have one job over the newest inputs, though none of them is new; its global id.

    Raises NotFound, and Conflict for a pipeline that is stopped or whose inputs have no commits.
    """
    row = pipelines.row_of(tx.rows, name)
    refuse_stopped(row)
    for leaf in leaves(pipelines.spec_of(tx.rows, name).input):
        repo = repos.get(tx.rows, leaf.repo).id
        head = tx.rows.one("branch_head", repo=repo, name=leaf.branch)
        if head is None or head[0] is None:
            raise Conflict(
                f"pipeline {name} cannot run: {leaf.repo}@{leaf.branch} has no commit yet, "
                "put a file first"
            )
    commit = tx.new_id()
    intend(tx, PipelineRun(name, commit))
    return commit


class Again(Struct, frozen=True, kw_only=True):
    """What running a pipeline again will do: `told` in a sentence. Without `acts` it is nothing."""

    pipeline: str
    told: str
    acts: bool = True
    everything: bool = False
    branch: str = ""


def failed_again(rows: Rows, name: str) -> Again:
    """Running the datums again that stand failed. Raises NotFound, Conflict for a stopped one."""
    row = pipelines.row_of(rows, name)
    refuse_stopped(row)
    failed = len(rows.all("failed_members", name=name, pipeline=row[0]))
    if failed:
        said = f"pipeline {name}: {failed} run, because they failed before"
        return Again(pipeline=name, told=said)
    newest = rows.one("newest_job", pipeline=row[0])
    if newest is None or newest[1] not in ("FAILURE", "KILLED", "UNRUNNABLE"):
        said = f"pipeline {name}: 0 run, because none stands failed"
        return Again(pipeline=name, told=said, acts=False)
    said = f"pipeline {name}: what job {newest[0]} ({newest[1]}) did not do runs again"
    return Again(pipeline=name, told=said)


def all_again(rows: Rows, name: str, branch: str = "", before: str = "") -> Again:
    """Running every datum again, as a new version of the same spec, or into another branch.

    `before` is what was told of it a moment ago: then datums are not counted again. Raises as
    `failed_again`, and as `rerun.check`.
    """
    row = pipelines.row_of(rows, name)
    refuse_stopped(row)
    document = msgspec.json.decode(row[9])
    if branch:
        rerun.check(rows, row, branch)
        return Again(
            pipeline=name, everything=True, branch=branch,
            told=before or _into(rows, row, branch),
        )  # fmt: skip
    said = before or plans.plan(rows, document, update=True, reprocess=True)
    return Again(pipeline=name, told=said, everything=True)


def _into(rows: Rows, row: Row, branch: str) -> str:
    what = told(forecast(rows, row, fresh=True), "nothing of before counts as done")
    return f"pipeline {row[1]}: {what}, into branch {branch}; live work does not wait"


def run_again(tx: Transaction, again: Again) -> str:
    """Do so; what was told. Raises NotFound and Conflict if that has become impossible."""
    refuse_stopped(pipelines.row_of(tx.rows, again.pipeline))
    if again.branch:
        rerun.begin(tx, pipelines.row_of(tx.rows, again.pipeline), again.branch)
    elif again.everything:
        document = msgspec.json.decode(pipelines.row_of(tx.rows, again.pipeline)[9])
        pipelines.create(tx, document, update=True, reprocess=True)
    elif again.acts:
        intend(tx, FailedRerun(again.pipeline))
    return again.told


def versions(rows: Rows, name: str) -> list[PipelineVersion]:
    """The versions of a pipeline, newest first (ENGINE U1). Raises NotFound."""
    row = pipelines.row_of(rows, name)
    found: list[PipelineVersion] = []
    before: dict[str, Any] = {}
    salt = b""
    for version, encoded, own, created in rows.all("pipeline_versions", pipeline=row[0]):
        document: dict[str, Any] = msgspec.json.decode(encoded)
        names = sorted(before.keys() | document.keys()) if found else []
        found.append(
            PipelineVersion(
                pipeline=name, version=version, created=moment(created), spec=document,
                changed=tuple(n for n in names if before.get(n) != document.get(n)),
                reprocess=bool(found) and own != salt,
            )
        )  # fmt: skip
        before, salt = document, own
    return found[::-1]


def version(rows: Rows, name: str, number: int) -> PipelineVersion:
    """One version of a pipeline. Raises NotFound, saying which there are."""
    found = versions(rows, name)
    for each in found:
        if each.version == number:
            return each
    raise NotFound(f"pipeline {name} has no version {number}: it has 1 to {found[0].version}")


def refuse_stopped(row: Row) -> None:
    """Raise Conflict for a pipeline that would not run what is asked of it."""
    if row[7] == "PAUSED":
        raise Conflict(f"pipeline {row[1]} is stopped: start-pipeline {row[1]} first")
