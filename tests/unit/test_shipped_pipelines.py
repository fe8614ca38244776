"""The pipelines and images that come with the application, and the original's four specs."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from vedette.model.inputs import Cross, Pfs, leaves
from vedette.model.spec import parse_spec, unsupported
from vedette_cameras import runtimes
from vedette_cameras.runtimes import PIPELINES, code_folder, known_images, pipeline_spec

ORIGINAL = Path(__file__).parents[1] / "acceptance" / "original_specs"
SHIPPED = code_folder().parent


@pytest.mark.parametrize("name", PIPELINES)
def test_a_shipped_spec_is_understood_without_a_warning(name: str) -> None:
    parsed = parse_spec(pipeline_spec(name))
    assert parsed.warnings == ()
    assert unsupported(parsed.spec) == []
    assert parsed.spec.name == name
    assert parsed.spec.transform.image == f"vedette/{name}"
    assert parsed.spec.on_datum_failure == "datum"
    assert parsed.spec.datum_timeout == 30.0
    expected = "last" if name in ("object-detect", "judge", "annotate") else "error"
    assert parsed.spec.output_conflict == expected


@pytest.mark.parametrize("name", PIPELINES)
def test_a_shipped_spec_names_a_stage_that_exists(name: str) -> None:
    command = parse_spec(pipeline_spec(name)).spec.transform.cmd
    assert command[:3] == ("python", "-m", "vedette.stage")
    module, _, function = command[3].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_every_shipped_spec_is_in_the_list() -> None:
    assert sorted(path.stem for path in SHIPPED.glob("*.json")) == sorted(PIPELINES)


def test_pipelines_come_after_those_that_they_read() -> None:
    given = {"images", "model", "rules", "devices"}
    for name in PIPELINES:
        read = {leaf.repo for leaf in leaves(parse_spec(pipeline_spec(name)).spec.input)}
        assert read <= given
        given.add(name)


def test_models_and_rules_apply_from_the_next_picture_on() -> None:
    """ENGINE S5: live work never waits behind history."""
    for name in PIPELINES:
        for leaf in leaves(parse_spec(pipeline_spec(name)).spec.input):
            assert isinstance(leaf, Pfs)
            assert leaf.reference is (leaf.repo in ("model", "rules"))


def test_judge_reads_what_was_found_under_the_originals_name() -> None:
    tree = parse_spec(pipeline_spec("judge")).spec.input
    assert isinstance(tree, Cross)
    assert [(leaf.name, leaf.repo) for leaf in leaves(tree)] == [
        ("object", "object-detect"),
        ("rules", "rules"),
    ]


def test_counting_follows_the_stream_at_a_distance() -> None:
    """ENGINE T6."""
    (leaf,) = leaves(parse_spec(pipeline_spec("counts")).spec.input)
    assert isinstance(leaf, Pfs)
    assert leaf.glob == "/*"
    assert leaf.trigger is not None
    assert leaf.trigger.rate == 10.0


@pytest.mark.parametrize("name", PIPELINES)
def test_every_stage_has_an_image_that_builds_without_a_network(name: str) -> None:
    text = (SHIPPED / f"{name}.Dockerfile").read_text()
    lines = text.splitlines()
    assert "ARG BASE_IMAGE=python:3.11-slim" in lines
    assert "FROM ${BASE_IMAGE}" in lines
    assert "--no-index" in text
    assert "USER vedette" in lines
    assert "LABEL org.opencontainers.image.title" in text
    stage = pipeline_spec(name)["transform"]["cmd"][3]
    assert stage in text


@pytest.mark.parametrize("name", ["validate", "object-detect", "threat-detect", "plot"])
def test_an_image_of_the_originals_spec_is_known_with_our_scripts_in_it(name: str) -> None:
    spec = parse_spec(json.loads((ORIGINAL / f"{name}.json").read_text())).spec
    assert spec.name == name
    assert spec.parallelism == 1
    entry = known_images()[spec.transform.image]
    assert entry["runtime"] == "process"
    script = next(word for word in " ".join(spec.transform.stdin).split() if word.endswith(".py"))
    folder, _, file = script.rpartition("/")
    mounted = entry["mount"][folder or runtimes.DETECTION_FOLDER]
    assert (Path(mounted) / file).is_file()
    assert entry["working_dir"] in entry["mount"]


def test_our_images_are_warm_pools_and_plotting_has_its_own() -> None:
    images = known_images()
    assert images["vedette/*"] == {"runtime": "python", "pool": "vedette"}
    assert images["vedette/plot"] == {"runtime": "python", "pool": "vedette-plot", "slots": 1}
