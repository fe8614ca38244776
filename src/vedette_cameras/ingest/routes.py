"""`POST /v1/devices/{device}/images`: pictures by HTTP."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from vedette.model.errors import Invalid, TooLarge
from vedette_cameras import names
from vedette_cameras.devices import check_device
from vedette_cameras.ingest.intake import Intake, Receipt
from vedette_cameras.ingest.multipart import boundary_of, split
from vedette_cameras.ingest.offer import Offer, is_generic

_FILENAME = re.compile(r"filename\s*=\s*(?:\"([^\"]*)\"|([^;\s]+))", re.IGNORECASE)
_PARTS_ROOM = 4
ANY_DEVICE = "-"
"""In place of a device: the name of the file tells."""


class Receipts(Struct, frozen=True, kw_only=True):
    """The answer to a body of several parts, in their order."""

    pictures: tuple[Receipt, ...]


def near(request: Request) -> bool:
    """Whether the caller is this machine, and may make unknown devices known."""
    scope = request.scope.get("vedette.scope", "admin")
    if scope != "admin":
        return False
    if request.client is None:
        return True
    try:
        address = ip_address(request.client.host)
    except ValueError:
        return request.client.host in ("localhost", "testclient")
    return bool((getattr(address, "ipv4_mapped", None) or address).is_loopback)


async def post_images(intake: Intake, request: Request) -> Response:
    """Take one picture (the body) or several (multipart); answers 201 when they are durable.

    Query or headers: `filename` (X-Filename, Content-Disposition), `captured_at` (X-Captured-At):
    RFC 3339 with or without offset (without: the device's time), seconds or milliseconds since
    1970, or `arrival`. A name that is given, and that gives no time, is kept: validate says then
    what is wrong with it. Device `-`: the name of the file tells.
    """
    device = request.path_params["device"]
    if device == ANY_DEVICE:
        device = ""
    else:
        check_device(device)
    received = intake.clock.now()
    query = request.query_params
    limit = intake.settings.max_bytes
    content_type = request.headers.get("content-type", "")
    boundary = boundary_of(content_type)
    if boundary is None:
        data = await _body(request, limit)
        filename = query.get("filename") or _header_filename(request.headers)
        given = query.get("captured_at") or request.headers.get("x-captured-at", "")
        offer = _offer(device, data, filename, given, received)
        receipt = (await intake.receive([offer], create=near(request)))[0]
        return answer(request, receipt, 201)
    parts = split(await _body(request, limit * _PARTS_ROOM), boundary, intake.settings.max_parts)
    fields = {p.name: p.data[:200].decode("utf-8", "replace") for p in parts if p.filename is None}
    given = query.get("captured_at") or fields.get("captured_at", "")
    offers = [
        _offer(device, part.data, part.filename or query.get("filename") or "", given, received)
        for part in parts
        if part.filename is not None or part.media.startswith("image/")
    ]
    if not offers:
        raise Invalid("the body holds no picture: send at least one part with a file name")
    receipts = await intake.receive(offers, create=near(request))
    return answer(request, Receipts(pictures=tuple(receipts)), 201)


def _offer(device: str, data: bytes, filename: str, given: str, received: datetime) -> Offer:
    nameless = not filename or (bool(device) and is_generic(filename))
    by_arrival = given.strip().lower() == "arrival"
    if not device and nameless:
        raise Invalid("no device and no file name: post to /v1/devices/DEVICE/images")
    return Offer(
        data=data,
        device=device,
        original_name=filename,
        captured_at=None if by_arrival or not given else parse_moment(given),
        received_at=received,
        fallback=received if nameless or by_arrival else None,
        source="http",
    )


def parse_moment(text: str) -> datetime:
    """A time as senders write it; naive when it names no offset. Raises `Invalid`."""
    text = text.strip()
    if text.isdigit():
        try:
            return names.moment(text)
        except names.PictureNameError as fault:
            raise Invalid(f"captured_at: {fault.detail}") from None
    try:
        # A plus sign that was not percent-encoded arrives as a blank.
        moment = datetime.fromisoformat(re.sub(r" (\d\d:?\d\d)$", r"+\1", text))
    except ValueError:
        raise Invalid(
            f"captured_at {text[:40]!r} is no time: use 2017-11-28T17:44:58Z or 1511891098"
        ) from None
    return moment.astimezone(UTC) if moment.tzinfo else moment


def _header_filename(headers: Mapping[str, str]) -> str:
    if name := headers.get("x-filename"):
        return name
    match = _FILENAME.search(headers.get("content-disposition", ""))
    return (match[1] or match[2] or "") if match else ""


async def _body(request: Request, limit: int) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise TooLarge(f"the body has {int(announced):,} bytes: at most {limit:,} are taken")
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"the body has more than {limit:,} bytes, the limit for pictures")
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def answer(request: Request, value: Any, status: int = 200) -> Response:
    """A value as JSON, or as msgpack where the caller asks for that."""
    if "application/msgpack" in request.headers.get("accept", ""):
        content = msgspec.msgpack.encode(value)
        return Response(content, status_code=status, media_type="application/msgpack")
    content = msgspec.json.encode(value)
    return Response(content, status_code=status, media_type="application/json")
