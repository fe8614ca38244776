"""Non-maximum suppression: of boxes that show the same thing, the best one stays."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from vedette_cameras.detect.decode import Candidates
from vedette_cameras.detect.prepare import Boxes

MAX_KEPT = 100
"""As many objects as TensorFlow's detectors give at most; a picture never holds more for us."""


def overlap(box: Boxes, boxes: Boxes) -> NDArray[np.float32]:
    """Intersection over union of one box (4) with each of `boxes` (N x 4)."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    side = np.clip(high - low, 0.0, None)
    shared = side[:, 0] * side[:, 1]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    own = (box[2] - box[0]) * (box[3] - box[1])
    joined = area + own - shared
    ratio: NDArray[np.float32] = np.divide(
        shared, joined, out=np.zeros_like(shared), where=joined > 0
    )
    return ratio


def suppress(
    found: Candidates, within: float, across: Iterable[tuple[frozenset[int], float]] = ()
) -> Candidates:
    """Drop doubles, best score first: above `within` in one class, and across groups of classes.

    `within` of 0 leaves the classes alone (the model has done it). The result is ordered by falling
    score and holds at most `MAX_KEPT`.
    """
    order = np.argsort(-found.scores, kind="stable")
    classes = found.classes[order]
    boxes = found.boxes[order]
    dead = np.zeros(len(order), dtype=bool)
    rules = [(frozenset((int(number),)), within) for number in np.unique(classes) if within > 0]
    for group, limit in (*rules, *across):
        _suppress_group(boxes, np.flatnonzero(np.isin(classes, list(group))), limit, dead)
    kept = order[~dead][:MAX_KEPT]
    return Candidates(
        boxes=found.boxes[kept], scores=found.scores[kept], classes=found.classes[kept]
    )


def _suppress_group(
    boxes: Boxes, members: NDArray[np.intp], limit: float, dead: np.ndarray
) -> None:
    for place, member in enumerate(members):
        rest = members[place + 1 :]
        if dead[member] or not len(rest):
            continue
        dead[rest[overlap(boxes[member], boxes[rest]) > limit]] = True
