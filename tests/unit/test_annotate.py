"""Pictures with boxes drawn, for mails and for the optional pipeline."""

from __future__ import annotations

import json

import numpy as np
import pytest
import simplejpeg

from vedette.stage import Datum
from vedette_cameras.annotate.draw import MAIL_BYTES, Mark, draw, marks_of
from vedette_cameras.annotate.stage import annotate
from vedette_cameras.pictures import Pixels, decode


def grey(height: int = 300, width: int = 400) -> Pixels:
    return np.full((height, width, 3), 90, np.uint8)


def mark(*box: float, threat: bool = False) -> Mark:
    left, top, right, bottom = box
    return Mark(label="person", score="0.93", box=(left, top, right, bottom), threat=threat)


def reddish(pixels: Pixels) -> np.ndarray:
    wide = pixels.astype(int)
    found: np.ndarray = (wide[:, :, 0] > 200) & (wide[:, :, 1] < 140) & (wide[:, :, 2] < 140)
    return found


def test_the_box_is_drawn_on_its_edges_and_nowhere_inside() -> None:
    found = reddish(decode(draw(grey(), [mark(0.25, 0.4, 0.75, 0.9, threat=True)])))
    assert found[122:268, 98:105].any(axis=1).mean() > 0.9
    assert found[266:273, 102:298].any(axis=0).mean() > 0.9
    assert not found[150:260, 120:290].any()
    assert not found[280:, :].any()


def test_the_label_stands_above_the_box_or_inside_it_at_the_top_edge() -> None:
    above = reddish(decode(draw(grey(), [mark(0.25, 0.4, 0.75, 0.9, threat=True)])))
    assert above[100:118, 102:140].any()
    inside = reddish(decode(draw(grey(), [mark(0.25, 0.0, 0.75, 0.9, threat=True)])))
    assert inside[5:16, 102:140].any()


def test_only_threats_are_red() -> None:
    assert not reddish(decode(draw(grey(), [mark(0.2, 0.4, 0.8, 0.9)]))).any()


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (0.99, 0.99, 1, 1), (0.5, 0.5, 0.5, 0.5)])
@pytest.mark.parametrize("size", [(8, 8), (9, 700), (300, 400)])
def test_boxes_at_the_edges_of_any_picture_can_be_drawn(
    box: tuple[float, ...], size: tuple[int, int]
) -> None:
    assert decode(draw(grey(*size), [mark(*box, threat=True)])).shape == (*size, 3)


def test_a_picture_for_a_mail_keeps_to_its_limit_whatever_it_shows() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (1080, 1920, 3)).astype(np.uint8)
    data = draw(noise, [mark(0.2, 0.2, 0.6, 0.9, threat=True)], MAIL_BYTES)
    assert MAIL_BYTES / 3 < len(data) <= MAIL_BYTES
    height, width = simplejpeg.decode_jpeg_header(data)[:2]
    assert width / height == pytest.approx(16 / 9, abs=0.02)


def test_a_plain_picture_is_only_made_as_small_as_a_screen() -> None:
    assert decode(draw(grey(1200, 2400), [], MAIL_BYTES)).shape == (640, 1280, 3)
    assert decode(draw(grey(), [], MAIL_BYTES)).shape == (300, 400, 3)
    assert decode(draw(grey(1200, 2400), [])).shape == (1200, 2400, 3)


def test_an_impossible_limit_ends_with_the_smallest_picture() -> None:
    assert max(decode(draw(grey(1200, 2400), [], 10)).shape) == 160


def test_marks_tell_threats_from_the_rest_by_the_trace() -> None:
    objects = [
        {"score": "0.93", "class": 1, "label": "person", "box": [0, 0, 1, 1]},
        {"score": "0.80", "class": 18, "label": "dog", "box": [0, 0, 0.5, 0.5]},
    ]
    steps = [{"object": 0, "step": "label", "pass": True}, {"object": 1, "pass": False}]
    judged = {"objects": objects, "decision": {"trace": [*steps, {"object": None, "pass": False}]}}
    assert [m.threat for m in marks_of(json.dumps(judged).encode())] == [True, False]
    assert [m.threat for m in marks_of(json.dumps({"objects": objects}).encode())] == [False, False]


def test_the_stage_draws_what_object_detect_found() -> None:
    picture = bytes(simplejpeg.encode_jpeg(grey()))
    seen = {"objects": [{"score": "0.9", "label": "cat", "box": [0.2, 0.4, 0.8, 0.9]}]}
    seen["decision"] = {"trace": [{"object": 0, "pass": True}]}  # type: ignore[assignment]
    datum = Datum.of(
        inputs={
            "validate": {"/valid/dev1_1511891098.jpg": picture},
            "object": {"/dev1/1511891098.json": json.dumps(seen).encode()},
        }
    )
    annotate(datum)
    assert reddish(decode(datum.outputs["/dev1/1511891098.jpg"])).any()
