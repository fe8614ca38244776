"""What object-detect writes for every picture, also for one that shows nothing."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from vedette_cameras.detect.detector import Detection, Detector
from vedette_cameras.labels import BUILT_IN, LabelMap
from vedette_cameras.names import PictureName
from vedette_cameras.pictures import Pixels


class FoundObject(Struct, frozen=True, kw_only=True):
    """One object. `score` (text) and `class` are the original's; `box` is relative x1 y1 x2 y2."""

    score: str
    class_id: int = msgspec.field(name="class")
    label: str
    box: tuple[float, float, float, float]


class UsedModel(Struct, frozen=True, kw_only=True):
    """Which model looked; `sha256` is that of its file."""

    name: str
    sha256: str


class Result(Struct, frozen=True, kw_only=True):
    """`/<device>/<time>.json`. `image` is the path in the repo of pictures.

    `labels` is the digest of the label map; `label_map` spells it out unless it is built in.
    """

    objects: tuple[FoundObject, ...]
    image: str
    image_object: str
    device: str
    captured_at: datetime
    width: int
    height: int
    model: UsedModel
    labels: str
    label_map: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    runtime: str
    precision: str
    threshold: float


def look(
    detector: Detector,
    pixels: Pixels,
    threshold: float,
    *,
    name: PictureName,
    image: str,
    image_object: str,
) -> Result:
    """Look at one picture; `image_object` is the id of its bytes in hex."""
    found = detector.detect(pixels, threshold)
    height, width = pixels.shape[:2]
    return Result(
        objects=tuple(_shown(detection) for detection in found),
        image=image,
        image_object=image_object,
        device=name.device,
        captured_at=name.captured_at,
        width=width,
        height=height,
        model=UsedModel(name=detector.record.name, sha256=detector.record.sha256),
        labels=detector.labels.digest,
        label_map=_spelled(detector.labels),
        runtime=detector.runtime,
        precision=detector.precision,
        threshold=threshold,
    )


def to_json(result: Result) -> bytes:
    """The bytes of a result, with a line end."""
    return msgspec.json.encode(result) + b"\n"


def _shown(found: Detection) -> FoundObject:
    return FoundObject(
        score=f"{found.score:.2f}", class_id=found.class_id, label=found.label, box=found.box
    )


def _spelled(labels: LabelMap) -> dict[str, str] | msgspec.UnsetType:
    if labels.digest in BUILT_IN:
        return msgspec.UNSET
    return {str(class_id): label for class_id, label in sorted(labels.classes.items())}
