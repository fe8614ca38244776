"""Ways for a message to leave: SendGrid's API, a mail server, or files in a folder."""

from __future__ import annotations

import asyncio
import base64
import email.utils
import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vedette_cameras.alert.message import PICTURE_ID, Message
from vedette_cameras.settings import SendGrid, Smtp

if TYPE_CHECKING:
    import httpx2

    from vedette_cameras.alert.picture import Studio

_LONG_WAIT = 3600.0
_SMTPS, _SUBMISSION, _SMTP_PORT = 465, 587, 25


class RefusedError(Exception):
    """The provider will never take this message; the text is why."""


class LaterError(Exception):
    """Not now. `after` is the wait in seconds that the provider asked for, if it did."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Channel(Protocol):
    """A way for messages to leave."""

    @property
    def name(self) -> str:
        """What the ledger calls it."""

    async def send(self, message: Message) -> str:
        """Hand a message over; returns the provider's id. Raises `RefusedError`, `LaterError`."""


class SendGridChannel:
    """SendGrid's v3 API: one POST a message."""

    name = "sendgrid"

    def __init__(self, settings: SendGrid, key: str, http: httpx2.AsyncClient) -> None:
        self._url = settings.host.rstrip("/") + "/v3/mail/send"
        self._key = key
        self._http = http

    async def send(self, message: Message) -> str:
        """Hand a message over; 202 is the provider's yes."""
        import httpx2

        try:
            answer = await self._http.post(
                self._url,
                json=self._document(message),
                headers={"authorization": f"Bearer {self._key}"},
            )
        except httpx2.TimeoutException as error:
            raise LaterError(f"SendGrid did not answer in time ({type(error).__name__})") from None
        except httpx2.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise LaterError(f"SendGrid cannot be reached: {reason}") from None
        if answer.status_code in (200, 202):
            return str(answer.headers.get("x-message-id", ""))
        reason = f"SendGrid answered {answer.status_code}: {' '.join(answer.text.split())[:200]}"
        if answer.status_code in (400, 413, 422):
            raise RefusedError(reason)
        raise LaterError(reason, _asked_wait(answer.headers))

    @staticmethod
    def _document(message: Message) -> dict[str, Any]:
        name, address = email.utils.parseaddr(message.sender)
        sender = {"email": address or message.sender} | ({"name": name} if name else {})
        document: dict[str, Any] = {
            "personalizations": [{"to": [{"email": to} for to in message.recipients]}],
            "from": sender,
            "subject": message.subject,
            "content": [
                {"type": "text/plain", "value": message.text},
                {"type": "text/html", "value": message.html},
            ],
            "headers": {"Message-ID": message.message_id, "Auto-Submitted": "auto-generated"},
            "custom_args": {"vedette_key": message.key},
        }
        if message.picture:
            document["attachments"] = [
                {
                    "content": base64.b64encode(message.picture).decode(),
                    "type": "image/jpeg",
                    "filename": message.picture_name,
                    "disposition": "inline",
                    "content_id": PICTURE_ID,
                }
            ]
        return document


def _asked_wait(headers: Any) -> float | None:
    """What Retry-After or X-RateLimit-Reset ask for, in seconds, at most an hour."""
    wait: float | None = None
    asked = headers.get("retry-after", "").strip()
    if asked.isdigit():
        wait = float(asked)
    elif asked:
        try:
            wait = email.utils.parsedate_to_datetime(asked).timestamp() - time.time()
        except ValueError:
            wait = None
    elif (reset := headers.get("x-ratelimit-reset", "").strip()).isdigit():
        wait = float(reset) - time.time()
    return None if wait is None else min(max(wait, 0.0), _LONG_WAIT)


class SmtpChannel:
    """A mail server. Every message has a connection of its own: alerts are few."""

    name = "smtp"

    def __init__(self, settings: Smtp, studio: Studio, timeout: float) -> None:
        self._settings = settings
        self._studio = studio
        self._timeout = timeout

    async def send(self, message: Message) -> str:
        """Hand a message over; the server's 250 after the data is its yes."""
        import aiosmtplib

        settings = self._settings
        implicit = settings.tls == "implicit" or settings.port == _SMTPS
        default = _SMTPS if implicit else _SUBMISSION if settings.user else _SMTP_PORT
        data = await self._studio.mime(message)
        try:
            refused, answer = await aiosmtplib.send(
                data,
                sender=email.utils.parseaddr(message.sender)[1] or message.sender,
                recipients=list(message.recipients),
                hostname=settings.host,
                port=settings.port or default,
                username=settings.user or None,
                password=settings.password or None,
                use_tls=implicit,
                start_tls={"starttls": True, "none": False}.get(settings.tls),
                timeout=self._timeout,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [refused.code for refused in error.recipients]
            reason = "; ".join(f"{r.recipient}: {r.code} {r.message}" for r in error.recipients)
            raise _by_code(min(codes, default=550), f"recipients refused: {reason[:200]}") from None
        except aiosmtplib.SMTPAuthenticationError as error:
            # A password can be mended while the message waits.
            raise LaterError(f"the mail server refuses the login: {error.message}") from None
        except aiosmtplib.SMTPResponseException as error:
            raise _by_code(error.code, f"mail server: {error.code} {error.message}") from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise LaterError(f"mail server {settings.host}: {reason}") from None
        told = " ".join(answer.split())[:200]
        if refused:
            told += f" (refused for {', '.join(refused)})"
        return told


def _by_code(code: int, reason: str) -> Exception:
    return RefusedError(reason) if code >= 500 else LaterError(reason)


class FileChannel:
    """One .eml file a message in a folder: where mail goes when nothing else is set up."""

    name = "file"

    def __init__(self, folder: Path, studio: Studio) -> None:
        self.folder = folder
        self._studio = studio

    async def send(self, message: Message) -> str:
        """Write the message; a second time under the same Message-ID replaces the first."""
        data = await self._studio.mime(message)
        name = file_name(message)
        try:
            await asyncio.to_thread(_write, self.folder, name, data)
        except OSError as error:
            raise LaterError(f"{self.folder / name}: {error.strerror or error}") from None
        return name


def file_name(message: Message) -> str:
    """The name of a message's file: what it is about, and which message it is."""
    about = "".join(sign if sign.isalnum() or sign in "-._" else "-" for sign in message.key[1:])
    digest = hashlib.sha256(message.message_id.encode()).hexdigest()[:12]
    return f"{about[:100] or 'message'}-{digest}.eml"


def _write(folder: Path, name: str, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{name}.tmp"
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    # After this a crash leaves the whole message or none.
    temporary.replace(folder / name)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
