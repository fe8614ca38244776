"""onnxruntime: a second opinion on ONNX models, and the way to GPUs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from vedette_cameras.detect.decode import Tensors
from vedette_cameras.detect.record import ModelError, ModelRecord, Precision
from vedette_cameras.pictures import Pixels

_SIZE_INPUT = "orig_target_sizes"


class OnnxSession:
    """An ONNX model in onnxruntime, on one thread, in float32."""

    def __init__(self, record: ModelRecord, data: bytes) -> None:
        self.runtime = f"onnxruntime {onnxruntime.__version__}"
        self.precision: Precision = "f32"
        self._spec = record.input
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # noqa: BLE001 - its exceptions share no base class of their own
            line = " ".join(str(error).split())[:200]
            raise ModelError(f"model {record.name}: onnxruntime: {line}") from None
        names = [port.name for port in self._session.get_inputs()]
        self._name = record.input.name or names[0]
        self._fixed = {n: np.ones((1, 2), dtype=np.int64) for n in names if n == _SIZE_INPUT}
        self._outputs = [port.name for port in self._session.get_outputs()]
        self._mean = np.array(record.input.mean, dtype=np.float32)
        self._std = np.array(record.input.std, dtype=np.float32)

    def infer(self, pixels: Pixels) -> Tensors:
        """Run the model on one prepared picture."""
        ordered = pixels[:, :, ::-1] if self._spec.colour == "BGR" else pixels
        values: NDArray[Any] = ordered
        if self._spec.type == "float32":
            values = (ordered.astype(np.float32) - self._mean) / self._std
        if self._spec.layout == "NCHW":
            values = values.transpose(2, 0, 1)
        inputs = {**self._fixed, self._name: np.ascontiguousarray(values[np.newaxis])}
        results = self._session.run(self._outputs, inputs)
        return dict(zip(self._outputs, results, strict=True))
