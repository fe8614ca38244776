"""The part of the typed client that is about the life of pipelines and jobs."""

from __future__ import annotations

from vedette.client import life as at
from vedette.client.transport import Transport
from vedette.model import api


class LifeCalls:
    """One method for each operation of `vedette.client.life`."""

    transport: Transport

    async def run_cron(self, pipeline: str) -> list[api.Tick]:
        """Tick each cron input of a pipeline now."""
        return await self.transport.call(at.RUN_CRON, {"name": pipeline})
