"""Why a picture is an alert, or none: what the repos and the ledger say of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from vedette.model.errors import Gone, NotFound
from vedette_cameras import names
from vedette_cameras.alert.failures import PIPELINES, failed, image_of
from vedette_cameras.alert.record import REPO, Record, alert_path, decode_record
from vedette_cameras.api import Decided
from vedette_cameras.counts.tally import SAME_SECOND
from vedette_cameras.ingest.offer import ARRIVALS
from vedette_cameras.site import Site


async def decided(site: Site, image: str) -> Decided:
    """What became of a picture of `images`; raises `NotFound` when there is none of this name."""
    await site.counts.now()
    outcome = site.counts.tally.outcome(image)
    delivery = await _delivery(site, image)
    if outcome is None and delivery is None:
        raise NotFound(f"images has no picture {image}: see `vedette list-file images master`")
    detection = await _detection(site, image)
    return Decided(
        image=image,
        outcome=outcome or "deleted",
        reason=await _reason(site, image, outcome or "", delivery),
        received_at=await _received(site, image),
        detection=detection,
        delivery=delivery,
    )


async def _delivery(site: Site, image: str) -> Record | None:
    path = alert_path(image)
    if (record := site.ledger.latest(path)) is not None:
        return record
    try:
        return decode_record(await site.client.get_file(REPO, "master", path), path)
    except (NotFound, Gone):
        return None


async def _detection(site: Site, image: str) -> dict[str, Any] | None:
    try:
        path = names.result_path(names.parse(image.rpartition("/")[2]))
    except names.PictureNameError:
        return None
    for repo in ("judge", "object-detect"):
        try:
            data = await site.client.get_file(repo, "master", path)
            found: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
        except (NotFound, Gone, msgspec.MsgspecError):
            continue
        # Two pictures of one device and second meet in one file: it may be the other's.
        return found if found.get("image", image) == image else None
    return None


async def _reason(site: Site, image: str, outcome: str, delivery: Record | None) -> str:
    if outcome == "invalid":
        path = f"/reasons/{image.rpartition('/')[2]}.json"
        try:
            found = msgspec.json.decode(
                await site.client.get_file("validate", "master", path), type=dict[str, Any]
            )
        except (NotFound, Gone, msgspec.MsgspecError):
            return ""
        return f"{found.get('reason', '')}: {found.get('detail', '')}"
    if outcome == "failed":
        for datum in await failed(site.client, PIPELINES):
            if await image_of(site.client, datum) == image:
                return f"{datum.pipeline}: {datum.reason}"
        return "its job failed"
    if outcome == "suppressed":
        return delivery.reason if delivery else SAME_SECOND
    return delivery.reason if delivery else ""


async def _received(site: Site, image: str) -> datetime | None:
    try:
        data = await site.client.get_file(ARRIVALS, "master", f"{image}.json")
        return msgspec.convert(msgspec.json.decode(data)["received_at"], datetime)
    except (NotFound, Gone, msgspec.MsgspecError, KeyError, TypeError):
        return None
