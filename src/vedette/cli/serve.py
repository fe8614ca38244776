"""`serve`: run a server in the foreground."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from vedette import config, telemetry
from vedette.cli import words

_AT_ONCE = 130


@words.command("serve")
@words.option("--data", type=words.PATH, metavar="DIR",
              help="Where everything is kept (~/.local/share/vedette).")  # fmt: skip
@words.option("--listen", metavar="HOST:PORT", help="Where to answer (127.0.0.1:7650).")
@words.option("--runtimes", type=words.PATH, metavar="FILE",
              help="What image names mean on this host (TOML).")  # fmt: skip
@words.option("--workers", type=words.integer(), metavar="N",
              help="Datums at once (as many as cores; 0: none here).")  # fmt: skip
@words.option("--objects", metavar="s3://BUCKET/PREFIX | /FOLDER",
              help="Keep objects there (in the data folder).")  # fmt: skip
@words.option("--database", metavar="URL",
              help="Keep rows in PostgreSQL: postgresql://USER@HOST:PORT/NAME.")  # fmt: skip
@words.option("--advertise", metavar="URL",
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
