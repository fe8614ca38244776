"""From what was seen and the rules to a verdict and its trace: a pure function (CAMERAS 5).

Version 1 decides as the original: a picture is an alert when the class of any of its objects is
among `threat_classes`.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import msgspec
from msgspec import Struct

from vedette_cameras.judge.rules import Effective, RulesError
from vedette_cameras.labels import BUILT_IN, COCO, LabelMap, UnknownClassError


class SeenObject(Struct, frozen=True, kw_only=True):
    """An object as object-detect wrote it; only `class` is needed, as in the original."""

    class_id: int = msgspec.field(name="class")
    score: str = ""
    label: str = ""


class Seen(Struct, frozen=True, kw_only=True):
    """What of object-detect's file a verdict needs; files of the original have `objects` only."""

    objects: tuple[SeenObject, ...] = ()
    image: str = ""
    model: dict[str, str] = {}
    labels: str = ""
    label_map: dict[str, str] = {}


class Step(Struct, frozen=True, kw_only=True):
    """One test: `object` counts from 0 in the file's `objects`, None for the picture as a whole."""

    object: int | None
    step: str
    field: str
    value: Any
    limit: Any
    passed: bool = msgspec.field(name="pass")


class RulesUsed(Struct, frozen=True, kw_only=True):
    """Which rules decided: the commit, the digest of the values, and the file that set each."""

    commit: str
    effective: str
    layers: dict[str, str]


class Decision(Struct, frozen=True, kw_only=True):
    """Why a picture is an alert, or none. `alert_key` is the picture's path in `images`."""

    event: str
    device: str
    images: tuple[str, ...]
    model: dict[str, str]
    rules: RulesUsed
    code: str
    profile: str | None
    verdict: Literal["alert", "clean"]
    severity: Literal["alert"] | None
    trace: tuple[Step, ...]
    first_failing_step: str | None
    alert_key: str


class BadDetectionError(Exception):
    """A file that object-detect did not write."""


def read_seen(data: bytes, path: str) -> Seen:
    """Read object-detect's file; raises `BadDetectionError`."""
    try:
        return msgspec.json.decode(data, type=Seen)
    except msgspec.MsgspecError as error:
        raise BadDetectionError(f"{path} is not a result of object-detect: {error}") from None


def label_map(seen: Seen) -> LabelMap:
    """The label map that the ids in a file are of; COCO's where it says nothing."""
    if seen.label_map:
        return LabelMap(classes={int(key): label for key, label in seen.label_map.items()})
    if not seen.labels:
        return COCO
    if seen.labels in BUILT_IN:
        return BUILT_IN[seen.labels]
    raise BadDetectionError(f"label map {seen.labels[:12]}... is neither built in nor spelled out")


def threat_ids(rules: Effective, labels: LabelMap) -> frozenset[int]:
    """The ids that `threat_classes` means under a label map; raises `RulesError`."""
    try:
        return frozenset(labels.resolve(wanted) for wanted in rules.threat_classes)
    except UnknownClassError as error:
        where = rules.layers.get("threat_classes", "rules")
        raise RulesError(
            f"rules {where}: threat_classes: {error}: use an id or a label of that map"
        ) from None


def decide(seen: Seen, rules: Effective, commit: str, device: str, stamp: str) -> Decision:
    """The decision on one picture; `stamp` is its time as in its name. Raises `RulesError`."""
    labels = label_map(seen)
    wanted = threat_ids(rules, labels)
    limit = sorted(wanted)
    trace = tuple(
        Step(
            object=number,
            step="label",
            field="class",
            value=found.class_id,
            limit=limit,
            passed=found.class_id in wanted,
        )
        for number, found in enumerate(seen.objects)
    ) or (Step(object=None, step="objects", field="count", value=0, limit=1, passed=False),)
    alert = any(step.passed for step in trace)
    image = seen.image or f"/{device}_{stamp}.jpg"
    return Decision(
        event=f"{device}/{stamp}",
        device=device,
        images=(image,),
        model=seen.model,
        rules=RulesUsed(commit=commit, effective=rules.digest, layers=rules.layers),
        code=code_version(),
        profile=None,
        verdict="alert" if alert else "clean",
        severity="alert" if alert else None,
        trace=trace,
        first_failing_step=None if alert else trace[0].step,
        alert_key=image,
    )


def with_decision(data: bytes, decision: Decision) -> bytes:
    """Object-detect's file with one more key, `decision`; all else is left as it is."""
    document = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    document["decision"] = msgspec.Raw(msgspec.json.encode(decision))
    return msgspec.json.encode(document) + b"\n"


@cache
def code_version() -> str:
    """The release of this code, for the record."""
    try:
        return f"vedette {version('vedette')}"
    except PackageNotFoundError:
        return "vedette (not installed)"
