"""Whether anything is left to do."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from vedette.metadata.store import Rows
from vedette.model.inputs import Trigger


class Idle(Struct, frozen=True):
    """What is unfinished: jobs, and triggered branches that will still move."""

    jobs: int
    triggers: int


def idle(rows: Rows) -> Idle:
    """Count what is unfinished; both are 0 at rest."""
    jobs = rows.one("open_job_count")
    return Idle(jobs=jobs[0] if jobs else 0, triggers=_soon(rows))


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
