"""Every operation of the API: for the server, and for what describes it. A client needs few."""

from __future__ import annotations

from typing import Any

from vedette.client import endpoints, life
from vedette.client.keep_endpoints import KEEP_ENDPOINTS
from vedette.client.transport import Endpoint
from vedette.client.worker_endpoints import WORKER_ENDPOINTS

ENDPOINTS: tuple[Endpoint[Any], ...] = (
    *endpoints.NAMED,
    *life.ENDPOINTS,
    *WORKER_ENDPOINTS,
    *KEEP_ENDPOINTS,
)
