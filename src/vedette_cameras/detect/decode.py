"""From the tensors of each family of models to boxes.

Every decoder returns candidates above the threshold only, with boxes in parts of the model's input;
suppression of doubles comes after. Candidates at or under the threshold could never suppress one
above it, so dropping them first changes nothing and spares their decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vedette_cameras.detect.prepare import Boxes
from vedette_cameras.detect.record import Decoding, ModelError, ModelRecord

Tensors = Mapping[str, NDArray[np.float32]]
"""A model's outputs by name, with their batch dimension of 1."""

_STRIDES = (8, 16, 32)
_DISTANCES = 4


class Candidates(Struct, frozen=True, kw_only=True):
    """Boxes with their scores and the numbers of their classes, as the model counts them."""

    boxes: Boxes
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]


Decoder = Callable[[Tensors, float, ModelRecord], Candidates]


def deimv2(tensors: Tensors, threshold: float, record: ModelRecord) -> Candidates:
    """DEIMv2: boxes come in parts of the input, since its `orig_target_sizes` is set to 1 x 1."""
    scores = _tensor(tensors, "scores")[0]
    keep = scores > threshold
    return Candidates(
        boxes=_tensor(tensors, "boxes")[0][keep],
        scores=scores[keep],
        classes=_tensor(tensors, "labels")[0][keep].astype(np.int64),
    )


def yolox(tensors: Tensors, threshold: float, record: ModelRecord) -> Candidates:
    """YOLOX: xy = (p + cell) * stride, wh = exp(p) * stride; score = objectness * class."""
    raw = next(iter(tensors.values()))[0]
    # The product cannot exceed the objectness, so most rows need no second look.
    rows = np.flatnonzero(raw[:, 4] > threshold)
    scores = raw[rows, 4:5] * raw[rows, 5:]
    classes = scores.argmax(axis=1)
    best = scores[np.arange(len(rows)), classes]
    keep = best > threshold
    rows, classes, best = rows[keep], classes[keep], best[keep]
    cells, strides = _grid(record.input.width, record.input.height)
    centre = (raw[rows, :2] + cells[rows]) * strides[rows]
    half = np.exp(raw[rows, 2:4]) * strides[rows] / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    return Candidates(boxes=_parts(boxes, record), scores=best, classes=classes)


def nanodet(tensors: Tensors, threshold: float, record: ModelRecord) -> Candidates:
    """NanoDet: four distances to a cell's centre, each the mean of a distribution over bins.

    The centre of cell i lies at (i + 0.5) * stride - 0.5 pixels.
    """
    levels = _nanodet_levels(tensors, record)
    hits = [_above(scores, threshold) for scores, _ in levels]
    starts = np.cumsum([0, *(len(scores) for scores, _ in levels)])
    rows = np.concatenate([hit[0] + start for hit, start in zip(hits, starts, strict=False)])
    classes = np.concatenate([hit[1] for hit in hits])
    best = np.concatenate([scores[hit] for (scores, _), hit in zip(levels, hits, strict=True)])
    raw = np.concatenate([found[hit[0]] for (_, found), hit in zip(levels, hits, strict=True)])
    bins = raw.shape[1] // _DISTANCES
    raw = raw.reshape(-1, _DISTANCES, bins)
    weights = np.exp(raw - raw.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    cells, strides = _grid(record.input.width, record.input.height)
    distances = (weights @ np.arange(bins, dtype=np.float32)) * strides[rows]
    centre = (cells[rows] + 0.5) * strides[rows] - 0.5
    boxes = np.concatenate([centre - distances[:, :2], centre + distances[:, 2:]], axis=1)
    return Candidates(boxes=_parts(boxes, record), scores=best, classes=classes.astype(np.int64))


def ssd(tensors: Tensors, threshold: float, record: ModelRecord) -> Candidates:
    """TensorFlow's detectors: top left bottom right in parts, suppressed inside the graph."""
    boxes, classes, scores, count = _detection_tensors(tensors)
    rows = int(count.reshape(-1)[0])
    scores = scores[0][:rows]
    keep = scores > threshold
    return Candidates(
        boxes=boxes[0][:rows][keep][:, [1, 0, 3, 2]],
        scores=scores[keep],
        classes=np.rint(classes[0][:rows][keep]).astype(np.int64) + record.output.first_class,
    )


DECODERS: Mapping[Decoding, Decoder] = {
    "deimv2": deimv2,
    "nanodet": nanodet,
    "ssd": ssd,
    "yolox": yolox,
}


def _tensor(tensors: Tensors, name: str) -> NDArray[np.float32]:
    try:
        return tensors[name]
    except KeyError:
        raise ModelError(f"the model has no output {name!r}, but {', '.join(tensors)}") from None


def _detection_tensors(tensors: Tensors) -> tuple[NDArray[np.float32], ...]:
    named = {name.partition(":")[0]: tensor for name, tensor in tensors.items()}
    wanted = ("detection_boxes", "detection_classes", "detection_scores", "num_detections")
    if all(name in named for name in wanted):
        return tuple(named[name] for name in wanted)
    # TensorFlow Lite's post-processing has no telling names, but a fixed order.
    if len(tensors) != len(wanted):
        raise ModelError(f"an ssd model has 4 outputs, this one {len(tensors)}")
    return tuple(tensors.values())


def _nanodet_levels(
    tensors: Tensors, record: ModelRecord
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Scores and distances of each grid, finest first; a file has all classes before all boxes."""
    found = [tensor[0] for tensor in tensors.values()]
    half = len(_STRIDES)
    if len(found) != 2 * half:
        raise ModelError(f"model {record.name}: a nanodet model has 6 outputs, not {len(found)}")
    scores, distances = (
        sorted(part, key=lambda tensor: -len(tensor)) for part in (found[:half], found[half:])
    )
    return list(zip(scores, distances, strict=True))


def _above(scores: NDArray[np.float32], threshold: float) -> tuple[NDArray[np.intp], ...]:
    """Row and column of every score above the threshold; flat, which numpy does much faster."""
    flat = np.flatnonzero(scores.ravel() > threshold)
    return np.divmod(flat, scores.shape[1])


@cache
def _grid(width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Column and row of every cell, and its stride, for the three strides in order."""
    cells, strides = [], []
    for stride in _STRIDES:
        rows, columns = np.mgrid[0 : height // stride, 0 : width // stride]
        found = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float32)
        cells.append(found)
        strides.append(np.full((len(found), 1), stride, dtype=np.float32))
    return np.concatenate(cells), np.concatenate(strides)


def _parts(boxes: Boxes, record: ModelRecord) -> Boxes:
    size = np.array([record.input.width, record.input.height] * 2, dtype=np.float32)
    return (boxes / size).astype(np.float32)
