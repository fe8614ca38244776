"""From the files of the `model` repo to a detector.

A `model.json` beside the model says how to use it. Without one, exactly one file must be known: by
the catalogue, or as a TensorFlow Object Detection graph.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Literal, get_args

import msgspec

from vedette_cameras.detect.catalogue import KNOWN
from vedette_cameras.detect.detector import Detector, Session, SessionDetector
from vedette_cameras.detect.record import ModelError, ModelRecord, read_record

RuntimeName = Literal["openvino", "onnxruntime", "litert"]
Read = Callable[[], bytes]
"""Gives a file's bytes when they are needed."""

RECORD_FILE = "model.json"
BUNDLED_FILE = "nanodet_g_416.onnx"
_MODEL_FILES = (".onnx", ".pb", ".tflite")


def bundled_model() -> bytes:
    """The model that comes with the package: NanoDet-g, 7.6 MB."""
    return files("vedette_cameras").joinpath("models", BUNDLED_FILE).read_bytes()


def load_files(
    model_files: Mapping[str, Read], runtime: RuntimeName | None = None
) -> tuple[str, Detector]:
    """The path of the model among the files of a repo, and its detector.

    Raises `ModelError` in one line when there is none, more than one, or it does not load.
    """
    by_name = {path.rpartition("/")[2]: path for path in model_files}
    if RECORD_FILE in by_name:
        record = read_record(model_files[by_name[RECORD_FILE]]())
        path = _described_file(model_files, record)
        data = model_files[path]()
        _check_digest(record, path, data)
        return path, load(record, data, runtime)
    candidates = [path for path in sorted(model_files) if path.endswith(_MODEL_FILES)]
    if not candidates:
        names = ", ".join(sorted(model_files)[:5]) or "nothing"
        raise ModelError(f"no model among the files ({names}): put a .onnx, .pb or .tflite file")
    known = {path: found for path in candidates if (found := _known(model_files[path]()))}
    if len(known) > 1:
        raise ModelError(f"several models ({', '.join(known)}): keep one, or add a {RECORD_FILE}")
    path = next(iter(known), candidates[0])
    data = model_files[path]()
    return path, load(known.get(path) or recognise(path, data), data, runtime)


def load_bytes(data: bytes, name: str, runtime: RuntimeName | None = None) -> Detector:
    """A detector from a model file alone; `name` is for messages."""
    return load(_known(data) or recognise(name, data), data, runtime)


def recognise(name: str, data: bytes) -> ModelRecord:
    """The record of a model that needs none; raises `ModelError` for one that does."""
    digest = hashlib.sha256(data).hexdigest()
    if name.endswith(".pb"):
        from vedette_cameras.detect import openvino_session

        found = openvino_session.recognise_graph(data, digest)
        if found is not None:
            record, classes = found
            openvino_session.check_classes(classes, digest)
            return record
    stem = name.rpartition("/")[2].rpartition(".")[0]
    if any(record.name == stem for record in KNOWN.values()):
        raise ModelError(
            f"{name} (sha256 {digest[:12]}..., {len(data):,} bytes) is not the known {stem}:"
            f" put the whole file again, or a {RECORD_FILE} beside it"
        )
    raise ModelError(
        f"{name} (sha256 {digest[:12]}...) is not a known model: put a {RECORD_FILE} beside it"
    )


def load(record: ModelRecord, data: bytes, runtime: RuntimeName | None = None) -> Detector:
    """Compile a model for the runtime, by default the one for its format; raises `ModelError`."""
    chosen = runtime or ("litert" if record.format == "tflite" else "openvino")
    if chosen not in get_args(RuntimeName):
        raise ModelError(f"runtime {chosen!r}: use one of {', '.join(get_args(RuntimeName))}")
    return SessionDetector(record, _session(chosen, record, data))


def _session(runtime: RuntimeName, record: ModelRecord, data: bytes) -> Session:
    # Each runtime is tens of megabytes and an extra of its own: only the one in use is imported.
    try:
        if runtime == "onnxruntime":
            from vedette_cameras.detect.onnx_session import OnnxSession

            return OnnxSession(record, data)
        if runtime == "litert":
            from vedette_cameras.detect.litert_session import LiteRtSession

            return LiteRtSession(record, data)
        from vedette_cameras.detect.openvino_session import OpenVinoSession

        return OpenVinoSession(record, data, record.precision)
    except ModuleNotFoundError as error:
        extra = {"onnxruntime": "onnx", "litert": "tflite", "openvino": "cameras"}[runtime]
        raise ModelError(
            f"model {record.name} needs {error.name}: install vedette[{extra}]"
        ) from None


def _known(data: bytes) -> ModelRecord | None:
    return KNOWN.get(hashlib.sha256(data).hexdigest())


def _described_file(model_files: Mapping[str, Read], record: ModelRecord) -> str:
    if record.file:
        wanted = [path for path in model_files if path.strip("/") == record.file.strip("/")]
    else:
        wanted = [path for path in sorted(model_files) if path.endswith(_MODEL_FILES)]
    if len(wanted) != 1:
        raise ModelError(
            f"{RECORD_FILE} does not tell which file is the model"
            f" ({len(wanted)} found for {record.file or 'any name'}): set its key 'file'"
        )
    return wanted[0]


def _check_digest(record: ModelRecord, path: str, data: bytes) -> None:
    digest = hashlib.sha256(data).hexdigest()
    if digest != record.sha256:
        raise ModelError(
            f"{path} has sha256 {digest[:12]}..., {RECORD_FILE} says {record.sha256[:12]}...:"
            " put the model that it describes, or mend it"
        )


def record_json(record: ModelRecord) -> bytes:
    """A `model.json` for a record, for a user to start from."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
