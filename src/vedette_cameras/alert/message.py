"""The words of a message: what was seen, where, when, and where to look (CAMERAS 6)."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections import Counter
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from html import escape
from urllib.parse import quote

from msgspec import Struct

from vedette_cameras.alert.record import Record
from vedette_cameras.ingest.brands import zone

DEFAULT_SENDER = "vedette@localhost"
PICTURE_ID = "picture@vedette.invalid"
_SUBJECT = 150
_LINE = 76
_STYLE = "font-family:system-ui,sans-serif;font-size:16px;color:#1b1b1f;max-width:40em"
_BUTTON = (
    "display:inline-block;padding:.5em 1em;background:#1f4fd8;color:#fff;"
    "border-radius:.3em;text-decoration:none"
)


class Message(Struct, frozen=True, kw_only=True):
    """A message ready to go. `picture` is a JPEG, shown inline, or empty."""

    message_id: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    html: str
    picture: bytes = b""
    picture_name: str = ""
    key: str = ""
    date: datetime


def compose(record: Record, address: str, picture: bytes = b"") -> Message:
    """The message of a delivery. `address` is where the dashboard is, without a last slash."""
    if record.kind == "summary":
        subject, lines, link = _summary(record, address)
    elif record.kind == "error":
        subject, lines, link = _error(record, address)
    else:
        subject, lines, link = _alert(record, address)
    return Message(
        message_id=record.message_id,
        sender=record.sender or DEFAULT_SENDER,
        recipients=record.recipients,
        subject=_one_line(subject),
        text="\n".join([*lines, "", link, ""]),
        html=_html(lines, link, bool(picture)),
        picture=picture,
        picture_name=record.key.rpartition("/")[2].rpartition(".")[0] + ".jpg" if picture else "",
        key=record.key,
        date=record.decided_at,
    )


def local_time(moment: datetime, time_zone: str) -> str:
    """A moment as a device's clock on the wall shows it, with the zone's short name.

    A zone that is not known (any more) is UTC: a message is not to fail over it.
    """
    try:
        where = zone(time_zone)
    except Exception:  # noqa: BLE001  told in UTC rather than not at all
        where = zone("")
    return moment.astimezone(where).strftime("%Y-%m-%d %H:%M:%S %Z")


def link_to(address: str, image: str) -> str:
    """The address of an alert's page."""
    return f"{address}/alerts{quote(image)}"


def _alert(record: Record, address: str) -> tuple[str, list[str], str]:
    what = record.label or "threat"
    when = _when(record)
    device = record.device or "unknown device"
    lines = [
        f"{what.capitalize()} at {device}",
        f"Time: {when}",
        f"Label: {what}",
        f"Score: {record.score:.2f}",
    ]
    others = Counter(threat.label for threat in record.threats[1:])
    if others:
        shown = ", ".join(f"{n} x {label}" for label, n in others.most_common(10))
        lines.append(f"Also: {shown}")
    lines.append(f"Picture: {record.key}")
    return f"{what} at {device}, {when}", lines, link_to(address, record.key)


def _error(record: Record, address: str) -> tuple[str, list[str], str]:
    device = record.device or "unknown device"
    lines = [
        f"A picture of {device} could not be looked at. It may show a threat: look yourself.",
        f"Time: {_when(record)}",
        f"Reason: {record.reason}",
        f"Picture: {record.key}",
    ]
    return f"could not look at a picture of {device}", lines, link_to(address, record.key)


def _summary(record: Record, address: str) -> tuple[str, list[str], str]:
    first, last = record.first or record.decided_at, record.last or record.decided_at
    span = f"from {local_time(first, record.time_zone)} to {local_time(last, record.time_zone)}"
    if record.reason == "error":
        some = "1 picture" if record.count == 1 else f"{record.count} pictures"
        subject = f"{some} {span} could not be looked at"
    else:
        some = "1 alert" if record.count == 1 else f"{record.count} alerts"
        subject = f"{some} {span} {'was' if record.count == 1 else 'were'} decided late"
    lines = [subject.capitalize() + ".", *(f"Picture: {key}" for key in record.examples)]
    if record.count > len(record.examples):
        lines.append(f"and {record.count - len(record.examples)} more")
    return subject, lines, f"{address}/"


def _when(record: Record) -> str:
    moment = record.captured_at or record.received_at
    return local_time(moment, record.time_zone) if moment else "at an unknown time"


def _html(lines: list[str], link: str, picture: bool) -> str:
    head, *rest = (escape(line) for line in lines)
    shown = (
        f'<p><img src="cid:{PICTURE_ID}" alt="The picture with its boxes"'
        ' style="max-width:100%;border-radius:.3em"></p>'
        if picture
        else ""
    )
    body = "".join(f"<p style='margin:.2em 0'>{line}</p>" for line in rest)
    return (
        f'<!doctype html><html lang="en"><body style="{_STYLE}">'
        f"<h1 style='font-size:1.3em'>{head}</h1>{shown}{body}"
        f'<p style="margin-top:1em"><a href="{escape(link)}" style="{_BUTTON}">Open</a></p>'
        "</body></html>"
    )


def to_mime(message: Message) -> bytes:
    """The message as the bytes of an e-mail: text, HTML and the picture inline.

    The picture is put in at the end, in place of a word: the library would look at each of its
    lines several times, which cost 4 ms of processor a message.
    """
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = message.subject
    mail["From"] = _one_line(message.sender)
    mail["To"] = ", ".join(_one_line(recipient) for recipient in message.recipients)
    mail["Message-ID"] = message.message_id
    mail["Date"] = message.date
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Vedette-Key"] = quote(message.key)
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    if not message.picture:
        return mail.as_bytes()
    html = mail.get_payload()[1]  # type: ignore[index]
    place = base64.b64encode(secrets.token_bytes(24))
    html.add_related(  # type: ignore[union-attr]
        base64.b64decode(place),
        maintype="image",
        subtype="jpeg",
        cid=f"<{PICTURE_ID}>",
        filename=message.picture_name,
        disposition="inline",
    )
    text = binascii.b2a_base64(message.picture, newline=False)
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return mail.as_bytes().replace(place, b"\r\n".join(lines), 1)


def _one_line(text: str) -> str:
    """A header without line ends, whatever a file was called."""
    return " ".join(text.split())[:_SUBJECT]
