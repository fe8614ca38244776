"""`vedette cameras ...`: what people type. Heavy imports are left to each command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from vedette.client import Client

T = TypeVar("T")


@click.group()
def cameras() -> None:
    """Security cameras: pictures in, alerts out."""


@cameras.command()
@click.option("--update", is_flag=True, help="Bring pipelines that exist to the shipped specs.")
@click.option("--annotate", is_flag=True, help="Also draw boxes on every picture.")
def init(update: bool, annotate: bool) -> None:
    """Create repos, the bundled model, a rule and the pipelines, where they are missing."""

    async def work(client: Client) -> list[str]:
        from vedette_cameras.setup import set_up

        return await set_up(client, update=update, annotate=annotate)

    done = _with_client(work)
    for line in done:
        click.echo(f"created {line}")
    if not done:
        click.echo("everything is there already")


@cameras.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--device", default="", help="Device of files whose name and sub-folder give none.")
@click.option("--delete", is_flag=True, help="Delete each file once it is committed.")
@click.option("--once", is_flag=True, help="Take what is there, then end.")
def watch(folder: Path, device: str, delete: bool, once: bool) -> None:
    """Send the pictures that appear in FOLDER, until Ctrl-C."""

    async def work(client: Client) -> int:
        import os

        from vedette_cameras.settings import Watch, load

        settings = load(None, None, os.environ)
        wanted = Watch(folder=str(folder), device=device, after="delete" if delete else "keep")
        return await _watch(client, wanted, settings, once=once)

    click.echo(f"{_with_client(work)} pictures taken")


async def _watch(client: Client, wanted: Any, settings: Any, *, once: bool) -> int:
    from vedette.model.errors import Invalid
    from vedette_cameras.api import POST_IMAGE
    from vedette_cameras.clock import rfc3339
    from vedette_cameras.devices import check_device
    from vedette_cameras.ingest.brands import Brand, NameReader
    from vedette_cameras.ingest.folder import FolderWatch, Found

    if wanted.device:
        check_device(wanted.device)
    reader = NameReader([Brand(brand.name, brand.pattern) for brand in settings.brands])

    async def take(found: Found) -> None:
        query = {"filename": found.name}
        if found.device and reader.read(found.name) is None:
            query["captured_at"] = rfc3339(found.modified)
        params = {"device": found.device or "-"}
        data = found.path.read_bytes()
        receipt = await client.transport.call(POST_IMAGE, params, query, data)
        click.echo(f"{found.name} -> {receipt.path}{' (was there)' if receipt.duplicate else ''}")

    watcher = FolderWatch(wanted, take, reader, settings.max_bytes)
    if once:
        if not watcher.folder.is_dir():
            raise Invalid(f"watch folder {watcher.folder} is not there: make it, or name another")
        await watcher.once()
        return watcher.taken
    click.echo(f"watching {watcher.folder}; Ctrl-C ends it")
    with suppress(asyncio.CancelledError):
        await watcher.run()
    return watcher.taken


@cameras.command()
@click.option("--raw", is_flag=True, help="One JSON object.")
def summary(raw: bool) -> None:
    """How many pictures, and what became of them."""

    async def work(client: Client) -> Any:
        from vedette_cameras.api import SUMMARY

        return await client.transport.call(SUMMARY, {})

    found = _with_client(work)
    if raw:
        click.echo(_json(found))
        return
    names = found.__struct_fields__
    click.echo(
        f"received {found.received} = "
        + " + ".join(f"{getattr(found, n)} {n.replace('_', ' ')}" for n in names[1:])
    )


@cameras.command()
@click.option("--limit", default=20, show_default=True, help="How many, the newest first.")
@click.option("--after", type=int, default=None, help="Those after this number, oldest first.")
@click.option("--raw", is_flag=True, help="One JSON object a line.")
def alerts(limit: int, after: int | None, raw: bool) -> None:
    """The newest alerts."""

    async def work(client: Client) -> Any:
        from vedette_cameras.api import ALERTS

        return await client.transport.call(ALERTS, {}, {"limit": limit, "after": after})

    found = _with_client(work)
    if raw:
        for alert in found:
            click.echo(_json(alert))
        return
    rows = [
        [str(a.number), a.captured_at or "", a.device, a.label, f"{a.score:.2f}", a.state, a.image]
        for a in found
    ]
    _table(["NUMBER", "CAPTURED", "DEVICE", "LABEL", "SCORE", "STATE", "IMAGE"], rows)


@cameras.command()
@click.option("--raw", is_flag=True, help="One JSON object a line.")
def deliveries(raw: bool) -> None:
    """Messages that are under way, and dead letters."""

    async def work(client: Client) -> Any:
        from vedette_cameras.api import DELIVERIES

        return await client.transport.call(DELIVERIES, {})

    found = _with_client(work)
    if raw:
        for record in found:
            click.echo(_json(record))
        return
    rows = [
        [str(r.number), r.kind, r.state, str(r.tries), ", ".join(r.recipients), r.key, r.error]
        for r in found
    ]
    _table(["NUMBER", "KIND", "STATE", "TRIES", "TO", "KEY", "LAST ERROR"], rows)


@cameras.command()
@click.argument("name", required=False)
@click.option(
    "--time-zone", default=None, help="Such as Europe/Berlin; camera names hold local time."
)
@click.option("--owner", default=None)
@click.option("--enable/--disable", "enabled", default=None)
@click.option("--raw", is_flag=True, help="One JSON object a line.")
def device(
    name: str | None, time_zone: str | None, owner: str | None, enabled: bool | None, raw: bool
) -> None:
    """List the devices, or make device NAME known and change it."""

    async def work(client: Client) -> Any:
        from vedette_cameras.api import LIST_DEVICES, PUT_DEVICE

        if name is None:
            return await client.transport.call(LIST_DEVICES, {})
        change: dict[str, Any] = {"time_zone": time_zone, "owner": owner}
        if enabled is not None:
            change["state"] = "enabled" if enabled else "disabled"
        body = {key: value for key, value in change.items() if value is not None}
        return [await client.transport.call(PUT_DEVICE, {"device": name}, None, body)]

    found = _with_client(work)
    if raw:
        for one in found:
            click.echo(_json(one))
        return
    _table(
        ["NAME", "STATE", "TIME ZONE", "OWNER"],
        [[one.name, one.state, one.time_zone or "UTC", one.owner] for one in found],
    )


def _with_client(work: Callable[[Client], Awaitable[T]]) -> T:
    from vedette.client import Client, HttpTransport

    async def run() -> T:
        async with Client(HttpTransport()) as client:
            return await work(client)

    return asyncio.run(run())


def _json(value: Any) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()


def _table(head: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]
    for row in (head, *rows):
        click.echo(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
