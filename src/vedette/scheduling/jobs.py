"""Jobs, for people and programs."""

from __future__ import annotations

import msgspec

from vedette.metadata.store import Row, Rows
from vedette.model.errors import Conflict, NotFound
from vedette.model.inputs import leaves
from vedette.model.job import TERMINAL, JobInfo, JobInput
from vedette.scheduling.intents import JobStopped, intend
from vedette.scheduling.pipelines import stored_spec
from vedette.versioning.times import maybe, moment
from vedette.versioning.transaction import Transaction

_NEWEST = 2**62


def listing(
    rows: Rows, pipeline: str | None = None, limit: int = 100, before: int | None = None
) -> list[JobInfo]:
    """The newest jobs first, of one pipeline or of all; `before` is a job's number."""
    top = _NEWEST if before is None else before
    if pipeline is None:
        found = rows.all("jobs", before=top, limit=limit)
    else:
        row = rows.one("pipeline_by_name", name=pipeline)
        if row is None:
            raise NotFound(f"no pipeline {pipeline}: list-pipeline shows those there are")
        found = rows.all("jobs_of_pipeline", pipeline=row[0], before=top, limit=limit)
    return [_info(rows, row) for row in found]


def inspect(rows: Rows, job_id: str) -> JobInfo:
    """One job, by its id or as PIPELINE@COMMIT. Raises NotFound."""
    return _info(rows, _row(rows, job_id))


def _row(rows: Rows, job_id: str) -> Row:
    if "@" in job_id:
        pipeline, _, commit = job_id.partition("@")
        found = [r for r in rows.all("jobs_of_commit", id=commit) if r[2] == pipeline]
        row = found[-1] if found else None
    else:
        row = rows.one("job_by_id", id=job_id)
    if row is None:
        raise NotFound(f"no job {job_id}: list-job shows those there are", job=job_id)
    return row


def number(rows: Rows, job_id: str) -> int:
    """The number of a job. Raises NotFound."""
    return int(_row(rows, job_id)[0])


def of_commit(rows: Rows, commit_id: str) -> list[JobInfo]:
    """The jobs that a global id ties together, in the order of the data flow."""
    return [_info(rows, row) for row in rows.all("jobs_of_commit", id=commit_id)]


def stop(tx: Transaction, job_id: str) -> None:
    """End a job: KILLED, nothing committed (ENGINE U5).

    The output of one that is EGRESSING is committed already, and stays: only its copying ends.
    """
    row = _row(tx.rows, job_id)
    if row[5] in TERMINAL:
        raise Conflict(f"job {job_id} has ended already ({row[5]})", job=job_id)
    intend(tx, JobStopped(row[0]))


def _info(rows: Rows, row: Row) -> JobInfo:
    spec = stored_spec(row[19])
    inputs = []
    for leaf, num in zip(leaves(spec.input), msgspec.msgpack.decode(row[18]), strict=False):
        named = rows.one("commit_name", num=num)
        if named is not None:
            inputs.append(JobInput(name=leaf.name, repo=named[0], branch=named[1], commit=named[2]))
    return JobInfo(
        id=row[1], pipeline=row[2], version=row[3], commit=row[4], state=row[5], reason=row[6],
        created=moment(row[7]), started=maybe(row[8]), finished=maybe(row[9]), restarts=row[10],
        total=row[11], processed=row[12], skipped=row[13], failed=row[14], recovered=row[15],
        download=row[16], upload=row[17], inputs=tuple(inputs), number=row[0],
    )  # fmt: skip
