"""Commands that keep house."""

from __future__ import annotations

import sys

import click

from vedette.cli import shown
from vedette.cli.session import connected, raw_option
from vedette.client import Client
from vedette.model.errors import Corrupt


@click.command("garbage-collect")
@click.option("--full", is_flag=True, help="Look at every object, not only at what was dropped.")
@raw_option
@connected
async def garbage_collect(client: Client, full: bool, raw: bool) -> None:
    """Let go of the bytes that nobody names any more. The server does it by itself, too."""
    done = await client.garbage_collect(full=full)
    if raw:
        shown.raw([done])
        return
    print(f"{done.objects} objects ({shown.size(done.size)}) and {done.packs} packs went")
    if done.suspects:
        print(f"{done.suspects} objects wait for their grace period to end")
    if done.busy:
        print("a large job is under way: the rest waits for its end", file=sys.stderr)


@click.command("fsck")
@click.option("--deep", is_flag=True, help="Also read and hash all bytes.")
@raw_option
@connected
async def fsck(client: Client, deep: bool, raw: bool) -> int:
    """Check that all that is needed is there and that nothing deleted remains.

    Exits with 8 when something is amiss.
    """
    faults = 0
    async for line in client.fsck(deep=deep):
        faults += line.fault is not None
        if raw:
            shown.raw([line])
        elif line.fault is not None:
            print(f"{line.fault.kind}: {line.fault.text}")
        elif line.checked is not None:
            seen = line.checked
            size, how = shown.size(seen.size), "read and hashed" if deep else "looked for"
            print(f"{seen.objects} objects ({size}) {how}, {seen.files} files: {faults} faults")
    return Corrupt.exit_code if faults else 0
