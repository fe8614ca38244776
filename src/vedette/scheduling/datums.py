"""Datums and their logs, for people and programs."""

from __future__ import annotations

from typing import Any

import msgspec

from vedette.metadata.store import Row, Rows
from vedette.model.errors import Conflict, NotFound
from vedette.model.inputs import leaves
from vedette.model.job import DatumFile, DatumInfo, LogLine
from vedette.scheduling import jobs
from vedette.scheduling.intents import DatumRestarted, intend
from vedette.scheduling.pipelines import stored_spec
from vedette.versioning.times import maybe, moment
from vedette.versioning.transaction import Transaction

_STATES: dict[str, Any] = {
    "queued": "QUEUED", "dropped": "QUEUED", "waiting": "QUEUED", "leased": "RUNNING",
    "done": "SUCCESS", "run": "SUCCESS", "cached": "SKIPPED", "failed": "FAILED",
    "recovered": "RECOVERED",
}  # fmt: skip


_NUMBER_DIGITS = 19
"""A number has fewer digits; what has more may be an id."""


def of_job(rows: Rows, job_id: str, after: int = 0, limit: int = 1000) -> list[DatumInfo]:
    """The datums that a job looked at: those that its base did not have as they are."""
    job = jobs.inspect(rows, job_id)
    found = rows.all("datums_of_job", job=job.number, after=after, limit=limit)
    if not found and job.finished is None:
        found = rows.all("open_datums_of_job", job=job.number, after=after, limit=limit)
    names = _Names(rows)
    return [_info(names, row, job.id) for row in found]


def inspect(rows: Rows, name: str | int, pipeline: str | None = None) -> DatumInfo:
    """One datum, by number or by its id in hex (its newest record). Raises NotFound."""
    if isinstance(name, int) or (name.isascii() and name.isdigit() and len(name) < _NUMBER_DIGITS):
        row = rows.one("datum_info", num=int(name))
    else:
        row = rows.one("datum_info_by_ident", ident=_ident(name))
    if row is None or (pipeline is not None and row[2] != pipeline):
        raise NotFound(f"no datum {name}: list-datum JOB shows those of a job")
    return _info(_Names(rows), row, row[11] or "")


def _ident(name: str) -> bytes:
    try:
        return bytes.fromhex(name)
    except ValueError:
        raise NotFound(f"no datum {name}: give its number or its 64 hex digits") from None


def failed(
    rows: Rows, pipeline: str | None = None, after: int = 0, limit: int = 1000
) -> list[DatumInfo]:
    """Datums that stand failed, oldest first, after a number."""
    if pipeline is None:
        found = rows.all("failed_datums", after=after, limit=limit)
    else:
        found = rows.all("failed_datums_of_pipeline", pipeline=pipeline, after=after, limit=limit)
    names = _Names(rows)
    return [_info(names, row, row[11] or "") for row in found]


def restart(tx: Transaction, number: int) -> None:
    """Run a datum again (ENGINE U5). Raises NotFound; Conflict while it is queued or running."""
    row = tx.rows.one("datum_by_num", num=number)
    if row is None:
        raise NotFound(f"no datum {number}: list-datum JOB shows those of a job")
    if row[5] in ("queued", "leased"):
        raise Conflict(f"datum {number} has not ended yet", datum=number)
    owner = tx.rows.one("pipeline_by_name", name=row[3])
    if owner is None:
        raise NotFound(f"pipeline {row[3]} of datum {number} no longer exists")
    if owner[7] == "PAUSED":
        raise Conflict(f"pipeline {row[3]} is stopped: start-pipeline {row[3]} first")
    intend(tx, DatumRestarted(row[3], number))


class _Names:
    """The input names, repos and branches of pipelines, read once each."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._known: dict[str, list[tuple[str, str, str]]] = {}

    def of(self, pipeline: str) -> list[tuple[str, str, str]]:
        """(name, repo, branch) of each leaf of a pipeline's present version."""
        if pipeline not in self._known:
            row = self._rows.one("pipeline_by_name", name=pipeline)
            found = []
            if row is not None:
                spec = stored_spec(row[9])
                for leaf in leaves(spec.input):
                    found.append((leaf.name, leaf.repo, leaf.branch))
            self._known[pipeline] = found
        return self._known[pipeline]


def _info(names: _Names, row: Row, job: str) -> DatumInfo:
    known = names.of(row[2])
    inputs = []
    for leaf, path, name, size in msgspec.msgpack.decode(row[4]):
        here = known[leaf] if leaf < len(known) else ("", "", "")
        inputs.append(
            DatumFile(name=here[0], repo=here[1], branch=here[2], path=path,
                      object=name.hex() if name else "", size=size)
        )  # fmt: skip
    outputs = () if row[9] is None else tuple(o[0] for o in msgspec.msgpack.decode(row[9]))
    return DatumInfo(
        id=row[1].hex(), number=row[0], pipeline=row[2], job=job,
        state=_STATES.get(row[10], "QUEUED"), inputs=tuple(inputs), tries=row[5], reason=row[6],
        finished=maybe(row[7]), seconds=row[8], outputs=outputs,
    )  # fmt: skip


def logs(
    rows: Rows,
    pipeline: str | None = None,
    job: str | None = None,
    datum: str | int | None = None,
    after: int = 0,
    limit: int = 1000,
) -> list[tuple[int, LogLine]]:
    """Log lines in order, with their numbers, after a number (ENGINE R7)."""
    if datum is not None:
        number = inspect(rows, datum).number
        found = rows.all("logs_of_datum", datum=number, after=after, limit=limit)
    elif job is not None:
        found = rows.all("logs_of_job", job=jobs.number(rows, job), after=after, limit=limit)
    elif pipeline is not None:
        if rows.one("pipeline_by_name", name=pipeline) is None:
            raise NotFound(f"no pipeline {pipeline}: list-pipeline shows those there are")
        found = rows.all("logs_of_pipeline", pipeline=pipeline, after=after, limit=limit)
    else:
        raise NotFound("name a pipeline, a job or a datum whose log is wanted")
    return [
        (
            row[0],
            LogLine(at=moment(row[1]), pipeline=row[2], job=row[8] or "",
                    datum=row[9].hex() if row[9] else "", attempt=row[5], stream=row[6],
                    text=row[7]),
        )
        for row in found
    ]  # fmt: skip
