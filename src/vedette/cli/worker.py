"""`worker`: run datums for a server that is elsewhere; and the list of who does."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from vedette import telemetry
from vedette.cli import shown, words
from vedette.cli.session import NAMED, connected, raw_option
from vedette.model.errors import Invalid

if TYPE_CHECKING:
    from vedette.client import Client
    from vedette.wiring_worker import Work

_AT_ONCE = 130


@words.command("worker")
@words.option("--server", "servers", multiple=True, metavar="URL",
              help="Where the server is (VEDETTE_ADDRESS); several are tried in turn.")  # fmt: skip
@words.option("--token", metavar="TOKEN", help="A token of scope worker (VEDETTE_TOKEN).")
@words.option("--token-file", type=words.PATH, metavar="FILE",
              help="A file that holds the token.")  # fmt: skip
@words.option("--pipelines", default="*", show_default=True, metavar="GLOB",
              help="Serve only pipelines whose name matches.")  # fmt: skip
@words.option("--slots", type=words.integer(1, 1024), metavar="N",
              help="Datums at once (as many as cores).")  # fmt: skip
@words.option("--runtimes", type=words.PATH, metavar="FILE",
              help="What image names mean on this host (TOML).")  # fmt: skip
@words.option("--data", type=words.PATH, metavar="DIR",
              help="Where datums are laid out (a folder that goes with the process).")  # fmt: skip
@words.option("--ca-file", default="", metavar="FILE",
              help="Certificates to trust instead of the usual ones.")  # fmt: skip
def worker(
    servers: tuple[str, ...], token: str | None, token_file: Path | None,
    pipelines: str, slots: int | None, runtimes: Path | None, data: Path | None, ca_file: str,
) -> None:  # fmt: skip
    """Run datums for a server that is elsewhere, until Ctrl-C or SIGTERM."""
    from vedette.client.http_calls import default_address
    from vedette.wiring_worker import Work

    telemetry.set_up_log()
    address, given = NAMED.get()
    found = tuple(servers) or (address or default_address(),)
    settings = Work(
        servers=found, token=_token(token or given, token_file), pipelines=pipelines, slots=slots,
        runtimes=runtimes, data=data, ca_file=ca_file,
    )  # fmt: skip
    print(f"vedette works for {', '.join(found)}", flush=True)
    asyncio.run(_until_told(settings))


async def _until_told(settings: Work) -> None:
    from vedette.wiring_worker import work

    stop = asyncio.Event()

    def asked_to_stop() -> None:
        if stop.is_set():
            os._exit(_AT_ONCE)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked_to_stop)
    await work(settings, stop)


def _token(given: str | None, file: Path | None) -> str:
    if given and file is not None:
        raise Invalid("--token and --token-file: give one of them")
    if file is None:
        return given or os.environ.get("VEDETTE_TOKEN", "")
    try:
        token = file.read_text("utf-8").strip()
    except UnicodeDecodeError:
        raise Invalid(f"--token-file {file}: this is not text: name the file of a token") from None
    except OSError as error:
        raise Invalid(f"--token-file {file}: {error.strerror}") from None
    if not token:
        raise Invalid(f"--token-file {file} is empty: write the token into it")
    return token


@words.command("list-worker")
@raw_option
@connected
async def list_worker(client: Client, raw: bool) -> None:
    """List the hosts that have workers."""
    hosts = await client.list_worker()
    if raw:
        shown.raw(hosts)
        return
    rows = (
        (h.name, h.host or "-", ", ".join(h.pools) or "-", h.slots, h.workers, h.running,
         h.pipelines, shown.age(h.since))
        for h in hosts
    )  # fmt: skip
    shown.table(
        ("NAME", "HOST", "POOLS", "SLOTS", "WORKERS", "RUNNING", "PIPELINES", "SINCE"), rows
    )
