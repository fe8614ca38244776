"""`vedette_cameras.detect.stage:detect`: the Python stage of the pipeline `object-detect`."""

from __future__ import annotations

from vedette.stage import Datum, File, Input, NotReady, warm
from vedette_cameras import names
from vedette_cameras.detect.detector import Detector
from vedette_cameras.detect.load import load_files
from vedette_cameras.detect.record import ModelError
from vedette_cameras.detect.result import Result, look, to_json
from vedette_cameras.validate.stage import pixels_of

DEFAULT_THRESHOLD = 0.50
_MODEL_SIZE = 64 * 1024 * 1024
_RESULT_SIZE = 4096


def detect(datum: Datum, threshold: str = "0.50") -> None:
    """Look at the picture of input `validate` with the model of input `model`.

    Writes `/<device>/<time>.json`, always. Raises `NotReady` for a model that does not load.
    """
    for picture in datum.inputs["validate"].files:
        result = found_in(picture, datum.inputs["model"], threshold)
        path = names.result_path(names.parse(base_name(picture)))
        datum.write(path, to_json(result))


def found_in(picture: File, model: Input, threshold: str) -> Result:
    """What the model finds in a picture, kept warm for the stages that follow."""
    limit = read_threshold(threshold)

    def make() -> Result:
        base = base_name(picture)
        return look(
            detector_of(model),
            pixels_of(picture),
            limit,
            name=names.parse(base),
            image=f"/{base}",
            image_object=picture.object,
        )

    key = "\n".join([picture.path, picture.object, str(limit), content_key(model)])
    return warm.get("found", key, make, size=_RESULT_SIZE)


def base_name(file: File) -> str:
    """The last element of a file's path: a picture's name in `images`."""
    return file.path.rpartition("/")[2]


def content_key(files: Input) -> str:
    """What a whole input holds, as a key."""
    return "\n".join(f"{file.path} {file.object}" for file in files.files)


def detector_of(model: Input) -> Detector:
    """The compiled model, made once per process and content of the `model` repo."""

    def make() -> Detector:
        try:
            return load_files({file.path: file.read for file in model.files})[1]
        except ModelError as error:
            raise NotReady(f"model {model.repo}@{model.commit[:8]}: {error}") from None

    return warm.get("detector", content_key(model), make, size=_MODEL_SIZE)


def read_threshold(text: str) -> float:
    """The threshold on scores, 0 to 1; raises `ValueError` naming what was given."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"threshold {text!r}: use a number from 0 to 1, such as 0.50")
    return value
