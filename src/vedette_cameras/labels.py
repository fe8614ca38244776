"""Class ids and what they mean.

The original's ids are those of COCO's 90 categories, of which 80 are in use. Models that number the
80 from 0 (YOLO exports and most ONNX files) are mapped to the 90 here, so that one rule means the
same under every model.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from functools import cache

import msgspec
from msgspec import Struct

COCO_90: Mapping[int, str] = {
    1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 5: "airplane", 6: "bus", 7: "train",
    8: "truck", 9: "boat", 10: "traffic light", 11: "fire hydrant", 13: "stop sign",
    14: "parking meter", 15: "bench", 16: "bird", 17: "cat", 18: "dog", 19: "horse", 20: "sheep",
    21: "cow", 22: "elephant", 23: "bear", 24: "zebra", 25: "giraffe", 27: "backpack",
    28: "umbrella", 31: "handbag", 32: "tie", 33: "suitcase", 34: "frisbee", 35: "skis",
    36: "snowboard", 37: "sports ball", 38: "kite", 39: "baseball bat", 40: "baseball glove",
    41: "skateboard", 42: "surfboard", 43: "tennis racket", 44: "bottle", 46: "wine glass",
    47: "cup", 48: "fork", 49: "knife", 50: "spoon", 51: "bowl", 52: "banana", 53: "apple",
    54: "sandwich", 55: "orange", 56: "broccoli", 57: "carrot", 58: "hot dog", 59: "pizza",
    60: "donut", 61: "cake", 62: "chair", 63: "couch", 64: "potted plant", 65: "bed",
    67: "dining table", 70: "toilet", 72: "tv", 73: "laptop", 74: "mouse", 75: "remote",
    76: "keyboard", 77: "cell phone", 78: "microwave", 79: "oven", 80: "toaster", 81: "sink",
    82: "refrigerator", 84: "book", 85: "clock", 86: "vase", 87: "scissors", 88: "teddy bear",
    89: "hair drier", 90: "toothbrush",
}  # fmt: skip
"""COCO-90: category id to label."""

COCO_80 = tuple(sorted(COCO_90))
"""COCO-90 id of each of the 80 classes, by their number from 0."""


class LabelMap(Struct, frozen=True, kw_only=True):
    """The classes of a model by id; `name` is that of a built-in map, or empty."""

    name: str = ""
    classes: dict[int, str]

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the map's canonical JSON: what makes two maps the same."""
        return _digest(tuple(sorted(self.classes.items())))

    def label(self, class_id: int) -> str:
        """The label of an id; ids without one are shown by their number."""
        return self.classes.get(class_id, f"class {class_id}")

    def resolve(self, wanted: int | str) -> int:
        """The id that a rule means by an id or label, in any case; raises `UnknownClassError`."""
        if isinstance(wanted, int):
            if wanted in self.classes:
                return wanted
            raise UnknownClassError(f"class id {wanted} is not in {self.describe()}")
        folded = {label.casefold(): class_id for class_id, label in self.classes.items()}
        found = folded.get(wanted.strip().casefold())
        if found is not None:
            return found
        near = difflib.get_close_matches(wanted.casefold(), folded, n=1)
        hint = f": did you mean {near[0]!r}?" if near else ""
        raise UnknownClassError(f"label {wanted!r} is not in {self.describe()}{hint}")

    def describe(self) -> str:
        """The map in a few words, for messages."""
        ids = sorted(self.classes)
        if not ids:
            return "the empty label map"
        shown = ", ".join(f"{class_id} {self.classes[class_id]}" for class_id in ids[:3])
        more = f", ... {ids[-1]} {self.classes[ids[-1]]}" if len(ids) > 3 else ""
        return f"label map {self.name or self.digest[:12]} ({shown}{more})"


class UnknownClassError(Exception):
    """An id or a label that the label map does not have."""


@cache
def _digest(items: tuple[tuple[int, str], ...]) -> str:
    return hashlib.sha256(msgspec.json.encode(items)).hexdigest()


COCO = LabelMap(name="coco-90", classes=dict(COCO_90))
"""The label map of every model that was trained on COCO, and of the original pipeline."""

BUILT_IN: Mapping[str, LabelMap] = {COCO.digest: COCO}
"""Label maps that need not be spelled out beside a result, by digest."""
