"""What must be known about a model file to use it: `model.json` (CAMERAS 4)."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from vedette_cameras.labels import COCO, COCO_80, LabelMap

Format = Literal["onnx", "tensorflow", "tflite"]
Resize = Literal["stretch", "letterbox", "letterbox_top_left", "none"]
Decoding = Literal["deimv2", "nanodet", "ssd", "yolox"]
Precision = Literal["f32", "bf16"]


class InputSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a picture is prepared. `mean`, `std`: in units of 0 to 255, in the order of `colour`.

    `width` and `height` of 0 with `resize: none`: the model takes pictures of any size. `pad` fills
    what a letterbox leaves. `name` is the tensor's, needed only when the model has several inputs.
    """

    name: str = ""
    width: int
    height: int
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    type: Literal["float32", "uint8"] = "float32"
    colour: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    resize: Resize = "stretch"
    pad: int = 0


class Across(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Classes that are taken for one another: of boxes that overlap, the best one stays."""

    labels: tuple[str, ...]
    overlap: float


class OutputSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the tensors become boxes.

    `overlap`: suppression within a class above this intersection over union, 0 for none.
    `first_class` is added to the numbers that an `ssd` model gives.
    """

    decoding: Decoding
    overlap: float = 0.6
    across: tuple[Across, ...] = ()
    first_class: int = 0


class ModelRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model: its file, its preparation and decoding, its labels, where it comes from.

    `labels`: "coco-80" (numbers from 0, given as COCO-90 ids), "coco-90", a list (ids from 0) or
    a map of ids. `calibration`: points (raw score, calibrated score), with straight lines between.
    """

    name: str
    sha256: str
    format: Format
    input: InputSpec
    output: OutputSpec
    labels: str | tuple[str, ...] | dict[str, str] = "coco-80"
    file: str = ""
    precision: Precision = "f32"
    calibration: tuple[tuple[float, float], ...] = ()
    licence: str = ""
    source: str = ""


class ModelError(Exception):
    """A model that cannot be used; the text says which and why, in one line."""


class ClassIds(Struct, frozen=True):
    """From the numbers that a model gives to the ids and labels that its users see."""

    labels: LabelMap
    ids: dict[int, int]

    def id_of(self, number: int) -> int:
        """The class id of a number; a number without an id stands for itself."""
        return self.ids.get(number, number)


def class_ids(record: ModelRecord) -> ClassIds:
    """The classes of a model; raises `ModelError` for labels that mean nothing."""
    labels = record.labels
    if labels == "coco-80":
        return ClassIds(COCO, dict(enumerate(COCO_80)))
    if labels == "coco-90":
        return ClassIds(COCO, {})
    if isinstance(labels, str):
        raise ModelError(
            f"model {record.name}: labels {labels!r}: use coco-80, coco-90, a list or a map of ids"
        )
    if isinstance(labels, tuple):
        return ClassIds(LabelMap(classes=dict(enumerate(labels))), {})
    try:
        return ClassIds(LabelMap(classes={int(key): label for key, label in labels.items()}), {})
    except ValueError:
        raise ModelError(f"model {record.name}: the keys of labels must be numbers") from None


def read_record(data: bytes) -> ModelRecord:
    """Read a `model.json`; raises `ModelError` naming the fault and its place."""
    try:
        return msgspec.json.decode(data, type=ModelRecord)
    except msgspec.MsgspecError as error:
        raise ModelError(f"model.json: {error}") from None
