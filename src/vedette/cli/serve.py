"""`serve`: run a server in the foreground."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from vedette import config, telemetry

_AT_ONCE = 130


@click.command("serve")
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR",
              help="Where everything is kept (~/.local/share/vedette).")  # fmt: skip
@click.option("--listen", metavar="HOST:PORT", help="Where to answer (127.0.0.1:7650).")
@click.option("--runtimes", type=click.Path(path_type=Path), metavar="FILE",
              help="What image names mean on this host (TOML).")  # fmt: skip
@click.option("--workers", type=int, metavar="N",
              help="Datums at once (as many as cores; 0: none here).")  # fmt: skip
@click.option("--objects", metavar="s3://BUCKET/PREFIX | /FOLDER",
              help="Keep objects there (in the data folder).")  # fmt: skip
@click.option("--database", metavar="URL",
              help="Keep rows in PostgreSQL: postgresql://USER@HOST:PORT/NAME.")  # fmt: skip
@click.option("--advertise", metavar="URL",
              help="Where other servers on the database reach this one.")  # fmt: skip
def serve(**given: Any) -> None:
    """Run a server in the foreground, until Ctrl-C or SIGTERM."""
    telemetry.set_up_log()
    settings = config.load(given)
    asyncio.run(_serve(settings))


async def _serve(settings: config.Settings) -> None:
    from vedette.wiring import Installation

    stopping = asyncio.Event()

    def asked_to_stop() -> None:
        if stopping.is_set():
            os._exit(_AT_ONCE)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked_to_stop)
    server = Installation(settings)
    await server.start()
    print(f"vedette serves {settings.data} at {server.address}", flush=True)
    ended = asyncio.create_task(server.wait())
    asked = asyncio.create_task(stopping.wait())
    await asyncio.wait([ended, asked], return_when=asyncio.FIRST_COMPLETED)
    if not stopping.is_set():
        print("vedette: the server ended by itself", file=sys.stderr)
    await server.stop()
    asked.cancel()
