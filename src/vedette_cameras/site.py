"""The application's parts within one server: made once, shared by routes, services and pages."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from vedette.client import Client
from vedette.client.application import Service
from vedette_cameras.alert.ledger import Ledger
from vedette_cameras.alert.service import AlertService, holder
from vedette_cameras.clock import Clock, SystemClock
from vedette_cameras.counts.follow import Counts
from vedette_cameras.ingest.brands import Brand, NameReader
from vedette_cameras.ingest.folder import FolderWatch, Found
from vedette_cameras.ingest.intake import Intake
from vedette_cameras.ingest.offer import Offer
from vedette_cameras.settings import Settings, load

_sites: WeakKeyDictionary[Client, Site] = WeakKeyDictionary()


class Site:
    """What the cameras' routes and services work on."""

    def __init__(self, client: Client, settings: Settings, clock: Clock) -> None:
        self.client = client
        self.clock = clock
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Take the settings; before anything is served."""
        self.settings = settings
        self.intake = Intake(self.client, settings, self.clock)
        self.ledger = Ledger(self.client, self.clock, holder())
        self.counts = Counts(self.client, self.ledger)
        self.alerts: AlertService | None = None

    def services(self, data_dir: Path) -> list[Service]:
        """The background services: alerts, counts, and a watcher for each folder."""
        alerts = AlertService(
            self.client, data_dir, self.settings, self.intake.devices, self.ledger, self.clock
        )
        self.alerts = alerts
        reader = NameReader([Brand(b.name, b.pattern) for b in self.settings.brands])
        watchers = [
            FolderWatch(watch, self.take, reader, self.settings.max_bytes)
            for watch in self.settings.watch
        ]
        return [alerts, self.counts, *watchers]

    async def take(self, found: Found) -> None:
        """Take a file of a watched folder in."""
        offer = Offer(
            data=found.path.read_bytes(),
            device=found.device,
            original_name=found.name,
            received_at=self.clock.now(),
            fallback=found.modified if found.device else None,
            source="folder",
        )
        await self.intake.receive([offer], create=True)


def site_of(client: Client) -> Site:
    """The site of a server, by the client that the server gave to the application."""
    site = _sites.get(client)
    if site is None:
        settings = load(None, None, os.environ)
        site = _sites[client] = Site(client, settings, SystemClock())
    return site


def services(client: Client, data_dir: Path, given: Mapping[str, Any]) -> list[Service]:
    """The application's services, with the settings of this installation."""
    site = site_of(client)
    site.configure(load(data_dir, given, os.environ))
    return site.services(data_dir)
