"""The application's parts of the front page, and its own pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from vedette.client import Client
from vedette.client.application import Page, Panel, Sheet
from vedette.model.errors import NotFound
from vedette_cameras.alert.record import Alert
from vedette_cameras.counts.tally import Summary
from vedette_cameras.pages.decision import known
from vedette_cameras.pages.marks import render

NEWEST = 8
LISTED = 96


class Pages:
    """The pages of one installation, over the counts and the ledger that its services keep.

    `summary` gives the line of truth, `alerts` the newest alerts, newest first. `notice` is a
    sentence on where messages go that the operator ought to read, or "".
    """

    def __init__(
        self,
        summary: Callable[[], Awaitable[Summary]],
        alerts: Callable[[int], Sequence[Alert]],
        notice: Callable[[], str] = str,
    ) -> None:
        self._summary = summary
        self._alerts = alerts
        self._notice = notice

    def pages(self) -> list[Page]:
        """The pages, for `Application.pages`."""
        return [
            Page(path="/alerts", draw=self._list, menu="Alerts"),
            Page(path="/alerts/{image:path}", draw=self._one),
        ]

    async def panels(self, client: Client) -> list[Panel]:
        """The line of truth, and the newest alerts."""
        try:
            await client.inspect_repo("images")
        except NotFound:
            return [
                Panel(name="cameras", title="Cameras", html=render("begin.html", {}), order=-10)
            ]
        truth = {"summary": await self._summary(), "notice": self._notice()}
        newest = {"alerts": self._alerts(NEWEST), "more": True}
        return [
            Panel(name="truth", title="Pictures", html=render("truth.html", truth), order=-10),
            Panel(
                name="alerts", title="Latest alerts", html=render("alerts.html", newest), order=10
            ),
        ]

    async def _list(self, client: Client, query: Mapping[str, str]) -> Sheet:
        alerts = self._alerts(LISTED)
        values = {"alerts": alerts, "more": False, "full": len(alerts) == LISTED}
        return Sheet(title="Alerts", html=render("alerts.html", values), live=True)

    async def _one(self, client: Client, query: Mapping[str, str]) -> Sheet:
        found = await known(client, "/" + query["image"].strip("/"))
        settled = found.verdict != "in flight" and not (found.record and found.record.open)
        html = render("alert.html", {"known": found})
        return Sheet(title=found.image.lstrip("/"), html=html, live=not settled)
