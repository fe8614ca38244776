"""Operations on the life of pipelines and jobs: clocks, stopping, starting, running again."""

from __future__ import annotations

from typing import Any

from vedette.client.query import Query
from vedette.client.transport import Endpoint
from vedette.model import api
from vedette.model.pipeline import PipelineInfo

_PIPELINE = "/v1/pipelines/{name}"


class Rerun(Query, frozen=True, kw_only=True):
    """What failed runs again, or with `all` everything; `dry_run` only says what would happen."""

    all: bool = False
    dry_run: bool = False


STOP_PIPELINE = Endpoint(
    name="stop_pipeline", method="POST", path=_PIPELINE + "/stop", answer=PipelineInfo,
    summary="Start nothing more of a pipeline; what runs goes on to its end",
)  # fmt: skip
START_PIPELINE = Endpoint(
    name="start_pipeline", method="POST", path=_PIPELINE + "/start", answer=PipelineInfo,
    summary="Let a stopped pipeline go on",
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
RUN_CRON = Endpoint(
    name="run_cron", method="POST", path=_PIPELINE + "/tick", answer=list[api.Tick],
    summary="Tick each cron input of a pipeline now",
)  # fmt: skip

ENDPOINTS: tuple[Endpoint[Any], ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Endpoint)
)
