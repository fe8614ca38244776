"""The demo from beginning to end: the server, the set-up, the play, the closing table."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from vedette.client import Client, HttpTransport
from vedette.model.errors import Unavailable
from vedette_cameras.demo.figures import check_writable, closing, write
from vedette_cameras.demo.play import Play
from vedette_cameras.demo.screen import Screen, shown
from vedette_cameras.demo.server import PORT, Server, running
from vedette_cameras.demo.sources import Folder, OwnPictures, Source
from vedette_cameras.settings import Settings, load
from vedette_cameras.setup import set_up

_IDLE = 60.0


class Options(Struct, frozen=True, kw_only=True):
    """What was asked for. `stay`: go on serving until Ctrl-C."""

    data: Path
    pictures: Path | None = None
    figures: Path | None = None
    stay: bool = False


async def demo(options: Options, screen: Screen) -> int:
    """Run it; returns the exit code. Raises `VedetteError` in one line where it cannot."""
    source: Source
    if options.pictures is not None:
        source = Folder(options.pictures)
    else:
        source = OwnPictures(datetime.now(UTC))
    if options.figures is not None:
        check_writable(options.figures)
    settings = load(options.data, None, os.environ)
    screen.say("Starting the server")
    async with running(options.data) as server:
        _introduce(server, settings, screen)
        async with Client(HttpTransport(server.address)) as client:
            await set_up(client)
            play = Play(client, server.address, screen, source)
            screen.say(f"Playing {source.title}")
            await play.run()
            finished = await _close(play, client, options, screen, server)
            if options.stay and screen.live:
                screen.say(f"The dashboard is at {server.address}; Ctrl-C ends the demo", "bold")
                screen.serving = True
                await _until_gone(client)
            else:
                await _deliveries(client)
                screen.say(f"The dashboard was at {server.address}: run it on a terminal to look")
    return 0 if finished else 1


def _introduce(server: Server, settings: Settings, screen: Screen) -> None:
    port = int(server.address.rpartition(":")[2])
    taken = "" if port == PORT else f" ({PORT} is taken)"
    screen.say(f"Server at {server.address}{taken}, data in {shown(server.data)}")
    if settings.channel == "file" or (
        settings.channel == "auto" and not settings.sendgrid.key and not settings.smtp.host
    ):
        outbox = server.data / settings.outbox
        screen.say(
            f"Mail goes to files in {shown(outbox)}, since no channel is configured:"
            " docs/howto/first-alert-by-mail.md says how"
        )


async def _deliveries(client: Client) -> None:
    """Wait until mail is written or sent and charts are drawn, as far as that goes quickly."""
    try:
        await client.idle(timeout=_IDLE)
    except Unavailable:
        # A mail server that does not answer is tried for hours; the ledger shows it.
        return


async def _close(
    play: Play, client: Client, options: Options, screen: Screen, server: Server
) -> bool:
    """The closing table and the figures; False when something was not decided."""
    await play.close()
    screen.closing(play.counts, play.before)
    if play.known:
        screen.say(f"{len(play.known)} of them were here already, from an earlier run")
    if play.before.received:
        screen.say(
            f"This went on where an earlier run ended; to begin anew: rm -r {shown(options.data)}"
        )
    if options.figures is not None:
        write(options.figures, closing(play.counts, play.alerts, play.played, play.seconds))
        screen.say(f"The figures are in {shown(options.figures)}")
    if play.finished:
        return True
    screen.say(f"Some pictures are not decided: see {shown(server.log)}", "red")
    for pipeline in await client.list_pipeline():
        if pipeline.reason:
            screen.say(f"pipeline {pipeline.name} is {pipeline.state}: {pipeline.reason}", "red")
    return False


async def _until_gone(client: Client) -> None:
    while True:
        await asyncio.sleep(2.0)
        try:
            await client.health()
        except Unavailable:
            raise Unavailable("the server has ended: `make demo` starts it again") from None
