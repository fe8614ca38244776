"""The demo's server: a process of its own, as anybody would start it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from msgspec import Struct

from vedette.client import Client, HttpTransport
from vedette.model.errors import Unavailable

HOST = "127.0.0.1"
PORT = 7650
LOG = "server.log"
_START_LIMIT = 60.0
_STOP_LIMIT = 15.0
_PR_SET_PDEATHSIG = 1


class Server(Struct, frozen=True, kw_only=True):
    """A server that answers: where it listens, where its data is, what it logs to."""

    address: str
    data: Path
    log: Path


@asynccontextmanager
async def running(data: Path) -> AsyncIterator[Server]:
    """A server over `data`, stopped at the end; raises `Unavailable` when it does not start."""
    data.mkdir(parents=True, exist_ok=True)
    log = data / LOG
    address = f"http://{HOST}:{free_port()}"
    with log.open("ab") as output:
        begin = output.tell()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from vedette.cli.main import run; run()", "serve"),
            *("--data", str(data), "--listen", address.removeprefix("http://")),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C is for the demo, which then stops the server in good order.
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            env=_without_address(),
        )
    try:
        await _answering(process, address, log, begin)
        yield Server(address=address, data=data, log=log)
    finally:
        await _stop(process)


def free_port() -> int:
    """7650, or another one when that is taken."""
    for port in (PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((HOST, port))
                return int(probe.getsockname()[1])
    raise Unavailable(f"no port is free on {HOST}: end something that listens there")


async def _answering(
    process: asyncio.subprocess.Process, address: str, log: Path, begin: int
) -> None:
    loop = asyncio.get_running_loop()
    limit = loop.time() + _START_LIMIT
    async with Client(HttpTransport(address)) as client:
        while loop.time() < limit:
            if process.returncode is not None:
                raise Unavailable(f"the server did not start: {_last_line(log, begin)}")
            with suppress(Unavailable):
                await client.version()
                return
            await asyncio.sleep(0.05)
    raise Unavailable(
        f"the server did not answer at {address} within {_START_LIMIT:.0f} s: see {log}"
    )


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_LIMIT):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _last_line(log: Path, begin: int) -> str:
    with log.open("rb") as output:
        output.seek(begin)
        lines = output.read().decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("vedette: ") if lines else f"it said nothing in {log}"


def _without_address() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "VEDETTE_ADDRESS"}


def _end_with_parent() -> None:
    # A demo that is killed outright must not leave a server behind.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
