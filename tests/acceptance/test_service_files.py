"""The files with which one machine runs the server for good."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.program import PROGRAM, serving

ROOT = Path(__file__).resolve().parent.parent.parent
UNIT = ROOT / "deploy/systemd/vedette.service"
COMPOSE = ROOT / "deploy/compose/compose.yaml"


def test_the_unit_is_one_that_systemd_understands(tmp_path: Path) -> None:
    checker = shutil.which("systemd-analyze")
    if checker is None:
        pytest.skip("systemd-analyze is not here: the unit can't be verified")
    text = UNIT.read_text()
    assert "/opt/vedette/bin/vedette serve" in text
    assert "RestartPreventExitStatus=2\n" in text, "a wrong setting is said once, not every 2 s"
    unit = tmp_path / "vedette.service"
    # The user need not exist here, and the program is elsewhere.
    unit.write_text(
        text.replace("/opt/vedette/bin/vedette", str(PROGRAM))
        .replace("User=vedette", "User=root")
        .replace("Group=vedette", "Group=root")
    )
    done = subprocess.run(
        [checker, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "vedette" in line]
    assert not ours, done.stderr
    broken = tmp_path / "broken.service"
    broken.write_text(unit.read_text().replace("Restart=always", "Restart=sometimes"))
    done = subprocess.run(
        [checker, "verify", "--man=no", str(broken)], capture_output=True, text=True, check=False
    )
    assert "sometimes" in done.stderr, "the checker tells of faults"


def test_command_stages_run_without_new_privileges_as_the_unit_wants(tmp_path: Path) -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv is not here: privileges can't be given up")
    spec = tmp_path / "copy.json"
    spec.write_text(
        '{"pipeline": {"name": "copy"}, "transform": {"cmd": ["sh"],'
        ' "stdin": ["cp /pfs/in/* /pfs/out/"]}, "input": {"pfs": {"repo": "in", "glob": "/*"}}}'
    )
    with serving(tmp_path / "data", prefix=[setpriv, "--no-new-privs"]) as server:
        server("create-repo", "in")
        server("create-pipeline", "-f", spec)
        server.put("in", "a", b"some")
        server.idle()
        assert server.content("copy", "a") == b"some"


def test_the_compose_file_keeps_the_data_and_opens_no_port_to_others() -> None:
    file = yaml.safe_load(COMPOSE.read_text())
    server = file["services"]["server"]
    assert all(port.startswith("127.0.0.1:") for port in server["ports"])
    (volume,) = server["volumes"]
    name, _, inside = volume.partition(":")
    assert name in file["volumes"]
    image = (ROOT / "deploy/compose/server.Dockerfile").read_text()
    assert inside in image
    assert "USER 10001" in image
    docker = shutil.which("docker")
    if (
        docker
        and not subprocess.run(
            [docker, "compose", "version"], capture_output=True, check=False
        ).returncode
    ):
        subprocess.run(
            [docker, "compose", "-f", str(COMPOSE), "config", "-q"], check=True, timeout=60
        )
