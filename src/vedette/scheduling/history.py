"""Bounds the history of jobs and the cache of results: old ones go, page by page (ENGINE K1).

So do the rows of what was deleted, where they are too many for one transaction (U4).
"""

from __future__ import annotations

from msgspec import Struct

from vedette.model.errors import Conflict, NotFound
from vedette.model.job import TERMINAL
from vedette.versioning import repos
from vedette.versioning.collect import outputs_of
from vedette.versioning.transaction import Transaction

_JOBS = 20
_PAGE = 1000
_DAY = 86_400_000_000
_EVER = 1_000_000.0
"""Days; in microseconds still a number that every database holds."""


class Keep(Struct, frozen=True, kw_only=True):
    """For how many days ended jobs, their logs and results nobody needs are kept; inf: for ever."""

    jobs: float = 30.0
    failed: float = 90.0

    def oldest(self, good: bool, now: int) -> int:
        """What ended before this goes; both in microseconds since 1970 UTC."""
        return now - int(min(self.jobs if good else self.failed, _EVER) * _DAY)


def forget_jobs(tx: Transaction, keep: Keep) -> bool:
    """Forget a page of jobs that ended long ago, with their logs; False when none is left.

    The newest job of each pipeline whose output commit is finished stays, for the next one is
    compared with it; so it is even where copying that output outside failed or was stopped.
    """
    rows = tx.rows
    good, bad = keep.oldest(True, tx.now), keep.oldest(False, tx.now)
    found = rows.all("old_jobs", good=good, bad=bad, limit=_JOBS)
    room = _PAGE
    for (job,) in found:
        gone, room = _drop(tx, job, room)
        if not gone:
            return True
    return bool(found)


def forget_job(tx: Transaction, identity: str) -> bool:
    """Forget a page of one job that has ended, with its logs; False when it is gone.

    Raises NotFound, and Conflict for a job that is not over or is the newest good one of its
    pipeline, with which the next is compared. Commits and results stay.
    """
    rows = tx.rows
    found = rows.one("job_to_forget", id=identity)
    if found is None:
        raise NotFound(f"no job {identity}: see `vedette list-job`")
    job, state, good = found
    if state not in TERMINAL:
        raise Conflict(f"job {identity} is {state}: stop it first, with `vedette stop-job`")
    if good == job:
        raise Conflict(
            f"job {identity} is its pipeline's newest good one, with which the next is compared: "
            "delete it when there is a newer one"
        )
    return not _drop(tx, job, _PAGE)[0]


def _drop(tx: Transaction, job: int, room: int) -> tuple[bool, int]:
    """Drop up to `room` rows of a job, at last the job; whether it is gone, and the room left."""
    for query in ("job_drop_logs", "job_drop_datums"):
        while room > 0 and (gone := tx.rows.run(query, job=job, limit=room)):
            room -= gone
    if room <= 0:
        return False, 0
    tx.rows.run("job_keep_provenance", job=job)
    tx.rows.run("job_drop", job=job)
    return True, room - 1


def drop_deleted(tx: Transaction) -> bool:
    """Take away a page of the rows of deleted repos and pipelines; False when none are left."""
    found = tx.rows.one("doomed_next")
    if found is None:
        return False
    number, what, key, name, until = found
    if what == "repo":
        room = repos.drop_rows(tx, key, _PAGE)
    else:
        room = drop_pipeline_rows(tx, key, name, until, _PAGE)
    if room > 0:
        tx.rows.run("doomed_done", id=number)
    return True


def drop_pipeline(tx: Transaction, pipeline: int, name: str = "") -> None:
    """Forget what a deleted pipeline had; all at once if it is little, else page by page later.

    `name`: its logs go too, also those of no job.
    """
    tx.rows.run("end_pipeline_jobs", id=pipeline)
    until = (tx.rows.one("last_log", name=name) or (0,))[0] if name else 0
    if drop_pipeline_rows(tx, pipeline, name, until, repos.AT_ONCE) == 0:
        tx.rows.run("doomed_add", what="pipeline", key=pipeline, name=name, until=until)


def drop_pipeline_rows(tx: Transaction, pipeline: int, name: str, until: int, room: int) -> int:
    """Take up to `room` rows of a deleted pipeline away; how many more could have gone, 0 if any
    stay. Its logs go up to the line `until`: another pipeline may have its name by now."""
    rows = tx.rows
    while room > 0 and (found := rows.one("job_of_pipeline", id=pipeline)) is not None:
        _, room = _drop(tx, found[0], room)
    while room > 0 and (
        gone := rows.run("delete_pipeline_logs", name=name, until=until, limit=room)
    ):
        room -= gone
    return _drop_datums(tx, pipeline, room)


def drop_datums(tx: Transaction, pipeline: int) -> None:
    """Forget which datums a pipeline has, and what they wrote to shared paths, at once."""
    while _drop_datums(tx, pipeline, _PAGE) == 0:
        pass


def _drop_datums(tx: Transaction, pipeline: int, room: int) -> int:
    while room > 0 and (gone := tx.rows.run("drop_members", pipeline=pipeline, limit=room)):
        room -= gone
    while room > 0 and (parts := tx.rows.all("drop_parts", pipeline=pipeline, limit=room)):
        tx.suspect(parts)
        room -= len(parts)
    return max(room, 0)


def forget_results(tx: Transaction, keep: Keep, after: int) -> int | None:
    """Forget the results, in a page after a datum, that no pipeline's newest job has and that are
    old; where to go on from, None at the end."""
    rows = tx.rows
    page = rows.all("old_datums", after=after, limit=_PAGE)
    for number, state, finished, result, pipeline, member in page:
        if state in ("queued", "leased") or finished is None or member == number:
            continue
        if pipeline is not None and finished >= keep.oldest(state == "done", tx.now):
            continue
        rows.run("datum_drop_logs", num=number)
        rows.run("datum_drop", num=number)
        if result is not None:
            tx.suspect((output[1],) for output in outputs_of(result))
    return page[-1][0] if len(page) == _PAGE else None
