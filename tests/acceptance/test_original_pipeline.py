"""The original's four specs, unchanged, and the shipped ones, on the real program.

The original's instructions are typed as written, with its own flags; what comes out must be what
its users know: threats by device and time, an invalid picture set aside, a chart.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.program import PATIENCE, Server, serving

from vedette_cameras.runtimes import PIPELINES, code_folder

SPECS = Path(__file__).parent / "original_specs"
BUNDLED = code_folder().parents[1] / "models" / "nanodet_g_416.onnx"
RULE = {"from_email": "a@b.c", "to_email": "d@e.f", "threat_classes": [1, 3, 4, 8]}
FEW = ("blah.jpg", "dev1_1511891155.jpg", "dev2_1511891326.jpg", "dev3_1511891385.jpg")
"""A command stage loads the model for each picture: a few tell as much as all."""

THREATS = [
    "/dev1/1511891098.json",
    "/dev1/1511891155.json",
    "/dev1/1511891255.json",
    "/dev3/1511891385.json",
    "/dev4/1511891463.json",
    "/dev4/1511891512.json",
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "data") as running:
        for repo in ("images", "model", "rules"):
            running("create-repo", repo)
        running("put-file", "model", "master", "-c", "-f", BUNDLED)
        put_rule(running, tmp_path, RULE)
        yield running


def put_rule(server: Server, folder: Path, rule: object) -> None:
    (folder / "rule.json").write_text(json.dumps(rule))
    server("put-file", "rules", "master", "-c", "-f", folder / "rule.json")


def pipeline(server: Server, name: str) -> tuple[str, str]:
    """State and reason of a pipeline."""
    rows = server("list-pipeline", "--raw").rows
    (found,) = [row for row in rows if row["name"] == name]
    return found["state"], found["reason"]


def test_the_originals_instructions_run_as_written(server: Server, data_dir: Path) -> None:
    for name in ("validate", "object-detect", "threat-detect", "plot"):
        server("create-pipeline", "-f", SPECS / f"{name}.json")
    for name in FEW:
        server("put-file", "images", "master", "-c", "-f", data_dir / "original" / name)
    server("wait", "--idle", "--timeout", "110")

    validated = sorted(server.files("validate"))
    assert [path for path in validated if path.startswith("/invalid/")] == ["/invalid/blah.jpg"]
    assert len(validated) == len(FEW)
    images = server.files("images")
    assert all(images[f"/{path.rpartition('/')[2]}"] == object for path, object in
               server.files("validate").items()), "pictures are passed on by reference"  # fmt: skip

    found = sorted(server.files("object-detect"))
    assert found == ["/dev1/1511891155.json", "/dev2/1511891326.json", "/dev3/1511891385.json"]
    assert (
        "frozen_inference_graph.pb is missing: using nanodet_g_416.onnx"
        in server("get-logs", "--pipeline", "object-detect").out
    )

    threats = sorted(server.files("threat-detect"))
    assert threats == ["/dev1/1511891155.json", "/dev3/1511891385.json"]
    assert "decision" not in server.json("threat-detect", threats[0])
    charts = server.content("plot", "/threats.png")
    assert charts.count(b"\x89PNG\r\n\x1a\n") == 2, "one chart a device, as under 1.6"


def test_the_shipped_pipelines_come_to_the_same_threats_and_say_why(
    server: Server, data_dir: Path, tmp_path: Path
) -> None:
    server("create-repo", "devices")
    (tmp_path / "dev2.json").write_text('{"name": "dev2"}')
    server("put-file", "devices", "master", "-f", tmp_path / "dev2.json")
    for name in PIPELINES:
        server("create-pipeline", "-f", code_folder().parent / f"{name}.json")
    for picture in sorted((data_dir / "original").iterdir()):
        server("put-file", "images", "master", "-f", picture)
    server("wait", "--idle", "--timeout", "110")

    assert sorted(server.files("threat-detect")) == THREATS
    judged = server.files("judge")
    assert len(judged) == 7
    assert server.files("threat-detect") == {path: judged[path] for path in THREATS}
    dog = server.json("judge", "/dev2/1511891326.json")["decision"]
    assert (dog["verdict"], dog["first_failing_step"]) == ("clean", "label")
    reason = server.json("validate", "/reasons/blah.jpg.json")
    assert reason["reason"] == "bad_name"
    assert sorted(server.files("counts")) == ["/dev1.json", "/dev3.json", "/dev4.json"]
    assert sorted(server.files("plot")) == ["/threats-over-time.png", "/threats.png"]
    assert len(server.files("annotate")) == 7
    for name in PIPELINES:
        assert pipeline(server, name)[1] == ""


def test_a_bad_model_and_bad_rules_hold_their_pipeline_until_good_ones_come(
    server: Server, data_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "nanodet_g_416.onnx").write_bytes(BUNDLED.read_bytes()[:100_000])
    server("put-file", "model", "master", "-f", tmp_path / "nanodet_g_416.onnx")
    put_rule(server, tmp_path, RULE | {"threat_classes": [1, 12]})
    for name in ("validate", "object-detect", "judge"):
        server("create-pipeline", "-f", code_folder().parent / f"{name}.json")
    picture = data_dir / "original" / "dev1_1511891155.jpg"
    server("put-file", "images", "master", "-f", picture)

    wait_for(server, "object-detect", "is not the known nanodet_g_416")
    server("put-file", "model", "master", "-f", BUNDLED)
    wait_for(server, "judge", "class id 12 is not in label map coco-90")
    put_rule(server, tmp_path, RULE)
    server("wait", "--idle", "--timeout", "110")
    decision = server.json("judge", "/dev1/1511891155.json")["decision"]
    assert decision["verdict"] == "alert"
    assert pipeline(server, "object-detect")[1] == pipeline(server, "judge")[1] == ""


def wait_for(server: Server, name: str, told: str) -> None:
    """Until a pipeline is CRASHING with this in its reason."""
    limit = time.monotonic() + PATIENCE
    while (found := pipeline(server, name))[0] != "CRASHING" or told not in found[1]:
        assert time.monotonic() < limit, f"{name}: {found}"
        time.sleep(0.1)
