"""LiteRT: the runtime of TensorFlow Lite files, whose post-processing no other one here knows."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from vedette_cameras.detect.decode import Tensors
from vedette_cameras.detect.record import ModelError, ModelRecord, Precision
from vedette_cameras.pictures import Pixels


class LiteRtSession:
    """A TensorFlow Lite model on one thread. Integer models are computed as they are."""

    def __init__(self, record: ModelRecord, data: bytes) -> None:
        self.runtime = f"ai-edge-litert {version('ai-edge-litert')}"
        self.precision: Precision = "f32"
        self._spec = record.input
        try:
            self._interpreter = Interpreter(model_content=data, num_threads=1)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            line = " ".join(str(error).split())[:200]
            raise ModelError(f"model {record.name}: LiteRT: {line}") from None
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = self._interpreter.get_output_details()

    def infer(self, pixels: Pixels) -> Tensors:
        """Run the model on one prepared picture."""
        ordered: NDArray[Any] = pixels[:, :, ::-1] if self._spec.colour == "BGR" else pixels
        if self._spec.type == "float32":
            mean = np.array(self._spec.mean, dtype=np.float32)
            std = np.array(self._spec.std, dtype=np.float32)
            ordered = (ordered.astype(np.float32) - mean) / std
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(ordered[np.newaxis]))
        self._interpreter.invoke()
        return {
            output["name"]: self._interpreter.get_tensor(output["index"])
            for output in self._outputs
        }
