"""Commands on the server as a whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vedette import __version__
from vedette.cli import shown, words
from vedette.cli.session import commit_of, connected, raw_option
from vedette.model.errors import Invalid

if TYPE_CHECKING:
    from vedette.client import Client


@words.command("version")
@words.option("--client-only", is_flag=True, help="Do not ask the server.")
@raw_option
def version(client_only: bool, raw: bool) -> None:
    """Show the versions of this program and of the server; fails when none answers."""
    rows = [("vedette", __version__)]
    try:
        if not client_only:
            rows.append(("server", _asked()))
    finally:
        if raw:
            shown.raw([dict(rows)])
        else:
            shown.table(("COMPONENT", "VERSION"), rows)


@connected
async def _asked(client: Client) -> str:
    return (await client.version()).version


@words.command("status")
@raw_option
@connected
async def status(client: Client, raw: bool) -> None:
    """Show the server and the services of its applications."""
    found = await client.status()
    if raw:
        shown.raw([found])
        return
    print(f"server {found.version}, started {shown.age(found.started)}")
    room = found.space
    if room.total:
        print(f"disk {shown.size(room.free)} of {shown.size(room.total)} free")
    if room.quota:
        print(f"objects {shown.size(room.stored)} of {shown.size(room.quota)} allowed")
    if room.warning:
        print(f"WARNING {room.warning}")
    rows = ((s.application, s.name, s.state, s.pending, s.error) for s in found.services)
    shown.table(("APPLICATION", "SERVICE", "STATE", "PENDING", "ERROR"), rows)


@words.command("wait")
@words.argument("commit", nargs=-1, metavar="[REPO@COMMIT | ID]")
@words.option(
    "--idle",
    is_flag=True,
    help="Until no job, trigger or delivery is left; jobs of stopped pipelines do not count.",
)
@words.option("--timeout", type=words.number(0), default=3600.0, help="Seconds to wait.")
@connected
async def wait(client: Client, commit: tuple[str, ...], idle: bool, timeout: float) -> None:
    """Wait until nothing is left to do, or until all that a commit causes is done."""
    if bool(commit) == idle:
        raise Invalid("say what to wait for: --idle, or one commit")
    if idle:
        found = await client.idle(timeout)
        if found.stopped:
            print(
                f"idle; jobs that are of a stopped pipeline or wait for one: {found.stopped} "
                "(`vedette start-pipeline NAME` lets them go on)"
            )
        return
    identity = commit[0]
    if len(commit) > 1 or not re.fullmatch(r"[0-9a-f]{32}", identity):
        identity = (await client.inspect_commit(*commit_of(commit))).id
    await client.flush_commit(identity, timeout)
