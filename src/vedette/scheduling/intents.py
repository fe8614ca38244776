"""What an operation asks of the scheduler, besides the rows that it writes.

An operation runs inside a savepoint and touches rows only. What must then change in the
scheduler's memory is noted as an intent, which counts only if the operation succeeded.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from vedette.metadata.store import Rows
from vedette.objects.store import ObjectStore
from vedette.versioning.transaction import Transaction


class PipelineChanged(Struct, frozen=True):
    """A pipeline was created, or got a new version.

    `history` has commits of one input branch, `along`, oldest first, that each get a job of their
    own; none for one job over what there is now (ENGINE T4).
    """

    name: str
    history: tuple[int, ...] = ()
    along: tuple[int, str] = (0, "")


class PipelineDeleted(Struct, frozen=True):
    """A pipeline has gone."""

    name: str


class PipelineStopped(Struct, frozen=True):
    """A pipeline shall start nothing more (ENGINE U3)."""

    name: str


class PipelineStarted(Struct, frozen=True):
    """A stopped pipeline goes on (ENGINE U3)."""

    name: str


class PipelineRun(Struct, frozen=True):
    """A pipeline gets one job over the newest inputs, under this global id."""

    name: str
    commit: str


class FailedRerun(Struct, frozen=True):
    """The datums of a pipeline that stand failed are to run again (ENGINE U5)."""

    name: str


class PipelineMoved(Struct, frozen=True):
    """A pipeline goes on from what was run again beside it (ENGINE S5)."""

    name: str


class JobStopped(Struct, frozen=True):
    """A job is to end now (ENGINE U5)."""

    num: int


class DatumRestarted(Struct, frozen=True):
    """A datum is to run again (ENGINE U5)."""

    pipeline: str
    num: int


class BranchMoved(Struct, frozen=True):
    """A branch was given another head (ENGINE T6)."""

    repo: int
    branch: str
    num: int


class BranchDeleted(Struct, frozen=True):
    """A branch has gone: until there is one of that name again, its readers have no input."""

    repo: int
    branch: str


class RepoDeleted(Struct, frozen=True):
    """A repo has gone with all its branches; its key may be given to another."""

    repo: int


class CommitsSquashed(Struct, frozen=True):
    """Commits have gone: what is kept in memory of them must go too."""

    nums: tuple[int, ...]


Intent = (
    PipelineChanged
    | PipelineDeleted
    | JobStopped
    | DatumRestarted
    | BranchMoved
    | BranchDeleted
    | RepoDeleted
    | CommitsSquashed
    | PipelineStopped
    | PipelineStarted
    | FailedRerun
    | PipelineRun
    | PipelineMoved
)


class SchedulingTransaction(Transaction):
    """A transaction that the scheduler carries out; `intents` are in order."""

    def __init__(
        self, rows: Rows, objects: ObjectStore, now: int, new_id: Callable[[], str]
    ) -> None:
        super().__init__(rows, objects, now, new_id)
        self.intents: list[Intent] = []


def intend(tx: Transaction, intent: Intent) -> None:
    """Note an intent. The transaction must be one of the scheduler's loop."""
    assert isinstance(tx, SchedulingTransaction), "pipelines change through Loop.submit only"
    tx.intents.append(intent)
