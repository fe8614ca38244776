"""The application's routes. Errors become problem documents in the server, as everywhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Struct, structs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vedette.client import Client
from vedette.model.errors import Forbidden, Invalid, TooLarge
from vedette_cameras.alert.record import Alert, Record
from vedette_cameras.api import Decided
from vedette_cameras.counts.tally import Summary
from vedette_cameras.decisions import decided
from vedette_cameras.devices import Device
from vedette_cameras.ingest.routes import answer, post_images
from vedette_cameras.site import Site, site_of

_MOST = 10_000
_MAX_DEVICE = 65_536


class _DeviceChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    state: str = ""
    time_zone: str | None = None
    owner: str | None = None
    brand: str | None = None


def routes(client: Client) -> list[Route]:
    """What the application answers."""
    site = site_of(client)

    def bound(handler: Callable[[Site, Request], Awaitable[Any]]) -> Callable[..., Any]:
        async def serve(request: Request) -> Response:
            found = await handler(site, request)
            return found if isinstance(found, Response) else answer(request, found)

        return serve

    return [
        Route("/v1/devices/{device}/images", bound(_images), methods=["POST"]),
        Route("/v1/cameras/summary", bound(_summary)),
        Route("/v1/cameras/alerts", bound(_alerts)),
        Route("/v1/cameras/deliveries", bound(_deliveries)),
        Route("/v1/cameras/decisions/{image:path}", bound(_decision)),
        Route("/v1/cameras/devices", bound(_devices)),
        Route("/v1/cameras/devices/{device}", bound(_put_device), methods=["PUT"]),
    ]


async def _images(site: Site, request: Request) -> Response:
    return await post_images(site.intake, request)


async def _summary(site: Site, request: Request) -> Summary:
    return await site.counts.summary()


async def _alerts(site: Site, request: Request) -> list[Alert]:
    limit = _number(request, "limit", 100)
    after = request.query_params.get("after")
    return site.ledger.alerts(None if after is None else _number(request, "after", 0), limit)


async def _deliveries(site: Site, request: Request) -> list[Record]:
    return site.ledger.unsettled()


async def _decision(site: Site, request: Request) -> Decided:
    return await decided(site, "/" + request.path_params["image"].lstrip("/"))


async def _devices(site: Site, request: Request) -> list[Device]:
    return await site.intake.devices.all()


async def _put_device(site: Site, request: Request) -> Device:
    _need_admin(request)
    name = request.path_params["device"]
    body = await request.body()
    if len(body) > _MAX_DEVICE:
        raise TooLarge(f"a device of {len(body):,} bytes: at most {_MAX_DEVICE:,}")
    packed = request.headers.get("content-type", "").startswith("application/msgpack")
    decode = msgspec.msgpack.decode if packed else msgspec.json.decode
    try:
        change = decode(body or (b"\x80" if packed else b"{}"), type=_DeviceChange)
        given = {k: v for k, v in structs.asdict(change).items() if v not in (None, "")}
        # An empty text takes a value back; an empty state leaves it as it is.
        given |= {k: "" for k in ("time_zone", "owner", "brand") if getattr(change, k) == ""}
        known = await site.intake.devices.known(name)
        device = known or Device(name=name, created=site.clock.now())
        device = msgspec.convert(msgspec.to_builtins(device) | given, Device)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Invalid(f"device {name!r}: {error}") from None
    await site.intake.devices.save(device)
    return device


def _need_admin(request: Request) -> None:
    scope = request.scope.get("vedette.scope", "admin")
    if scope != "admin":
        raise Forbidden(f"a token of scope {scope} may not change devices: use one of scope admin")


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not text.isdigit() or len(text) > 15:
        raise Invalid(f"{name}={text[:20]!r} is not a number from 0 on")
    return min(int(text), _MOST) if name == "limit" else int(text)
