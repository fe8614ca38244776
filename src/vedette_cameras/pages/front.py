"""The application's parts of the front page, and its own pages."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from vedette.client import Client
from vedette.client.application import Panel, Sheet
from vedette.model.errors import Gone, NotFound
from vedette_cameras.ingest.offer import IMAGES
from vedette_cameras.pages.marks import render
from vedette_cameras.pages.picture import known
from vedette_cameras.site import Site, site_of
from vedette_cameras.validate.check import ReasonRecord

NEWEST = 8
LISTED = 96
REFUSED = 50
REASONS = "/reasons"


async def panels(client: Client) -> list[Panel]:
    """The line of truth and the newest alerts; on a fresh server, what to do first."""
    site = site_of(client)
    try:
        await client.inspect_repo(IMAGES)
    except NotFound:
        return [Panel(name="cameras", title="Cameras", html=render("begin.html", {}), order=-10)]
    truth = {"summary": await site.counts.summary(), "channel": await _channel(site)}
    newest = {"alerts": site.ledger.alerts(None, NEWEST), "more": True, "full": False}
    return [
        Panel(name="truth", title="Pictures", html=render("truth.html", truth), order=-10),
        Panel(name="alerts", title="Latest alerts", html=render("alerts.html", newest), order=10),
    ]


async def list_page(client: Client, query: Mapping[str, str]) -> Sheet:
    """The newest alerts."""
    alerts = site_of(client).ledger.alerts(None, LISTED)
    values = {"alerts": alerts, "more": False, "full": len(alerts) == LISTED}
    return Sheet(title="Alerts", html=render("alerts.html", values), live=True)


async def picture_page(client: Client, query: Mapping[str, str]) -> Sheet:
    """Why a picture is an alert, or none."""
    found = await known(site_of(client), "/" + query["image"].strip("/"))
    settled = found.outcome != "in flight" and not (found.delivery and found.delivery.open)
    html = render("picture.html", {"known": found})
    return Sheet(title=found.image.lstrip("/"), html=html, live=not settled)


async def invalid_page(client: Client, query: Mapping[str, str]) -> Sheet:
    """Pictures that validate refused, and why."""
    after = query.get("after", "")
    try:
        files = await client.list_file("validate", "master", REASONS, after=after, limit=REFUSED)
    except NotFound:
        files = []
    values = {
        "found": [await _refused(client, file.path) for file in files],
        "next": files[-1].path if len(files) == REFUSED else "",
    }
    return Sheet(title="Invalid pictures", html=render("invalid.html", values), live=not after)


async def _refused(client: Client, path: str) -> ReasonRecord:
    image = "/" + path.removeprefix(REASONS).strip("/").removesuffix(".json")
    try:
        return msgspec.json.decode(
            await client.get_file("validate", "master", path), type=ReasonRecord
        )
    except (NotFound, Gone, msgspec.MsgspecError):
        return ReasonRecord(image=image, object="", reason="bad_name", detail="no reason on record")


async def _channel(site: Site) -> str:
    """The channel that messages leave by; `-` while that is not known."""
    return "-" if site.alerts is None else await site.alerts.channel()
