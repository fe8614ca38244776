"""The application's parts of the front page, and its own pages."""

from __future__ import annotations

from collections.abc import Mapping

from vedette.client import Client
from vedette.client.application import Panel, Sheet
from vedette.model.errors import NotFound
from vedette_cameras.ingest.offer import IMAGES
from vedette_cameras.pages.marks import render
from vedette_cameras.pages.picture import known
from vedette_cameras.site import Site, site_of

NEWEST = 8
LISTED = 96


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


async def _channel(site: Site) -> str:
    """The channel that messages leave by; `-` while that is not known."""
    return "-" if site.alerts is None else await site.alerts.channel()
