"""What the HTTP API takes and gives, where it is not one of the model's own values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from vedette.model.files import CommitInfo, FileChange, FileInfo, Write
from vedette.model.job import DatumInfo, JobInfo
from vedette.model.keeping import Room
from vedette.model.pipeline import PipelineInfo


class NewRepo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A repo to create."""

    name: str
    description: str = ""
    max_bytes: int | None = None


class RepoLimit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many bytes all versions of a repo's files may have, each by itself; None: any number."""

    max_bytes: int | None = None


class BranchHead(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a branch shall point: a branch, a commit id or an ancestor (ENGINE P8), or nowhere."""

    head: str | None = None


class NewCommit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A commit to start."""

    branch: str = "master"
    description: str = ""


class Transaction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Writes that become one global id, or none of them happens."""

    writes: tuple[Write, ...]


class NumberedChange(Struct, frozen=True, kw_only=True):
    """What commit `number` did to one path."""

    number: int
    commit: str
    change: FileChange


class ChangesPage(Struct, frozen=True, kw_only=True):
    """What the commits of a branch did, in order.

    `number` is where to go on from: the last commit that was read in full. A page ends with a
    whole commit, so it may hold more changes than were asked for.
    """

    changes: tuple[NumberedChange, ...]
    number: int


class Difference(Struct, frozen=True, kw_only=True):
    """A path whose content differs between two commits; None on the side that does not have it."""

    path: str
    new: FileInfo | None = None
    old: FileInfo | None = None


class Flushed(Struct, frozen=True, kw_only=True):
    """All that one global id caused."""

    commits: tuple[CommitInfo, ...]
    jobs: tuple[JobInfo, ...]


class PipelinePlan(Struct, frozen=True, kw_only=True):
    """What creating or updating a pipeline did, or with `dry_run` would do.

    `warnings` name the fields of the spec that have no meaning here.
    """

    pipeline: PipelineInfo | None = None
    plan: str = ""
    warnings: tuple[str, ...] = ()


class PipelineVersion(Struct, frozen=True, kw_only=True):
    """A version that a pipeline had or has. `changed` names the fields that differ from the one
    before; `reprocess`: from it on nothing of before is taken as done."""

    pipeline: str
    version: int
    created: datetime
    changed: tuple[str, ...] = ()
    reprocess: bool = False
    spec: dict[str, Any] = {}


class JobWhy(Struct, frozen=True, kw_only=True):
    """Why a job is there: `told` in sentences.

    `roots` are the commits of its global id that people or clocks made, as REPO@ID; `base` is the
    job that its inputs were compared with, and `changed` names the inputs that differ from it.
    """

    job: JobInfo
    told: tuple[str, ...]
    roots: tuple[str, ...] = ()
    base: str = ""
    changed: tuple[str, ...] = ()


class DatumWhy(Struct, frozen=True, kw_only=True):
    """Why a datum ran, or was skipped in the job that was asked about: `told` in sentences.

    `version` is the pipeline's that ran it; `changed` names the inputs whose content differs from
    when it ran before.
    """

    datum: DatumInfo
    told: tuple[str, ...]
    version: int = 0
    changed: tuple[str, ...] = ()


class FileWhy(Struct, frozen=True, kw_only=True):
    """Where a file comes from: `told` in sentences.

    `commit` wrote it, as REPO@ID; a job's file has the `datum` that made it, and the job that ran
    that.
    """

    file: FileInfo
    told: tuple[str, ...]
    commit: str
    datum: DatumInfo | None = None
    job: JobInfo | None = None


class Tick(Struct, frozen=True, kw_only=True):
    """A tick of a clock: `commit` holds the file `path` that it made in `repo` (ENGINE D6)."""

    repo: str
    path: str
    commit: str


class NumberedLine(Struct, frozen=True, kw_only=True):
    """A line of a log; `number` is where to go on from."""

    number: int
    at: datetime
    pipeline: str
    job: str
    datum: str
    attempt: int
    stream: str
    text: str


class Idle(Struct, frozen=True, kw_only=True):
    """What is left to do: unfinished jobs, due triggers, messages not sent yet.

    `stopped` jobs go on when a stopped pipeline is started; they are not counted as left to do.
    """

    jobs: int
    triggers: int
    deliveries: int
    stopped: int = 0


class ServiceState(Struct, frozen=True, kw_only=True):
    """A background service of an application; `error` is why it stopped last, if it did."""

    application: str
    name: str
    state: str
    pending: int = 0
    restarts: int = 0
    error: str = ""


class Status(Struct, frozen=True, kw_only=True):
    """How the server is."""

    version: str
    started: datetime
    services: tuple[ServiceState, ...] = ()
    space: Room = Room()


class Version(Struct, frozen=True, kw_only=True):
    """Which release answers."""

    version: str


class Health(Struct, frozen=True, kw_only=True):
    """The server can read its metadata. `leader`: whom one that follows passes requests on to."""

    status: str = "ok"
    role: str = "leader"
    leader: str = ""


class NewToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to create. `scope`: admin, service, worker, or device:NAME."""

    label: str = ""
    scope: str = "admin"


class TokenInfo(Struct, frozen=True, kw_only=True):
    """A token, without its secret part."""

    id: str
    label: str
    scope: str
    created: datetime
    revoked: datetime | None = None


class CreatedToken(TokenInfo, frozen=True, kw_only=True):
    """A new token. `token` is shown this once; only its hash is kept."""

    token: str


class SecretInfo(Struct, frozen=True, kw_only=True):
    """A secret: its keys, never its values."""

    name: str
    keys: tuple[str, ...]
    created: datetime


class SecretValues(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The values of a secret, by key; they replace all that it had."""

    values: dict[str, str]


class SecretValue(Struct, frozen=True, kw_only=True):
    """One value, for the services of the installation."""

    value: str


class Problem(Struct, frozen=True, kw_only=True):
    """An error as RFC 9457 writes it; `kind` is stable (see `vedette.model.errors`)."""

    title: str
    status: int
    detail: str
    kind: str
    type: str = "about:blank"
