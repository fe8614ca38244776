"""Operations on the life of pipelines and jobs."""

from __future__ import annotations

from vedette.model.api import Tick
from vedette.scheduling import clocks, pipelines
from vedette.server.call import Call
from vedette.server.site import Site


async def run_cron(site: Site, call: Call) -> list[Tick]:
    """Tick each cron input of a pipeline now (ENGINE D6)."""
    return await site.write(
        lambda tx: clocks.by_hand(tx, pipelines.spec_of(tx.rows, call.params["name"]))
    )
