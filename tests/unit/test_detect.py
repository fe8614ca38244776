"""Preparing pictures, decoding tensors, suppressing doubles, choosing a model (CAMERAS 4)."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.stage import Datum, NotReady
from vedette_cameras.detect import command
from vedette_cameras.detect.catalogue import BUNDLED_SHA256, KNOWN
from vedette_cameras.detect.decode import Candidates, nanodet, ssd, yolox
from vedette_cameras.detect.detector import SessionDetector
from vedette_cameras.detect.load import Read, bundled_model, load_files, record_json
from vedette_cameras.detect.openvino_session import check_classes, first_line
from vedette_cameras.detect.prepare import prepare
from vedette_cameras.detect.record import (
    InputSpec,
    ModelError,
    ModelRecord,
    OutputSpec,
    class_ids,
    read_record,
)
from vedette_cameras.detect.stage import detect, read_threshold
from vedette_cameras.detect.suppress import MAX_KEPT, overlap, suppress

NANODET = KNOWN[BUNDLED_SHA256]
YOLOX = next(record for record in KNOWN.values() if record.name == "yolox_nano_416")


def box(*sides: float) -> np.ndarray:
    return np.array(sides, dtype=np.float32)


def reads(files: dict[str, bytes]) -> dict[str, Read]:
    """Files as `load_files` takes them."""
    return {path: partial(bytes, data) for path, data in files.items()}


def candidates(*rows: tuple[float, int, tuple[float, float, float, float]]) -> Candidates:
    return Candidates(
        boxes=np.array([row[2] for row in rows], dtype=np.float32).reshape(-1, 4),
        scores=np.array([row[0] for row in rows], dtype=np.float32),
        classes=np.array([row[1] for row in rows], dtype=np.int64),
    )


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "letterbox_top_left", "none"])
@given(width=st.integers(8, 200), height=st.integers(8, 200))
def test_a_box_around_the_prepared_picture_is_a_box_around_the_picture(
    resize: str, width: int, height: int
) -> None:
    spec = InputSpec(width=64, height=48, resize=resize)  # type: ignore[arg-type]
    frame = prepare(np.full((height, width, 3), 200, np.uint8), spec)
    whole = box(frame.left, frame.top, frame.left + frame.width, frame.top + frame.height).reshape(
        1, 4
    )
    assert np.allclose(frame.to_picture(whole), [[0, 0, 1, 1]], atol=1e-5)
    if resize != "none":
        assert frame.pixels.shape == (48, 64, 3)


def test_a_letterbox_is_centred_and_padded_and_a_top_left_one_is_not_centred() -> None:
    white = np.full((100, 400, 3), 255, np.uint8)
    centred = prepare(white, InputSpec(width=40, height=40, resize="letterbox"))
    assert centred.pixels[:15].max() == 0
    assert centred.pixels[15:25].min() == 255
    assert centred.pixels[25:].max() == 0
    corner = prepare(white, InputSpec(width=40, height=40, resize="letterbox_top_left", pad=114))
    assert corner.pixels[:10].min() == 255
    assert set(np.unique(corner.pixels[10:])) == {114}


def test_boxes_are_cut_at_the_edges_of_the_picture() -> None:
    frame = prepare(np.zeros((10, 10, 3), np.uint8), InputSpec(width=20, height=20))
    assert frame.to_picture(box(-0.5, 0.2, 1.5, 0.4).reshape(1, 4)).tolist() == [
        pytest.approx([0.0, 0.2, 1.0, 0.4])
    ]


def test_overlap_is_intersection_over_union() -> None:
    others = np.stack([box(0, 0, 2, 2), box(1, 0, 3, 2), box(5, 5, 6, 6), box(0, 0, 0, 0)])
    assert overlap(box(0, 0, 2, 2), others).tolist() == pytest.approx([1.0, 1 / 3, 0.0, 0.0])


def test_of_two_boxes_of_a_class_the_better_stays_and_other_classes_are_left_alone() -> None:
    found = candidates((0.6, 0, (0, 0, 1, 1)), (0.9, 0, (0, 0, 1, 0.9)), (0.7, 5, (0, 0, 1, 1)))
    kept = suppress(found, 0.6)
    assert kept.scores.tolist() == pytest.approx([0.9, 0.7])
    assert len(suppress(found, 0.0).scores) == 3
    assert len(suppress(found, 0.95).scores) == 3


def test_a_suppressed_box_suppresses_nothing_itself() -> None:
    chain = candidates(
        (0.9, 0, (0.0, 0, 1.0, 1)), (0.8, 0, (0.3, 0, 1.3, 1)), (0.7, 0, (0.6, 0, 1.6, 1))
    )
    assert suppress(chain, 0.5).scores.tolist() == pytest.approx([0.9, 0.7])


def test_classes_that_are_taken_for_one_another_are_suppressed_across() -> None:
    found = candidates((0.6, 2, (0, 0, 1, 1)), (0.9, 7, (0, 0, 1, 0.9)), (0.5, 0, (0, 0, 1, 1)))
    kept = suppress(found, 0.6, [(frozenset({2, 5, 7}), 0.7)])
    assert kept.classes.tolist() == [7, 0]


def test_no_more_objects_than_the_limit_are_kept_the_best_ones() -> None:
    many = candidates(*((0.5 + i / 1000, 0, (i, 0, i + 0.5, 1)) for i in range(MAX_KEPT + 20)))
    kept = suppress(many, 0.6)
    assert len(kept.scores) == MAX_KEPT
    assert kept.scores[0] == pytest.approx(0.5 + (MAX_KEPT + 19) / 1000)


def test_a_yolox_cell_becomes_a_box() -> None:
    raw = np.zeros((1, 3549, 85), np.float32)
    row = 52 * 52 + 3 * 26 + 5  # stride 16, row 3, column 5
    raw[0, row, :4] = [0.5, 0.25, np.log(4), np.log(2)]
    raw[0, row, 4] = 0.9
    raw[0, row, 5 + 2] = 0.8
    found = yolox({"output": raw}, 0.5, YOLOX)
    assert found.classes.tolist() == [2]
    assert found.scores.tolist() == pytest.approx([0.72])
    expected = [(88 - 32) / 416, (52 - 16) / 416, (88 + 32) / 416, (52 + 16) / 416]
    assert found.boxes.tolist() == [pytest.approx(expected)]
    assert len(yolox({"output": raw}, 0.73, YOLOX).scores) == 0


def test_a_nanodet_cell_becomes_a_box_around_its_shifted_centre() -> None:
    tensors = {}
    for number, cells in enumerate((2704, 676, 169)):
        tensors[f"Identity:{number}"] = np.zeros((1, cells, 80), np.float32)
    for number, cells in enumerate((2704, 676, 169)):
        tensors[f"Identity_b:{number}"] = np.full((1, cells, 44), -50, np.float32)
    row = 4 * 13 + 6  # stride 32, row 4, column 6
    tensors["Identity:2"][0, row, 16] = 0.7
    for side, bins in enumerate((1, 2, 3, 0)):
        tensors["Identity_b:2"][0, row, side * 11 + bins] = 50
    found = nanodet(tensors, 0.5, NANODET)
    x, y = 6.5 * 32 - 0.5, 4.5 * 32 - 0.5
    assert found.classes.tolist() == [16]
    assert (found.boxes * 416).tolist() == [pytest.approx([x - 32, y - 64, x + 96, y], abs=1e-2)]


def test_an_ssd_counts_its_rows_and_turns_its_boxes() -> None:
    tensors = {
        "detection_boxes:0": np.array([[[0.1, 0.2, 0.3, 0.4]] * 3], np.float32),
        "detection_classes:0": np.array([[1.0, 3.0, 8.0]], np.float32),
        "detection_scores:0": np.array([[0.9, 0.5, 0.8]], np.float32),
        "num_detections:0": np.array([2.0], np.float32),
    }
    record = msgspec.structs.replace(YOLOX, output=OutputSpec(decoding="ssd"))
    found = ssd(tensors, 0.5, record)
    assert found.classes.tolist() == [1]
    assert found.boxes.tolist() == [pytest.approx([0.2, 0.1, 0.4, 0.3])]


class Fixed:
    """A session that always answers with the same three rows."""

    runtime = "fixed 1"
    precision = "f32"

    def infer(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "detection_boxes": np.array(
                [[[0, 0, 0.5, 0.5], [0, 0, 1, 1], [0.5, 0.5, 1, 1]]], np.float32
            ),
            "detection_classes": np.array([[0.0, 1.0, 1.0]], np.float32),
            "detection_scores": np.array([[0.5, 0.5001, 0.9]], np.float32),
            "num_detections": np.array([3.0], np.float32),
        }


def fixed(**more: object) -> SessionDetector:
    record = ModelRecord(
        name="own",
        sha256="0" * 64,
        format="onnx",
        input=InputSpec(width=8, height=8),
        output=OutputSpec(decoding="ssd", overlap=0.0),
        labels=("heron", "cat"),
    )
    return SessionDetector(msgspec.structs.replace(record, **more), Fixed())  # type: ignore[arg-type]


def test_a_score_at_the_threshold_is_not_above_it() -> None:
    found = fixed().detect(np.zeros((8, 8, 3), np.uint8), 0.5)
    assert [(seen.label, round(seen.score, 4)) for seen in found] == [("cat", 0.9), ("cat", 0.5001)]


def test_calibration_moves_scores_before_the_threshold_is_applied() -> None:
    halved = fixed(calibration=((0.0, 0.0), (1.0, 0.5)))
    assert halved.detect(np.zeros((8, 8, 3), np.uint8), 0.5) == ()
    found = halved.detect(np.zeros((8, 8, 3), np.uint8), 0.4)
    assert [seen.score for seen in found] == [pytest.approx(0.45)]


def test_labels_are_those_of_the_model_and_numbers_of_eighty_are_given_as_cocos() -> None:
    assert class_ids(NANODET).id_of(0) == 1
    assert class_ids(NANODET).id_of(79) == 90
    assert class_ids(NANODET).labels.label(class_ids(NANODET).id_of(7)) == "truck"
    own = msgspec.structs.replace(NANODET, labels={"7": "forklift"})
    assert class_ids(own).labels.label(7) == "forklift"
    assert class_ids(own).labels.label(8) == "class 8"
    for wrong in ("coco", {"seven": "forklift"}):
        with pytest.raises(ModelError, match="labels"):
            class_ids(msgspec.structs.replace(NANODET, labels=wrong))


def test_the_bundled_model_is_the_one_in_the_catalogue() -> None:
    assert hashlib.sha256(bundled_model()).hexdigest() == BUNDLED_SHA256
    for digest, record in KNOWN.items():
        assert record.sha256 == digest
        assert record.licence
        assert record.source


def test_the_bundled_model_stands_beside_both_licences() -> None:
    folder = Path(command.__file__).parents[1] / "models"
    assert "Vladimir Mandic" in (folder / "LICENSE-human-models-MIT").read_text()
    assert "Apache License" in (folder / "LICENSE-nanodet-APACHE-2.0").read_text()
    assert BUNDLED_SHA256 in (folder / "MODEL.md").read_text()


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "no model among the files (nothing)"),
        ({"/readme.txt": b"x"}, "no model among the files (/readme.txt)"),
        ({"/a.onnx": b"junk"}, "not a known model: put a model.json beside it"),
        ({"/yolox_nano_416.onnx": b"junk"}, "4 bytes) is not the known yolox_nano_416"),
        ({"/frozen_inference_graph.pb": b"junk"}, "not a known model"),
        ({"/model.json": b"{"}, "model.json: "),
        ({"/model.json": b'{"name": "x"}'}, "model.json: Object missing required field"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused_in_one_line(
    files: dict[str, bytes], told: str
) -> None:
    with pytest.raises(ModelError) as caught:
        load_files(reads(files))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bundled_file_cut_in_half_is_described_but_refused_by_its_digest() -> None:
    half = bundled_model()[:3_000_000]
    described = {"/model.json": record_json(NANODET), "/nanodet_g_416.onnx": half}
    with pytest.raises(ModelError, match=r"model\.json says 2cae243388a2"):
        load_files(reads(described))


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_model_that_a_runtime_cannot_read_is_refused_in_one_line(runtime: str) -> None:
    junk = b"this is no ONNX file" * 40
    record = msgspec.structs.replace(NANODET, sha256=hashlib.sha256(junk).hexdigest())
    files = {"/model.json": record_json(record), "/nanodet_g_416.onnx": junk}
    with pytest.raises(ModelError) as caught:
        load_files(reads(files), runtime)  # type: ignore[arg-type]
    assert "model nanodet_g_416: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_json_may_say_how_a_known_or_unknown_file_is_used() -> None:
    data = bundled_model()
    described = msgspec.structs.replace(NANODET, name="mine", file="sub/net.onnx")
    files = {"/model.json": record_json(described), "/sub/net.onnx": data, "/old.onnx": b"x"}
    path, detector = load_files(reads(files))
    assert (path, detector.record.name) == ("/sub/net.onnx", "mine")
    unclear = msgspec.structs.replace(described, file="")
    files["/model.json"] = record_json(unclear)
    with pytest.raises(ModelError, match="set its key 'file'"):
        load_files(reads(files))


def test_a_record_survives_being_written_and_read() -> None:
    for record in KNOWN.values():
        assert read_record(record_json(record)) == record


def test_a_key_of_model_json_that_nobody_knows_is_refused() -> None:
    document = json.loads(record_json(NANODET)) | {"colour": "BGR"}
    with pytest.raises(ModelError, match="colour"):
        read_record(json.dumps(document).encode())


def test_a_graph_of_other_classes_than_cocos_is_refused() -> None:
    check_classes(90, "0")
    check_classes(0, "0")
    with pytest.raises(ModelError, match="37 classes"):
        check_classes(37, "0")


def test_the_telling_line_of_a_runtimes_error_is_found() -> None:
    text = "Exception from src/core.cpp:84:\nCheck 'a' failed at b.cpp:1:\nNo such thing.\n\n"
    assert first_line(RuntimeError(text)) == "No such thing."
    assert first_line(RuntimeError("")) == "RuntimeError"


@pytest.mark.parametrize("text", ["half", "-0.1", "1.1", "nan", ""])
def test_a_threshold_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="threshold"):
        read_threshold(text)


def test_a_model_that_does_not_load_makes_the_stage_wait_for_another() -> None:
    datum = Datum.of(
        inputs={
            "validate": {"/valid/dev1_1511891098.jpg": b"never read"},
            "model": {"/frozen_inference_graph.pb": b"junk"},
        }
    )
    with pytest.raises(NotReady, match=r"^model model@.*not a known model"):
        detect(datum, "0.50")


def test_the_command_names_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["a"]) == 2
    (tmp_path / "frozen_inference_graph.pb").write_bytes(b"junk")
    model = str(tmp_path / "frozen_inference_graph.pb")
    assert command.main([model, str(tmp_path), str(tmp_path / "out"), "0.50"]) == 1
    assert command.main([model, str(tmp_path), str(tmp_path / "out"), "x"]) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("usage: infer.py")
    assert "not a known model" in told[1]
    assert "threshold 'x'" in told[2]
    assert len(told) == 3
