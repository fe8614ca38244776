"""What the images of the shipped pipelines and of the original mean on a host without images.

Given to the platform as entries of `--runtimes` that are known out of the box.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

ORIGINAL_IMAGES = (
    "dwhitena/mgmt-validate",
    "dwhitena/mgmt-object-detect",
    "dwhitena/mgmt-threat-detect",
    "dwhitena/mgmt-plot",
    "dwhitena/mgmt-plot:fix2",
)
QUICK_IMAGES = ("vedette/judge", "vedette/threat-detect", "vedette/counts")
DETECTION_FOLDER = "/tensorflow/models/object_detection"
"""Where the original's object-detect image keeps `infer.py`."""

PIPELINES = (
    "validate",
    "object-detect",
    "judge",
    "threat-detect",
    "counts",
    "plot",
    "annotate",
)
"""The shipped pipelines, each after those that it reads; the last is optional."""


def known_images() -> dict[str, dict[str, Any]]:
    """The mapping of image names, in the words of a runtimes file.

    The original's four run as processes, with our scripts where theirs were; `vedette/*` run in a
    warm pool of Python processes. What takes a fraction of a millisecond has a process of its own,
    so that it never waits behind a detection; plotting too, for matplotlib's sake.
    """
    code = str(code_folder())
    found: dict[str, dict[str, Any]] = {}
    for image in ORIGINAL_IMAGES:
        detects = image.endswith("object-detect")
        found[image] = {
            "runtime": "process",
            "mount": {"/code": code, **({DETECTION_FOLDER: code} if detects else {})},
            "working_dir": DETECTION_FOLDER if detects else "/code",
        }
    for image in QUICK_IMAGES:
        found[image] = {"runtime": "python", "pool": "vedette-quick", "slots": 1}
    found["vedette/plot"] = {"runtime": "python", "pool": "vedette-plot", "slots": 1}
    found["vedette/*"] = {"runtime": "python", "pool": "vedette"}
    return found


def code_folder() -> Path:
    """The folder of the commands with the original's names and arguments."""
    return Path(str(files("vedette_cameras").joinpath("pipelines", "code")))


def pipeline_spec(name: str) -> dict[str, Any]:
    """A shipped pipeline's spec, as JSON has it; `name` is one of `PIPELINES`."""
    path = files("vedette_cameras").joinpath("pipelines", f"{name}.json")
    document: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    return document
