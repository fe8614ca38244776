"""Operations on the life of pipelines and jobs: clocks, stopping, starting, running again."""

from __future__ import annotations

from typing import Any

from vedette.client.transport import Endpoint
from vedette.model import api

_PIPELINE = "/v1/pipelines/{name}"

RUN_CRON = Endpoint(
    name="run_cron", method="POST", path=_PIPELINE + "/tick", answer=list[api.Tick],
    summary="Tick each cron input of a pipeline now",
)  # fmt: skip

ENDPOINTS: tuple[Endpoint[Any], ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Endpoint)
)
