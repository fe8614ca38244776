"""Outputs copied to a folder by the real server, through its deaths (spec field `egress`)."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.program import PATIENCE, serving


def test_outputs_reach_an_allowed_folder_also_when_the_server_is_killed(tmp_path: Path) -> None:
    """C1: every file is there and whole; places that the settings do not name are refused."""
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    (data / "vedette.toml").write_text(f'egress_roots = ["{out}"]\n')
    with serving(data) as server:
        server("create-repo", "images")
        path = tmp_path / "p.json"

        def spec(url: str) -> Path:
            path.write_text(json.dumps({
                "pipeline": {"name": "p"}, "input": {"pfs": {"repo": "images", "glob": "/"}},
                "transform": {"cmd": ["sh", "-c", "cp -r /pfs/images/. /pfs/out/"]},
                "egress": {"URL": url},
            }))  # fmt: skip
            return path

        said = server("create-pipeline", "-f", spec("file:///etc"), code=2).err
        assert said.strip().endswith("add a folder there that may be written to")
        assert len(said.strip().splitlines()) == 1
        server("create-pipeline", "-f", spec(f"file://{out}/p"))
        (tmp_path / "in").mkdir()
        for number in range(600):
            (tmp_path / "in" / f"{number:03}").write_bytes(b"%03d" % number * 100)
        server("put-file", "images", "master", "/", "-r", "-f", tmp_path / "in")
        deadline = time.monotonic() + PATIENCE
        while len(list(out.glob("p/*"))) < 50:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        server.kill()
        server.again()
        server.idle()
        (job,) = server.get("/v1/jobs?pipeline=p")
        assert job["state"] == "SUCCESS", job
    found = {each.name: each.read_bytes() for each in (out / "p").iterdir()}
    assert found == {f"{number:03}": b"%03d" % number * 100 for number in range(600)}
