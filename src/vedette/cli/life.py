"""Commands on the life of pipelines and jobs."""

from __future__ import annotations

import click

from vedette.cli.session import connected
from vedette.client import Client


@click.command("run-cron")
@click.argument("pipeline")
@connected
async def run_cron(client: Client, pipeline: str) -> None:
    """Tick each cron input of a pipeline now, and print the commits."""
    for tick in await client.run_cron(pipeline):
        print(f"{tick.repo}@{tick.commit}:{tick.path}")
