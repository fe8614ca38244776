"""`vedette_cameras.annotate.stage:annotate`: the stage of the optional pipeline `annotate`."""

from __future__ import annotations

from vedette.stage import Datum
from vedette_cameras import names
from vedette_cameras.annotate.draw import draw, marks_of
from vedette_cameras.detect.result import to_json
from vedette_cameras.detect.stage import base_name, found_in
from vedette_cameras.validate.stage import pixels_of


def annotate(datum: Datum, threshold: str = "0.50") -> None:
    """Draw what object-detect finds in the pictures of input `validate`.

    Writes `/<device>/<time>.jpg`. With an input `object` (a file of object-detect or judge for the
    same picture) its boxes are drawn; otherwise the model of input `model` looks, by the code and
    in the warm process of object-detect, so that a picture is looked at once.
    """
    for picture in datum.inputs["validate"].files:
        name = names.parse(base_name(picture))
        seen = datum.inputs.get("object")
        if seen is not None:
            found = seen.file.read()
        else:
            found = to_json(found_in(picture, datum.inputs["model"], threshold))
        drawn = draw(pixels_of(picture), marks_of(found))
        datum.write(f"/{name.device}/{name.stamp}.jpg", drawn)
