"""What every detector does, whatever runs its model."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vedette_cameras.detect.decode import DECODERS, Candidates, Tensors
from vedette_cameras.detect.prepare import prepare
from vedette_cameras.detect.record import ClassIds, ModelRecord, Precision, class_ids
from vedette_cameras.detect.suppress import suppress
from vedette_cameras.labels import LabelMap
from vedette_cameras.pictures import Pixels

_CALIBRATION_FLOOR = 0.01


class Detection(Struct, frozen=True, kw_only=True):
    """One object: `score` 0 to 1, `box` left top right bottom in parts of the picture's sides."""

    score: float
    class_id: int
    label: str
    box: tuple[float, float, float, float]


class Detector(Protocol):
    """Finds objects in pictures. `runtime` names what runs the model, with its version."""

    @property
    def record(self) -> ModelRecord:
        """The model."""
        ...

    @property
    def runtime(self) -> str:
        """What runs the model, and its version."""
        ...

    @property
    def precision(self) -> Precision:
        """The numbers that the model is computed in."""
        ...

    @property
    def labels(self) -> LabelMap:
        """The classes that it can give."""
        ...

    def detect(self, pixels: Pixels, threshold: float) -> tuple[Detection, ...]:
        """Objects with a score above `threshold` (not at it), best first."""
        ...


class Session(Protocol):
    """A loaded model: prepared pixels in, tensors by name out."""

    runtime: str
    precision: Precision

    def infer(self, pixels: Pixels) -> Tensors:
        """Run the model on height x width x 3 bytes, red green blue."""
        ...


class SessionDetector:
    """A detector that prepares and decodes in numpy around any runtime's session."""

    def __init__(self, record: ModelRecord, session: Session) -> None:
        self.record = record
        self.runtime = session.runtime
        self.precision: Precision = session.precision
        self._session = session
        self._classes: ClassIds = class_ids(record)
        self._decode = DECODERS[record.output.decoding]
        self._across = [(self._numbers(rule.labels), rule.overlap) for rule in record.output.across]

    @property
    def labels(self) -> LabelMap:
        """The classes that it can give."""
        return self._classes.labels

    def detect(self, pixels: Pixels, threshold: float) -> tuple[Detection, ...]:
        """Objects with a score above `threshold`, best first."""
        frame = prepare(pixels, self.record.input)
        tensors = self._session.infer(frame.pixels)
        found = self._calibrated(tensors, threshold)
        kept = suppress(found, self.record.output.overlap, self._across)
        boxes = frame.to_picture(kept.boxes)
        return tuple(
            self._detection(float(score), int(number), box)
            for score, number, box in zip(kept.scores, kept.classes, boxes, strict=True)
        )

    def _calibrated(self, tensors: Tensors, threshold: float) -> Candidates:
        points = self.record.calibration
        if not points:
            return self._decode(tensors, threshold, self.record)
        raw = self._decode(tensors, _CALIBRATION_FLOOR, self.record)
        scores = np.interp(raw.scores, [p[0] for p in points], [p[1] for p in points])
        keep = scores > threshold
        return Candidates(
            boxes=raw.boxes[keep],
            scores=scores[keep].astype(np.float32),
            classes=raw.classes[keep],
        )

    def _detection(self, score: float, number: int, box: NDArray[np.float32]) -> Detection:
        class_id = self._classes.id_of(number)
        left, top, right, bottom = (round(float(side), 5) for side in box)
        return Detection(
            score=score,
            class_id=class_id,
            label=self.labels.label(class_id),
            box=(left, top, right, bottom),
        )

    def _numbers(self, wanted: tuple[str, ...]) -> frozenset[int]:
        ids = {self.labels.resolve(label) for label in wanted}
        numbers = {number for number, class_id in self._classes.ids.items() if class_id in ids}
        return frozenset(numbers or ids)
