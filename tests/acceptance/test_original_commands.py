"""The original's four commands with its arguments, as its specs call them, one after the other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vedette_cameras.detect.load import bundled_model
from vedette_cameras.runtimes import code_folder

RULES = {"from_email": "a@b.c", "to_email": "d@e.f", "threat_classes": [1, 3, 4, 8]}
INFER = "infer.py {pfs}/model/frozen_inference_graph.pb {pfs}/validate/valid/ {pfs}/out/ 0.50"


def run(command: str, pfs: Path, **more: str) -> subprocess.CompletedProcess[str]:
    words = command.format(pfs=pfs, **more).split()
    return subprocess.run(
        [sys.executable, str(code_folder() / words[0]), *words[1:]],
        cwd=code_folder(),
        env={**os.environ, "MPLCONFIGDIR": str(pfs / "matplotlib")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def move_out(pfs: Path, name: str) -> None:
    """What the platform does between two pipelines: the output becomes an input, links and all."""
    shutil.copytree(pfs / "out", pfs / name)
    shutil.rmtree(pfs / "out")
    (pfs / "out").mkdir()


@pytest.fixture
def pfs(tmp_path: Path) -> Path:
    for folder in ("images", "model", "rules", "out"):
        (tmp_path / folder).mkdir()
    (tmp_path / "rules" / "rule.json").write_text(json.dumps(RULES))
    return tmp_path


def test_the_originals_pipeline_runs_from_pictures_to_a_chart(pfs: Path, data_dir: Path) -> None:
    shutil.copytree(data_dir / "original", pfs / "images", dirs_exist_ok=True)
    (pfs / "model" / "nanodet_g_416.onnx").write_bytes(bundled_model())

    done = run("validate.py {pfs}/images {pfs}/out/valid {pfs}/out/invalid", pfs)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (pfs / "out" / "invalid").iterdir()] == ["blah.jpg"]
    assert len(list((pfs / "out" / "valid").iterdir())) == 7
    assert all(path.is_symlink() for path in (pfs / "out").rglob("*.jpg"))
    move_out(pfs, "validate")

    done = run(INFER, pfs)
    assert done.returncode == 0, done.stderr
    assert "frozen_inference_graph.pb is missing: using nanodet_g_416.onnx" in done.stdout
    found = sorted(path.relative_to(pfs / "out").as_posix() for path in pfs.glob("out/*/*.json"))
    assert len(found) == 7
    seen = json.loads((pfs / "out" / "dev2" / "1511891326.json").read_text())
    assert [(o["score"], o["class"]) for o in seen["objects"]] == [("0.65", 18)]
    move_out(pfs, "object")

    for path in found:
        done = run(f"threatdetect.py {{pfs}}/object/{path} {{pfs}}/rules {{pfs}}/out", pfs)
        assert done.returncode == 0, done.stderr
    threats = {path.parent.name for path in pfs.glob("out/*/*.json")}
    assert len(list(pfs.glob("out/*/*.json"))) == 6
    assert threats == {"dev1", "dev3", "dev4"}
    move_out(pfs, "threat-detect")

    done = run("plot.py {pfs}/threat-detect {pfs}/out", pfs)
    assert done.returncode == 0, done.stderr
    assert (pfs / "out" / "threats.png").read_bytes().startswith(b"\x89PNG")


def test_a_damaged_picture_is_invalid_whatever_its_name(pfs: Path, data_dir: Path) -> None:
    whole = (data_dir / "original" / "dev1_1511891155.jpg").read_bytes()
    middle = len(whole) // 2
    damaged = {
        "cut_1511891098.jpg": whole[:middle],
        "zeroed_1511891098.jpg": whole[:middle] + bytes(1024) + whole[middle + 1024 :],
        "words_1511891098.jpg": b"these are words\n" * 50,
        "empty_1511891098.jpg": b"",
    }
    for name, data in damaged.items():
        (pfs / "images" / name).write_bytes(data)
    done = run("validate.py {pfs}/images {pfs}/out/valid {pfs}/out/invalid", pfs)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (pfs / "out" / "invalid").iterdir()} == set(damaged)
    assert not (pfs / "out" / "valid").exists(), "an empty folder would be dropped with a line"
    reasons = [line.split(" is invalid: ")[1].split(":")[0] for line in done.stdout.splitlines()]
    assert reasons == ["truncated", "not_an_image", "not_an_image", "truncated"]


def test_a_model_that_does_not_load_is_one_line_and_a_failure(pfs: Path) -> None:
    (pfs / "model" / "frozen_inference_graph.pb").write_bytes(b"junk")
    (pfs / "validate" / "valid").mkdir(parents=True)
    done = run(INFER, pfs)
    assert done.returncode == 1
    assert done.stderr.startswith("infer.py: /frozen_inference_graph.pb")
    assert done.stderr.count("\n") == 1
