"""Operations that keep house: garbage, checks, retention, deleting for good."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec

from vedette.model.errors import Unavailable
from vedette.model.keeping import CheckLine, Collected
from vedette.scheduling.upkeep import Upkeep
from vedette.server.call import Call, Content
from vedette.server.files import in_thread
from vedette.server.site import Site
from vedette.versioning.check import Check

_encode = msgspec.json.Encoder().encode


def _upkeep(site: Site) -> Upkeep:
    if site.upkeep is None:
        raise Unavailable("this server does not keep house: ask the one that leads")
    return site.upkeep


async def garbage_collect(site: Site, call: Call) -> Collected:
    """Let go of what nobody names."""
    return await asyncio.to_thread(_upkeep(site).collect, call.query.full)


async def fsck(site: Site, call: Call) -> Content:
    """Whether all is there that should be, and nothing else."""
    check = Check(site.store, site.objects, call.query.deep, _upkeep(site).young())
    return Content(chunks=in_thread(_lines(check)), media="application/x-ndjson")


def _lines(check: Check) -> Iterator[bytes]:
    for fault in check.faults():
        yield _encode(CheckLine(fault=fault)) + b"\n"
    yield _encode(CheckLine(checked=check.checked)) + b"\n"
