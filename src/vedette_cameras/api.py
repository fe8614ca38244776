"""The application's own operations, as programs call them through a client's transport."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from vedette.client import Endpoint
from vedette_cameras.alert.record import Alert, Record
from vedette_cameras.counts.tally import Summary
from vedette_cameras.devices import Device
from vedette_cameras.ingest.intake import Receipt


class Decided(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one picture, and why.

    `outcome` is its state in the line of truth. `reason` says why it is invalid, failed or
    suppressed. `detection` is the file of judge (or object-detect), with the decision and its trace
    under `decision`. `delivery` is the ledger's record.
    """

    image: str
    outcome: str
    reason: str = ""
    received_at: datetime | None = None
    detection: dict[str, Any] | None = None
    delivery: Record | None = None


POST_IMAGE = Endpoint(
    name="post_image", method="POST", path="/v1/devices/{device}/images", body=bytes,
    answer=Receipt, summary="Hand a picture in; durable when it answers",
)  # fmt: skip
LIST_DEVICES = Endpoint(
    name="list_devices", method="GET", path="/v1/cameras/devices", answer=list[Device],
    summary="All devices",
)  # fmt: skip
PUT_DEVICE = Endpoint(
    name="put_device", method="PUT", path="/v1/cameras/devices/{device}", body=dict[str, Any],
    answer=Device, summary="Make a device known, or change it",
)  # fmt: skip
SUMMARY = Endpoint(
    name="cameras_summary", method="GET", path="/v1/cameras/summary", answer=Summary,
    summary="received = invalid + clean + suppressed + alerted + failed + in flight",
)  # fmt: skip
ALERTS = Endpoint(
    name="cameras_alerts", method="GET", path="/v1/cameras/alerts", answer=list[Alert],
    summary="Alerts: the newest first, or those after a number",
)  # fmt: skip
DELIVERIES = Endpoint(
    name="cameras_deliveries", method="GET", path="/v1/cameras/deliveries", answer=list[Record],
    summary="Messages that are under way, and dead letters",
)  # fmt: skip
DECISION = Endpoint(
    name="cameras_decision", method="GET", path="/v1/cameras/decisions/{path}", answer=Decided,
    summary="What became of a picture, and why",
)  # fmt: skip

OPERATIONS: tuple[Endpoint[Any], ...] = (
    POST_IMAGE, LIST_DEVICES, PUT_DEVICE, SUMMARY, ALERTS, DELIVERIES, DECISION,
)  # fmt: skip
