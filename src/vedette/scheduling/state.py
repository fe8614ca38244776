"""Whether anything is left to do."""

from __future__ import annotations

from msgspec import Struct

from vedette.metadata.store import Rows


class Idle(Struct, frozen=True):
    """What is unfinished: jobs, and triggered branches that will still move."""

    jobs: int
    triggers: int


def idle(rows: Rows) -> Idle:
    """Count what is unfinished; both are 0 at rest."""
    jobs = rows.one("open_job_count")
    triggers = rows.one("due_triggers")
    return Idle(jobs=jobs[0] if jobs else 0, triggers=triggers[0] if triggers else 0)
