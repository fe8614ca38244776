"""All that a page tells of one picture: what it shows, what was decided, and every step of that."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from vedette.model.errors import Gone, NotFound
from vedette_cameras import names
from vedette_cameras.alert.record import Record
from vedette_cameras.decisions import decided
from vedette_cameras.ingest.offer import ARRIVALS, Arrival
from vedette_cameras.site import Site


class Found(Struct, frozen=True, kw_only=True):
    """An object as object-detect wrote it; `box` is relative x1 y1 x2 y2, or empty."""

    class_id: int = msgspec.field(name="class", default=0)
    score: str | float = ""
    label: str = ""
    box: tuple[float, ...] = ()


class Step(Struct, frozen=True, kw_only=True):
    """One test of the trace."""

    object: int | None = None
    step: str = ""
    field: str = ""
    value: Any = None
    limit: Any = None
    passed: bool = msgspec.field(name="pass", default=False)


class Rules(Struct, frozen=True, kw_only=True):
    """Which rules decided, and the file that set each value."""

    commit: str = ""
    layers: dict[str, str] = {}


class Why(Struct, frozen=True, kw_only=True):
    """What judge added to the file, as far as it is shown."""

    rules: Rules | None = None
    code: str = ""
    trace: tuple[Step, ...] = ()


class Result(Struct, frozen=True, kw_only=True):
    """A file of object-detect, with or without a decision. Files of the original have less."""

    objects: tuple[Found, ...] = ()
    model: dict[str, Any] | str = ""
    runtime: str = ""
    precision: str = ""
    threshold: float | None = None
    decision: Why | None = None


class Marked(Struct, frozen=True, kw_only=True):
    """An object of a picture; `threat` when it made the picture an alert."""

    label: str
    score: str | float
    box: tuple[float, ...]
    threat: bool


class Known(Struct, frozen=True, kw_only=True):
    """What is known about a picture.

    `outcome` is its state in the line of truth, or "deleted". `file` is where the result is, as
    repo and path; empty while there is none.
    """

    image: str
    outcome: str
    reason: str = ""
    device: str = ""
    captured_at: datetime | None = None
    arrival: Arrival | None = None
    result: Result | None = None
    objects: tuple[Marked, ...] = ()
    delivery: Record | None = None
    file: tuple[str, str] = ("", "")


async def known(site: Site, image: str) -> Known:
    """Look a picture up by its path in `images`; raises NotFound when there is none."""
    found = await decided(site, image)
    try:
        name = names.parse(image.rpartition("/")[2])
    except names.PictureNameError:
        name = None
    result = _result(found.detection)
    file = ("", "")
    if result is not None and name is not None:
        file = ("judge" if result.decision else "object-detect", names.result_path(name))
    return Known(
        image=image,
        outcome=found.outcome.replace("_", " "),
        reason=found.reason,
        device=name.device if name else "",
        captured_at=name.captured_at if name else None,
        arrival=await _arrival(site, image),
        result=result,
        objects=_marked(result, found.delivery) if result else (),
        delivery=found.delivery,
        file=file,
    )


def _result(detection: dict[str, Any] | None) -> Result | None:
    if detection is None:
        return None
    try:
        return msgspec.convert(detection, Result)
    except msgspec.ValidationError:
        return None  # a detector of the user's own: the file itself is linked


def _marked(result: Result, delivery: Record | None) -> tuple[Marked, ...]:
    """The objects, and which of them are threats: by the trace, else by what the ledger says."""
    threats: set[int] = set()
    told: set[tuple[float, ...]] = set()
    if result.decision is not None:
        asked = {step.object for step in result.decision.trace if step.object is not None}
        refused = {step.object for step in result.decision.trace if not step.passed}
        threats = asked - refused
    elif delivery is not None:
        told = {threat.box for threat in delivery.threats if threat.box}
    return tuple(
        Marked(
            label=found.label or f"class {found.class_id}",
            score=found.score,
            box=found.box if len(found.box) == 4 else (),
            threat=number in threats or found.box in told,
        )
        for number, found in enumerate(result.objects)
    )


async def _arrival(site: Site, image: str) -> Arrival | None:
    try:
        data = await site.client.get_file(ARRIVALS, "master", f"{image}.json")
        return msgspec.json.decode(data, type=Arrival)
    except (NotFound, Gone, msgspec.MsgspecError):
        return None
