"""Which channel messages leave by, found out anew now and then: keys and settings change."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from vedette.client import Client
from vedette.model.errors import VedetteError
from vedette_cameras.alert.channels import Channel, FileChannel, SendGridChannel, SmtpChannel
from vedette_cameras.alert.picture import Studio
from vedette_cameras.settings import Settings

if TYPE_CHECKING:
    import httpx2

SECRET_KEY = "SGKEY"  # noqa: S105  a name, not a key
_SECRET_PREFIX = "pipeline-"  # noqa: S105
_FRESH = 30.0


class PostOffice:
    """Chooses the channel, and keeps what channels share."""

    def __init__(self, client: Client, settings: Settings, data_dir: Path, studio: Studio) -> None:
        self._client = client
        self._settings = settings
        self._outbox = data_dir / settings.outbox
        self._studio = studio
        self._http: httpx2.AsyncClient | None = None
        self._channel: Channel | None = None
        self._looked = 0.0

    async def channel(self) -> Channel | None:
        """The channel to use now; None where the settings want none."""
        if self._channel is None or time.monotonic() - self._looked > _FRESH:
            self._channel = await self._choose()
            self._looked = time.monotonic()
        return self._channel

    async def close(self) -> None:
        """Let go of connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None
        self._channel = None

    async def _choose(self) -> Channel | None:
        wanted = self._settings.channel
        if wanted == "none":
            return None
        if wanted in ("auto", "sendgrid"):
            key = await self._key()
            if key or wanted == "sendgrid":
                return SendGridChannel(self._settings.sendgrid, key, self._http_client())
        if wanted == "smtp" or (wanted == "auto" and self._settings.smtp.host):
            timeout = self._settings.retries.timeout
            return SmtpChannel(self._settings.smtp, self._studio, timeout)
        return FileChannel(self._outbox, self._studio)

    async def _key(self) -> str:
        """SendGrid's key: the settings', else a pipeline's SGKEY, else the environment's."""
        if self._settings.sendgrid.key:
            return self._settings.sendgrid.key
        try:
            for secret in await self._client.list_secret():
                if secret.name.startswith(_SECRET_PREFIX) and SECRET_KEY in secret.keys:
                    value = await self._client.secret(secret.name, SECRET_KEY)
                    if value:
                        return value
        except VedetteError:
            pass
        return os.environ.get(SECRET_KEY, "")

    def _http_client(self) -> httpx2.AsyncClient:
        if self._http is None:
            # 170 ms to import: only for those who have a key.
            import httpx2

            self._http = httpx2.AsyncClient(timeout=self._settings.retries.timeout)
        return self._http
