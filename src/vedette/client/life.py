"""Operations on the life of pipelines and jobs: clocks, stopping, starting, running again."""

from __future__ import annotations

from typing import Any

from vedette.client.query import Query, Wait
from vedette.client.transport import Endpoint
from vedette.model import api
from vedette.model.job import JobInfo
from vedette.model.pipeline import PipelineInfo

_PIPELINE = "/v1/pipelines/{name}"


class Rerun(Query, frozen=True, kw_only=True):
    """What failed runs again, or with `all` everything; `dry_run` only says what would happen.

    `branch`, with `all`: into this branch, beside the live one.
    """

    all: bool = False
    branch: str = ""
    dry_run: bool = False


STOP_PIPELINE = Endpoint(
    name="stop_pipeline", method="POST", path=_PIPELINE + "/stop", answer=PipelineInfo,
    summary="Start nothing more of a pipeline; what runs goes on to its end",
)  # fmt: skip
START_PIPELINE = Endpoint(
    name="start_pipeline", method="POST", path=_PIPELINE + "/start", answer=PipelineInfo,
    summary="Let a stopped pipeline go on",
)  # fmt: skip
RUN_PIPELINE = Endpoint(
    name="run_pipeline", method="POST", path=_PIPELINE + "/run", answer=JobInfo,
    summary="One job over the newest inputs, though none of them is new",
)  # fmt: skip
WAIT_JOB = Endpoint(
    name="wait_job", method="GET", path="/v1/jobs/{id}/wait", query=Wait, answer=JobInfo,
    summary="A job when it has ended",
)  # fmt: skip
DELETE_JOB = Endpoint(
    name="delete_job", method="DELETE", path="/v1/jobs/{id}", answer=type(None),
    summary="Forget a job that has ended; its commit stays",
)  # fmt: skip
RERUN_PIPELINE = Endpoint(
    name="rerun_pipeline", method="POST", path=_PIPELINE + "/rerun", query=Rerun,
    answer=api.PipelinePlan, summary="Run datums again: what failed, or everything",
)  # fmt: skip
PIPELINE_VERSIONS = Endpoint(
    name="pipeline_versions", method="GET", path=_PIPELINE + "/versions",
    answer=list[api.PipelineVersion], summary="The versions of a pipeline, newest first",
)  # fmt: skip
PIPELINE_VERSION = Endpoint(
    name="pipeline_version", method="GET", path=_PIPELINE + "/versions/{version}",
    answer=api.PipelineVersion, summary="One version of a pipeline",
)  # fmt: skip


class InJob(Query, frozen=True, kw_only=True):
    """`job`: also what that job did with it."""

    job: str = ""


WHY_JOB = Endpoint(
    name="why_job", method="GET", path="/v1/jobs/{id}/why", answer=api.JobWhy,
    summary="Why a job is there",
)  # fmt: skip
WHY_DATUM = Endpoint(
    name="why_datum", method="GET", path="/v1/datums/{id}/why", query=InJob, answer=api.DatumWhy,
    summary="Why a datum ran, or was skipped",
)  # fmt: skip
WHY_FILE = Endpoint(
    name="why_file", method="GET", path="/v1/repos/{repo}/commits/{ref}/why/{path}",
    answer=api.FileWhy, summary="Which datum, job and commits made a file",
)  # fmt: skip
RUN_CRON = Endpoint(
    name="run_cron", method="POST", path=_PIPELINE + "/tick", answer=list[api.Tick],
    summary="Tick each cron input of a pipeline now",
)  # fmt: skip

ENDPOINTS: tuple[Endpoint[Any], ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Endpoint)
)
