"""`vedette cameras ...` against a running server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.cameras import Cameras, cameras, picture

from vedette_cameras.commands import cameras as command

Run = Callable[..., str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cameras]:
    """A server that is half set up."""
    with cameras(tmp_path_factory.mktemp("commands"), channel="none") as found:
        found.repo("images", "arrivals", "devices")
        yield found


@pytest.fixture
def run(server: Cameras) -> Run:
    """Runs one command and gives what it prints."""

    def call(*words: str) -> str:
        env = {"VEDETTE_ADDRESS": server.address, "VEDETTE_TOKEN": ""}
        done = CliRunner().invoke(command, words, env=env, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        # The server is in this process: its own lines may come in between.
        lines = done.output.splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("20"))

    return call


def test_init_makes_what_is_missing_and_nothing_twice(server: Cameras, run: Run) -> None:
    # The model is put here so that the bundled one, of 15 MB, need not be.
    server.repo("model")
    server.put("model", "/placeholder.onnx", b"none")
    first = run("init").splitlines()
    assert "created repo rules" in first
    assert "created rule rule.json" in first
    assert "created pipeline threat-detect" in first
    assert not [line for line in first if "annotate" in line or "created model" in line]
    assert run("init") == "everything is there already\n"
    assert {pipeline["name"] for pipeline in server.get("/v1/pipelines")} == {
        "validate", "object-detect", "judge", "threat-detect", "counts", "plot"
    }  # fmt: skip
    rule = json.loads(server.file("rules", "/rule.json"))
    assert rule["threat_classes"] == [1, 3, 4, 8]


def test_devices_are_listed_and_changed(run: Run) -> None:
    run("device", "gate", "--time-zone", "Europe/Berlin", "--disable")
    (device,) = [json.loads(line) for line in run("device", "--raw").splitlines()]
    assert (device["name"], device["time_zone"], device["state"]) == (
        "gate", "Europe/Berlin", "disabled"
    )  # fmt: skip
    assert "Europe/Berlin" in run("device", "gate", "--enable")


def test_summary_alerts_and_deliveries_are_told(server: Cameras, run: Run, tmp_path: Path) -> None:
    (tmp_path / "gate_1511891098.jpg").write_bytes(picture())
    assert "1 pictures taken" in run("watch", str(tmp_path), "--once")
    assert run("summary").startswith("received 1 = ")
    found = json.loads(run("summary", "--raw"))
    assert found["received"] == 1
    assert run("alerts").split() == [
        "NUMBER", "CAPTURED", "DEVICE", "LABEL", "SCORE", "STATE", "IMAGE"
    ]  # fmt: skip
    assert run("alerts", "--raw") == ""
    assert run("deliveries").startswith("NUMBER")
