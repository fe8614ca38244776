"""OpenVINO: the default runtime. Reads ONNX, and TensorFlow graphs as they are.

The precision is set and never left to OpenVINO, which picks bfloat16 by itself on some processors:
boxes then move by up to 0.016 and scores by 0.047. One thread a process: two processes with one
thread each do more pictures than one process with two.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from vedette_cameras.detect.catalogue import ONE_CLASS_GRAPHS, tensorflow_graph
from vedette_cameras.detect.decode import Tensors
from vedette_cameras.detect.record import ModelError, ModelRecord, Precision
from vedette_cameras.labels import COCO_90
from vedette_cameras.pictures import Pixels

_SIZE_INPUT = "orig_target_sizes"
_COCO_CLASSES = max(COCO_90)


class OpenVinoSession:
    """A model compiled for one picture at a time; normalisation is part of its graph."""

    def __init__(self, record: ModelRecord, data: bytes, precision: Precision = "f32") -> None:
        self.runtime = f"openvino {ov.__version__.split('-')[0]}"
        self.precision: Precision = precision
        try:
            model = _read(data, record.format)
            name = _fix_shapes(model, record)
            compiled = _core().compile_model(
                _with_preparation(model, record, name),
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": precision,
                    "INFERENCE_NUM_THREADS": 1,
                    "NUM_STREAMS": 1,
                    "ENABLE_CPU_PINNING": False,
                },
            )
        except RuntimeError as error:
            raise ModelError(f"model {record.name}: OpenVINO: {first_line(error)}") from None
        self._request = compiled.create_infer_request()
        self._name = name
        self._fixed = _fixed_inputs(compiled, name)
        self._outputs = [_name_of(output) for output in compiled.outputs]

    def infer(self, pixels: Pixels) -> Tensors:
        """Run the model on one prepared picture; the tensors hold until the next call."""
        inputs = {**self._fixed, self._name: pixels[np.newaxis]}
        # Shared outputs are overwritten by the next picture; they are decoded before it comes.
        results = self._request.infer(inputs, share_inputs=True, share_outputs=True)
        return dict(zip(self._outputs, results.values(), strict=True))


@cache
def _core() -> Any:
    return ov.Core()


def _read(data: bytes, kind: str) -> Any:
    if kind == "onnx":
        return _core().read_model(data)
    # The TensorFlow reader takes only files.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frozen_inference_graph.pb"
        path.write_bytes(data)
        return _core().read_model(path)


def _name_of(port: Any) -> str:
    """The shortest of a port's names: graphs keep those of inner nodes beside the public one."""
    return str(min(port.names, key=lambda name: (len(name), name)))


def _fix_shapes(model: Any, record: ModelRecord) -> str:
    """Give the picture's input its final shape (a dynamic batch costs a tenth); return its name."""
    spec = record.input
    names = {_name_of(port): port for port in model.inputs}
    name = next((n for n in names if n.partition(":")[0] == spec.name.partition(":")[0]), "")
    if not spec.name:
        name = next(iter(names))
    if not name:
        raise ModelError(
            f"model {record.name}: no input {spec.name!r}, but {', '.join(names)}: mend model.json"
        )
    others = {n: ov.PartialShape([1, 2]) for n in names if n == _SIZE_INPUT}
    if spec.width:
        sides = (spec.height, spec.width)
        shape = [1, 3, *sides] if spec.layout == "NCHW" else [1, *sides, 3]
    else:
        shape = [1, -1, -1, 3]
    model.reshape({name: ov.PartialShape(shape), **others})
    return name


def _fixed_inputs(compiled: Any, name: str) -> dict[str, Any]:
    """Inputs besides the picture: DEIMv2's size of the picture, 1 x 1 so that boxes are parts."""
    names = {_name_of(port) for port in compiled.inputs} - {name}
    unknown = names - {_SIZE_INPUT}
    if unknown:
        raise ModelError(f"the model needs an input {min(unknown)!r} that nothing here can give")
    return {other: np.ones((1, 2), dtype=np.int64) for other in names}


def _with_preparation(model: Any, record: ModelRecord, name: str) -> Any:
    """Put colour order, mean and standard deviation into the graph, where they cost nothing."""
    spec = record.input
    steps = ov.preprocess.PrePostProcessor(model)
    picture = steps.input(name)
    picture.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    picture.tensor().set_color_format(ov.preprocess.ColorFormat.RGB)
    picture.model().set_layout(ov.Layout(spec.layout))
    process = picture.preprocess()
    if spec.colour == "BGR":
        process.convert_color(ov.preprocess.ColorFormat.BGR)
    if spec.type == "float32":
        process.convert_element_type(ov.Type.f32)
        process.mean(list(spec.mean)).scale(list(spec.std))
    return steps.build()


def recognise_graph(data: bytes, sha256: str) -> tuple[ModelRecord, int] | None:
    """The record of a TensorFlow Object Detection graph and its count of classes (0: not told).

    None when the bytes are no such graph: it has `image_tensor` and gives `detection_boxes`,
    `detection_classes`, `detection_scores` and `num_detections`.
    """
    if b"image_tensor" not in data or b"detection_boxes" not in data:
        return None
    try:
        model = _read(data, "tensorflow")
    except RuntimeError as error:
        raise ModelError(
            f"the TensorFlow graph cannot be read: OpenVINO: {first_line(error)}"
        ) from None
    width = height = classes = 0
    for node in model.get_ops():
        if not node.get_output_size():
            continue
        shape = node.output(0).get_partial_shape()
        if shape.rank.is_dynamic:
            continue
        if node.get_friendly_name().endswith("convert_scores") and shape[len(shape) - 1].is_static:
            classes = shape[len(shape) - 1].get_length() - 1
        if _is_picture(shape) and not width:
            height, width = shape[1].get_length(), shape[2].get_length()
    return tensorflow_graph(sha256, width, height), classes


def _is_picture(shape: Any) -> bool:
    return (
        len(shape) == 4
        and all(shape[axis].is_static for axis in (1, 2, 3))
        and shape[3].get_length() == 3
        and min(shape[1].get_length(), shape[2].get_length()) >= 64
    )


def check_classes(classes: int, sha256: str) -> None:
    """Refuse a graph whose classes cannot be COCO's, since its numbers would be misread."""
    if classes in (0, _COCO_CLASSES) or sha256 in ONE_CLASS_GRAPHS:
        return
    raise ModelError(
        f"the TensorFlow graph has {classes} classes, not COCO's {_COCO_CLASSES}:"
        " put a model.json with its labels beside it"
    )


def first_line(error: BaseException) -> str:
    """The telling line of a runtime's error, without its source positions."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith(("Exception from", "Check "))]
    return (telling or lines or [type(error).__name__])[-1 if not telling else 0][:200]
