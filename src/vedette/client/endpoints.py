"""The API, one value an operation: what the client calls and the server carries out."""

from __future__ import annotations

from typing import Any

from vedette.client.query import Number, Query, Wait
from vedette.client.transport import Endpoint
from vedette.model import api
from vedette.model.files import BranchInfo, CommitInfo, FileInfo, RepoInfo, WriteResult
from vedette.model.job import DatumInfo, DatumPreview, JobInfo
from vedette.model.pipeline import PipelineInfo

NONE = type(None)


class Force(Query, frozen=True, kw_only=True):
    """`force`: also when something still reads it."""

    force: bool = False


class CommitPage(Query, frozen=True, kw_only=True):
    """Newest first; `before` is a commit's number.

    With `after`, of one branch: oldest first, those with higher numbers.
    """

    branch: str = ""
    before: Number | None = None
    after: Number | None = None
    limit: Number = 100


class Put(Query, frozen=True, kw_only=True):
    """`append` adds to what is there; `object` names stored content instead of a body."""

    append: bool = False
    object: str = ""


class PutTar(Query, frozen=True, kw_only=True):
    """`append` adds to what is there."""

    append: bool = False


class Page(Query, frozen=True, kw_only=True):
    """`after` is the last path of the page before."""

    after: str = ""
    limit: Number = 1000


class GlobPage(Query, frozen=True, kw_only=True):
    """`after` is the last path of the page before."""

    pattern: str
    after: str = ""
    limit: Number = 1000


class After(Query, frozen=True, kw_only=True):
    """`after` is the last number that was seen."""

    after: Number = 0
    limit: Number = 1000


class DiffPage(Query, frozen=True, kw_only=True):
    """`against` is a commit of the same repo, or of `other`; without it the parent."""

    against: str = ""
    other: str = ""
    after: str = ""
    limit: Number = 1000


class PipelineOptions(Query, frozen=True, kw_only=True):
    """`update` an existing one, `reprocess` everything, or only say what would happen.

    `since` is a commit of an input: the history from it on is replayed, one job a commit.
    """

    update: bool = False
    reprocess: bool = False
    since: str = ""
    dry_run: bool = False


class DeletePipeline(Query, frozen=True, kw_only=True):
    """`force`: also when another reads it; `keep_repo`: its output stays."""

    force: bool = False
    keep_repo: bool = False


class JobPage(Query, frozen=True, kw_only=True):
    """Newest first; `before` is a job's number, `commit` the global id that tied them together."""

    pipeline: str = ""
    commit: str = ""
    before: Number | None = None
    limit: Number = 100


class DatumPage(Query, frozen=True, kw_only=True):
    """Failed datums, of one pipeline or of all; `after` is the last number that was seen."""

    pipeline: str = ""
    state: str = "failed"
    after: Number = 0
    limit: Number = 1000


class LogQuery(Query, frozen=True, kw_only=True):
    """Lines of one pipeline, job or datum; `follow` goes on as they come."""

    pipeline: str = ""
    job: str = ""
    datum: str = ""
    after: Number = 0
    follow: bool = False


_REPO = "/v1/repos/{repo}"
_BRANCH = _REPO + "/branches/{branch}"
_COMMIT = _REPO + "/commits/{ref}"

VERSION = Endpoint(
    name="version", method="GET", path="/v1/version", answer=api.Version,
    summary="Which release answers", open=True,
)  # fmt: skip
HEALTH = Endpoint(
    name="health", method="GET", path="/v1/health", answer=api.Health,
    summary="Whether the server can read its metadata", open=True,
)  # fmt: skip
STATUS = Endpoint(
    name="status", method="GET", path="/v1/status", answer=api.Status,
    summary="The server and the services of its applications",
)  # fmt: skip
CREATE_REPO = Endpoint(
    name="create_repo", method="POST", path="/v1/repos", body=api.NewRepo, answer=RepoInfo,
    summary="Create a repo",
)  # fmt: skip
LIST_REPO = Endpoint(
    name="list_repo", method="GET", path="/v1/repos", answer=list[RepoInfo], summary="All repos"
)
INSPECT_REPO = Endpoint(
    name="inspect_repo", method="GET", path=_REPO, answer=RepoInfo, summary="One repo"
)
DELETE_REPO = Endpoint(
    name="delete_repo", method="DELETE", path=_REPO, query=Force, answer=NONE,
    summary="Delete a repo with its history",
)  # fmt: skip
LIST_BRANCH = Endpoint(
    name="list_branch", method="GET", path=_REPO + "/branches", answer=list[BranchInfo],
    summary="The branches of a repo",
)  # fmt: skip
PUT_BRANCH = Endpoint(
    name="put_branch", method="PUT", path=_BRANCH, body=api.BranchHead, answer=BranchInfo,
    summary="Create a branch, or move its head",
)  # fmt: skip
DELETE_BRANCH = Endpoint(
    name="delete_branch", method="DELETE", path=_BRANCH, query=Force, answer=NONE,
    summary="Delete a branch; its commits stay",
)  # fmt: skip
START_COMMIT = Endpoint(
    name="start_commit", method="POST", path=_REPO + "/commits", body=api.NewCommit,
    answer=CommitInfo, summary="Open a commit on a branch",
)  # fmt: skip
FINISH_COMMIT = Endpoint(
    name="finish_commit", method="POST", path=_COMMIT + "/finish", answer=CommitInfo,
    summary="Finish an open commit, named by its branch or id",
)  # fmt: skip
LIST_COMMIT = Endpoint(
    name="list_commit", method="GET", path=_REPO + "/commits", query=CommitPage,
    answer=list[CommitInfo], summary="Commits of a repo, newest first",
)  # fmt: skip
INSPECT_COMMIT = Endpoint(
    name="inspect_commit", method="GET", path=_COMMIT, answer=CommitInfo, summary="One commit"
)
COMMITS_OF = Endpoint(
    name="commits_of", method="GET", path="/v1/commits/{id}", answer=list[CommitInfo],
    summary="Every commit of a global id",
)  # fmt: skip
FLUSH = Endpoint(
    name="flush_commit", method="GET", path="/v1/commits/{id}/flush", query=Wait,
    answer=api.Flushed, summary="Wait until every job that a global id caused has ended",
)  # fmt: skip
PUT_FILE = Endpoint(
    name="put_file", method="PUT", path=_BRANCH + "/files/{path}", body=bytes, query=Put,
    answer=WriteResult, summary="Write a file: into the branch's open commit, else its own",
)  # fmt: skip
DELETE_FILE = Endpoint(
    name="delete_file", method="DELETE", path=_BRANCH + "/files/{path}", answer=WriteResult,
    summary="Remove a file, or a directory with all below it",
)  # fmt: skip
PUT_TAR = Endpoint(
    name="put_tar", method="POST", path=_BRANCH + "/files", body=bytes, query=PutTar,
    answer=WriteResult, summary="Write the files of a tar stream as one commit",
    media="application/x-tar",
)  # fmt: skip
TRANSACTION = Endpoint(
    name="transaction", method="POST", path="/v1/transactions", body=api.Transaction,
    answer=WriteResult, summary="Write to several repos at once, on conditions",
)  # fmt: skip
GET_FILE = Endpoint(
    name="get_file", method="GET", path=_COMMIT + "/files/{path}", answer=bytes,
    summary="The bytes of a file",
)  # fmt: skip
LIST_FILE = Endpoint(
    name="list_file", method="GET", path=_COMMIT + "/list/{path}", query=Page,
    answer=list[FileInfo], summary="What is in a directory",
)  # fmt: skip
GLOB_FILE = Endpoint(
    name="glob_file", method="GET", path=_COMMIT + "/glob", query=GlobPage,
    answer=list[FileInfo], summary="Files and directories that match a pattern",
)  # fmt: skip
INSPECT_FILE = Endpoint(
    name="inspect_file", method="GET", path=_COMMIT + "/inspect/{path}", answer=FileInfo,
    summary="One file or directory",
)  # fmt: skip
ARCHIVE = Endpoint(
    name="archive", method="GET", path=_COMMIT + "/archive/{path}", answer=bytes,
    summary="A tar stream of all files at or below a path", media="application/x-tar",
)  # fmt: skip
DIFF_FILE = Endpoint(
    name="diff_file", method="GET", path=_COMMIT + "/diff/{path}", query=DiffPage,
    answer=list[api.Difference], summary="Files at or below a path that differ from another commit",
)  # fmt: skip
CHANGES = Endpoint(
    name="changes", method="GET", path=_BRANCH + "/changes", query=After,
    answer=api.ChangesPage, summary="What the commits of a branch did after one of them",
)  # fmt: skip
CREATE_PIPELINE = Endpoint(
    name="create_pipeline", method="POST", path="/v1/pipelines", body=dict[str, Any],
    query=PipelineOptions, answer=api.PipelinePlan, summary="Create or update a pipeline",
)  # fmt: skip
LIST_PIPELINE = Endpoint(
    name="list_pipeline", method="GET", path="/v1/pipelines", answer=list[PipelineInfo],
    summary="All pipelines",
)  # fmt: skip
INSPECT_PIPELINE = Endpoint(
    name="inspect_pipeline", method="GET", path="/v1/pipelines/{name}", answer=PipelineInfo,
    summary="One pipeline",
)  # fmt: skip
DELETE_PIPELINE = Endpoint(
    name="delete_pipeline", method="DELETE", path="/v1/pipelines/{name}", query=DeletePipeline,
    answer=NONE, summary="Delete a pipeline and its repo",
)  # fmt: skip
LIST_JOB = Endpoint(
    name="list_job", method="GET", path="/v1/jobs", query=JobPage, answer=list[JobInfo],
    summary="Jobs, newest first",
)  # fmt: skip
INSPECT_JOB = Endpoint(
    name="inspect_job", method="GET", path="/v1/jobs/{id}", answer=JobInfo, summary="One job"
)
STOP_JOB = Endpoint(
    name="stop_job", method="POST", path="/v1/jobs/{id}/stop", answer=JobInfo,
    summary="End a job; nothing of it is committed",
)  # fmt: skip
LIST_DATUM = Endpoint(
    name="list_datum", method="GET", path="/v1/jobs/{id}/datums", query=After,
    answer=list[DatumInfo], summary="The datums of a job",
)  # fmt: skip
FAILED_DATUMS = Endpoint(
    name="failed_datums", method="GET", path="/v1/datums", query=DatumPage,
    answer=list[DatumInfo], summary="Failed datums",
)  # fmt: skip
PREVIEW_DATUM = Endpoint(
    name="preview_datum", method="POST", path="/v1/datums/preview", body=dict[str, Any],
    query=After, answer=DatumPreview, summary="The datums that a pipeline of this spec has",
    once=False,
)  # fmt: skip
INSPECT_DATUM = Endpoint(
    name="inspect_datum", method="GET", path="/v1/datums/{id}", answer=DatumInfo,
    summary="One datum, by number or id",
)  # fmt: skip
RESTART_DATUM = Endpoint(
    name="restart_datum", method="POST", path="/v1/datums/{id}/restart", answer=DatumInfo,
    summary="Run a datum again, named by its number",
)  # fmt: skip
LOGS = Endpoint(
    name="logs", method="GET", path="/v1/logs", query=LogQuery, answer=bytes,
    summary="Lines of logs, one JSON object a line", media="application/x-ndjson",
)  # fmt: skip
IDLE = Endpoint(
    name="idle", method="GET", path="/v1/idle", query=Wait, answer=api.Idle,
    summary="Wait until nothing is left to do",
)  # fmt: skip
EVENTS = Endpoint(
    name="events", method="GET", path="/v1/events", answer=bytes,
    summary="What happens, as server-sent events", media="text/event-stream",
)  # fmt: skip
CREATE_TOKEN = Endpoint(
    name="create_token", method="POST", path="/v1/tokens", body=api.NewToken,
    answer=api.CreatedToken, summary="Create a token; it is shown this once",
    once=False,
)  # fmt: skip
LIST_TOKEN = Endpoint(
    name="list_token", method="GET", path="/v1/tokens", answer=list[api.TokenInfo],
    summary="All tokens, without their secret parts",
)  # fmt: skip
REVOKE_TOKEN = Endpoint(
    name="revoke_token", method="DELETE", path="/v1/tokens/{id}", answer=NONE,
    summary="Revoke a token",
)  # fmt: skip
LIST_SECRET = Endpoint(
    name="list_secret", method="GET", path="/v1/secrets", answer=list[api.SecretInfo],
    summary="The names and keys of secrets",
)  # fmt: skip
PUT_SECRET = Endpoint(
    name="put_secret", method="PUT", path="/v1/secrets/{name}", body=api.SecretValues,
    answer=api.SecretInfo, summary="Set the values of a secret",
)  # fmt: skip
DELETE_SECRET = Endpoint(
    name="delete_secret", method="DELETE", path="/v1/secrets/{name}", answer=NONE,
    summary="Delete a secret",
)  # fmt: skip
READ_SECRET = Endpoint(
    name="read_secret", method="GET", path="/v1/secrets/{name}/{key}", answer=api.SecretValue,
    summary="One value of a secret, for services only",
)  # fmt: skip

NAMED: tuple[Endpoint[Any], ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Endpoint)
)
