"""The shipped stages outside the platform, as their images run them: one datum from a `/pfs`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from vedette_cameras.detect.load import bundled_model
from vedette_cameras.runtimes import pipeline_spec

RULES = {"from_email": "a@b.c", "to_email": "d@e.f", "threat_classes": [1, 3, 4, 8]}


def run(name: str, pfs: Path, **matches: str) -> None:
    """Run a shipped pipeline's command on `pfs`; `matches` are paths below it by input name."""
    words = pipeline_spec(name)["transform"]["cmd"][1:]
    found = {key.replace("_", "-"): str(pfs / path) for key, path in matches.items()}
    done = subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "VEDETTE_PFS": str(pfs), "MPLCONFIGDIR": str(pfs.parent), **found},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_picture_goes_through_every_stage_by_its_own_command(
    tmp_path: Path, data_dir: Path
) -> None:
    def datum(name: str, **inputs: Path) -> Path:
        pfs = tmp_path / name
        (pfs / "out").mkdir(parents=True)
        for key, source in inputs.items():
            shutil.copytree(source, pfs / key.replace("_", "-"))
        return pfs

    for folder, file, data in (
        ("images", "dev1_1511891155.jpg", b""),
        ("model", "nanodet_g_416.onnx", bundled_model()),
        ("rules", "rule.json", json.dumps(RULES).encode()),
        ("devices", "dev2.json", b"{}"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_bytes(data)
    name = "dev1_1511891155.jpg"
    shutil.copy(data_dir / "original" / name, tmp_path / "images" / name)

    validated = datum("v", images=tmp_path / "images")
    run("validate", validated, images=f"images/{name}")
    assert (validated / "out" / "valid" / name).is_symlink()

    looked = datum("d", validate=validated / "out", model=tmp_path / "model")
    run("object-detect", looked, validate=f"validate/valid/{name}", model="model")
    seen = json.loads((looked / "out" / "dev1" / "1511891155.json").read_text())
    assert seen["objects"][0]["label"] == "person"

    judged = datum("j", object=looked / "out", rules=tmp_path / "rules")
    run("judge", judged, object="object/dev1/1511891155.json", rules="rules")
    decided = json.loads((judged / "out" / "dev1" / "1511891155.json").read_text())
    assert decided["decision"]["verdict"] == "alert"

    selected = datum("t", judge=judged / "out")
    run("threat-detect", selected, judge="judge/dev1/1511891155.json")
    assert (selected / "out" / "dev1" / "1511891155.json").is_symlink()

    counted = datum("c", threat_detect=selected / "out")
    run("counts", counted, threat_detect="threat-detect/dev1")
    assert json.loads((counted / "out" / "dev1.json").read_text())["total"] == 1

    drawn = datum("p", counts=counted / "out", devices=tmp_path / "devices")
    run("plot", drawn, counts="counts", devices="devices")
    assert sorted(path.name for path in (drawn / "out").iterdir()) == [
        "threats-over-time.png",
        "threats.png",
    ]

    annotated = datum("a", validate=validated / "out", model=tmp_path / "model")
    run("annotate", annotated, validate=f"validate/valid/{name}", model="model")
    assert (annotated / "out" / "dev1" / "1511891155.jpg").stat().st_size > 10_000
