"""All that is known about one picture, read through the client: why it is an alert, or none."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from vedette.client import Client
from vedette.model.errors import Conflict, InvalidPath, NotFound
from vedette_cameras import names
from vedette_cameras.alert.record import REPO, Record, alert_path
from vedette_cameras.ingest.offer import ARRIVALS, IMAGES, Arrival
from vedette_cameras.validate.check import ReasonRecord

_RESULTS = ("judge", "threat-detect", "object-detect")
T = TypeVar("T")


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
    """Which rules decided."""

    commit: str = ""
    effective: str = ""
    layers: dict[str, str] = {}


class Decision(Struct, frozen=True, kw_only=True):
    """What judge added to the file, as far as it is shown."""

    verdict: str = ""
    severity: str | None = None
    rules: Rules = Rules()
    code: str = ""
    profile: str | None = None
    trace: tuple[Step, ...] = ()
    first_failing_step: str | None = None


class Result(Struct, frozen=True, kw_only=True):
    """A file of object-detect, with or without a decision. Files of the original have less."""

    objects: tuple[Found, ...] = ()
    image: str = ""
    width: int = 0
    height: int = 0
    model: Any = None
    runtime: str = ""
    precision: str = ""
    threshold: float | None = None
    decision: Decision | None = None


class Marked(Struct, frozen=True, kw_only=True):
    """An object with its number in the file; `threat` when it made the picture an alert."""

    number: int
    label: str
    score: str | float
    box: tuple[float, ...]
    threat: bool


class Known(Struct, frozen=True, kw_only=True):
    """What is known about a picture.

    `verdict` is alert, clean, invalid, suppressed, or in flight while nothing has been decided.
    `repo` and `path` say where the result is, empty while there is none.
    """

    image: str
    verdict: str
    device: str = ""
    captured_at: datetime | None = None
    there: bool = True
    repo: str = ""
    path: str = ""
    result: Result | None = None
    objects: tuple[Marked, ...] = ()
    arrival: Arrival | None = None
    record: Record | None = None
    invalid: ReasonRecord | None = None
    shared_with: str = ""


async def known(client: Client, image: str) -> Known:
    """Look a picture up by its path in `images`; raises NotFound when nothing tells of it."""
    name = image.rpartition("/")[2]
    there = await _exists(client, image)
    record = await _read(client, REPO, alert_path(image), Record)
    arrival = await _read(client, ARRIVALS, f"{image}.json", Arrival)
    if not there and record is None and arrival is None:
        raise NotFound(f"there is no picture {image} in {IMAGES}")
    try:
        parsed = names.parse(name)
    except names.PictureNameError:
        parsed = None
    repo, path, result = "", "", None
    if parsed is not None:
        path = names.result_path(parsed)
        for repo in _RESULTS:
            result = await _read(client, repo, path, Result)
            if result is not None:
                break
    shared = result.image if result and result.image not in ("", image) else ""
    invalid = await _read(client, "validate", f"/reasons/{name}.json", ReasonRecord)
    objects = _marked(result, record) if result and not shared else ()
    return Known(
        image=image,
        verdict=_verdict(result, record, invalid, shared, objects),
        device=parsed.device if parsed else (record.device if record else ""),
        captured_at=parsed.captured_at if parsed else None,
        there=there,
        repo=repo if result and not shared else "",
        path=path,
        result=None if shared else result,
        objects=objects,
        arrival=arrival,
        record=record,
        invalid=invalid,
        shared_with=shared,
    )


def _verdict(
    result: Result | None,
    record: Record | None,
    invalid: ReasonRecord | None,
    shared: str,
    objects: tuple[Marked, ...],
) -> str:
    if invalid is not None:
        return "invalid"
    if shared:
        return "suppressed"
    if result is None:
        return "alert" if record and record.alerted else "in flight"
    if result.decision is not None:
        return result.decision.verdict
    return "alert" if (record and record.alerted) or any(o.threat for o in objects) else "clean"


def _marked(result: Result, record: Record | None) -> tuple[Marked, ...]:
    """The objects, and which of them are threats: by the trace, else by what the ledger says."""
    if result.decision is not None:
        asked = {step.object for step in result.decision.trace if step.object is not None}
        threats = asked - {step.object for step in result.decision.trace if not step.passed}
        told: set[tuple[float, ...]] = set()
    else:
        threats = set()
        told = {threat.box for threat in record.threats if threat.box} if record else set()
    return tuple(
        Marked(
            number=number,
            label=found.label or f"class {found.class_id}",
            score=found.score,
            box=found.box if len(found.box) == 4 else (),
            threat=number in threats or found.box in told,
        )
        for number, found in enumerate(result.objects)
    )


async def _exists(client: Client, image: str) -> bool:
    try:
        return (await client.inspect_file(IMAGES, "master", image)).type == "file"
    except (NotFound, InvalidPath):
        return False


async def _read(client: Client, repo: str, path: str, sort: type[T]) -> T | None:
    """A file of this sort, None where there is none or it holds something else."""
    try:
        return msgspec.json.decode(await client.get_file(repo, "master", path), type=sort)
    except (NotFound, InvalidPath, Conflict, msgspec.MsgspecError, UnicodeDecodeError):
        return None
