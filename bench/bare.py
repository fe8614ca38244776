"""The floor for alerts.py: read, decode, resize, infer, and nothing else.

    python bench/bare.py MODEL FOLDER START STEP [LIMIT]

takes every STEP-th file of FOLDER from START on, with one inference thread, and prints one JSON
document: pictures, seconds, and the milliseconds of each picture. It uses none of our code.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

SIDE = 416


def load(path: Path) -> tuple[Any, dict[str, Any], str]:
    """An inference request with normalisation in the graph, its fixed inputs, its picture input."""
    core = ov.Core()
    model = core.read_model(path)
    picture = next(port for port in model.inputs if "orig_target_sizes" not in port.names)
    sizes = [port for port in model.inputs if "orig_target_sizes" in port.names]
    shapes = {picture.any_name: ov.PartialShape([1, 3, SIDE, SIDE])}
    shapes.update({port.any_name: ov.PartialShape([1, 2]) for port in sizes})
    model.reshape(shapes)
    steps = ov.preprocess.PrePostProcessor(model)
    source = steps.input(picture.any_name)
    source.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    source.tensor().set_color_format(ov.preprocess.ColorFormat.RGB)
    source.model().set_layout(ov.Layout("NCHW"))
    process = source.preprocess()
    if sizes:
        process.convert_element_type(ov.Type.f32).scale([255.0, 255.0, 255.0])
    else:
        process.convert_color(ov.preprocess.ColorFormat.BGR).convert_element_type(ov.Type.f32)
        process.mean([103.53, 116.28, 123.675]).scale([57.375, 57.12, 58.395])
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
    compiled = core.compile_model(steps.build(), "CPU", {**settings, "ENABLE_CPU_PINNING": False})
    fixed = {port.any_name: np.array([[SIDE, SIDE]], np.int64) for port in sizes}
    return compiled.create_infer_request(), fixed, picture.any_name


def prepared(data: bytes, keep_proportions: bool) -> NDArray[np.uint8]:
    """Decode and resize one picture."""
    pixels = simplejpeg.decode_jpeg(data, "RGB")
    image = Image.fromarray(pixels)
    if not keep_proportions:
        return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    scale = SIDE / max(image.size)
    width, height = round(image.width * scale), round(image.height * scale)
    canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    small = image.resize((width, height), Image.Resampling.BILINEAR)
    canvas[top : top + height, left : left + width] = np.asarray(small)
    return canvas


def main() -> None:
    """Run the loop over this process's share of the pictures."""
    model, folder, start, step = Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:5])
    files = sorted(folder.iterdir())[start::step]
    if len(sys.argv) > 5:
        files = files[: int(sys.argv[5])]
    request, fixed, name = load(model)
    keep_proportions = not fixed
    tensor = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    request.infer({**fixed, name: tensor})
    print("ready", flush=True)
    sys.stdin.readline()
    each = []
    begin = time.perf_counter()
    for path in files:
        at = time.perf_counter()
        tensor = prepared(path.read_bytes(), keep_proportions)[np.newaxis]
        request.infer({**fixed, name: tensor}, share_inputs=True)
        each.append((time.perf_counter() - at) * 1000)
    seconds = time.perf_counter() - begin
    print(json.dumps({"pictures": len(files), "seconds": seconds, "milliseconds": each}))


if __name__ == "__main__":
    main()
