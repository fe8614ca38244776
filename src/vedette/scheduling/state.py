"""Whether anything is left to do."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from vedette.metadata.store import Rows
from vedette.model.inputs import Trigger

_numbers = msgspec.msgpack.Decoder(list[int])


class Idle(Struct, frozen=True):
    """What is unfinished: jobs, and triggered branches that will still move.

    `stopped` are jobs that go on only when somebody starts a pipeline; they are not among `jobs`.
    """

    jobs: int
    triggers: int
    stopped: int = 0


def idle(rows: Rows) -> Idle:
    """Count what is unfinished; jobs and triggers are 0 at rest."""
    found = rows.one("open_job_count")
    jobs = found[0] if found else 0
    stopped = _stopped(rows) if jobs else 0
    return Idle(jobs=jobs - stopped, triggers=_soon(rows), stopped=stopped)


def _stopped(rows: Rows) -> int:
    """Jobs of stopped pipelines of which nothing runs, and those that wait for their output."""
    stopped = {row[0] for row in rows.all("resting_pipelines")}
    if not stopped:
        return 0
    waiting: set[int] = set()
    before = -1
    # A job may be older than one that it waits for, after a branch was moved: look once more.
    while len(waiting) > before:
        before = len(waiting)
        for commit, pipeline, inputs in rows.all("jobs_and_inputs"):
            if pipeline in stopped or not waiting.isdisjoint(_numbers.decode(inputs)):
                waiting.add(commit)
    return len(waiting)


def _soon(rows: Rows) -> int:
    """Branches that will move without anybody's doing, and soon: by `rate`, or by nothing more.

    What waits for more commits or for a time of day is at rest.
    """
    found = 0
    for _id, _repo, _name, head, rule, _moved, _follows, source in rows.all("triggered_branches"):
        if source is not None and source != head and rule is not None:
            decoded = msgspec.json.decode(rule, type=Trigger)
            alone = not decoded.all or (decoded.size is None and decoded.commits is None)
            found += decoded.rate is not None and alone
    return found
