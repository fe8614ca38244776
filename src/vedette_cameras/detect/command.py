"""`infer.py MODEL_FILE IMAGES_DIR OUT_DIR [THRESHOLD]`: the original's command.

Loads the model for this run. When the named file is missing, the one known model beside it is
taken, so that the original's spec runs with any model.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from vedette.model.ids import object_id
from vedette_cameras import names, pictures
from vedette_cameras.detect.detector import Detector
from vedette_cameras.detect.load import RECORD_FILE, load_files
from vedette_cameras.detect.record import ModelError
from vedette_cameras.detect.result import look, to_json
from vedette_cameras.detect.stage import DEFAULT_THRESHOLD, read_threshold


def main(arguments: Sequence[str]) -> int:
    """Run the command: 0 when all pictures were looked at, 1 on failure, 2 for wrong arguments."""
    if len(arguments) not in (3, 4):
        return _fail("usage: infer.py MODEL_FILE IMAGES_DIR OUT_DIR [THRESHOLD]", 2)
    model, images, out = (Path(argument) for argument in arguments[:3])
    try:
        threshold = read_threshold(arguments[3]) if len(arguments) == 4 else DEFAULT_THRESHOLD
        detector = load_model(model)
        failed = [path for path in _files(images) if not infer(detector, path, out, threshold)]
    except (ModelError, ValueError) as error:
        return _fail(f"infer.py: {error}", 1)
    return 1 if failed else 0


def load_model(path: Path) -> Detector:
    """The model at `path` (with the `model.json` beside it, if any), or the one known beside it."""
    folder = path.parent
    wanted = [path, folder / RECORD_FILE] if path.is_file() else _files(folder)
    reads = {f"/{file.name}": file.read_bytes for file in wanted if file.is_file()}
    found, detector = load_files(reads)
    if not path.is_file():
        print(  # noqa: T201
            f"{path.name} is missing: using {found.strip('/')} ({detector.record.name}) beside it"
        )
    return detector


def infer(detector: Detector, picture: Path, out: Path, threshold: float) -> bool:
    """Look at one picture and write what was found below `out`; False, with a line, on failure."""
    data = picture.read_bytes()
    try:
        name = names.parse(picture.name)
        pixels = pictures.decode(data)
    except (names.PictureNameError, pictures.PictureError) as error:
        _fail(f"infer.py: {picture.name}: {error}", 1)
        return False
    result = look(
        detector,
        pixels,
        threshold,
        name=name,
        image=f"/{picture.name}",
        image_object=object_id(data).hex(),
    )
    target = out / names.result_path(name).strip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(to_json(result))
    return True


def _files(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _fail(line: str, code: int) -> int:
    print(line, file=sys.stderr)  # noqa: T201
    return code
