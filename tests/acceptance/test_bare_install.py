"""What `make demo` and `pip install vedette[cameras]` install is enough; what is not is told."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from tests.program import Done, environment, run, serving

ROOT = Path(__file__).resolve().parent.parent.parent
BARE = """
import sys

class Bare:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Bare())
"""


def locked(lock: str) -> set[str]:
    """The distributions that a lock file lists."""
    names = re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / lock).read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names}


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python without what only the tests install, in every process that is started."""
    only_tests = locked("requirements-dev.lock") - locked("requirements.lock")
    absent = {
        module
        for module, names in packages_distributions().items()
        if {re.sub(r"[-_.]+", "-", name).lower() for name in names} <= only_tests
    }
    assert {"obstore", "psycopg", "pytest"} <= absent
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BARE.format(absent=sorted(absent)))
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_the_demo_needs_nothing_that_only_tests_install(bare: None, tmp_path: Path) -> None:
    check = [sys.executable, "-c", "import obstore"]
    assert subprocess.run(check, capture_output=True, check=False).returncode, "it is not absent"
    done = subprocess.run(
        [sys.executable, "-m", "vedette_cameras.demo", "--data", str(tmp_path / "demo")],
        cwd=tmp_path, env=environment({"JSON": "figures.json"}), capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "figures.json").read_text())["received"] == 26


def refused(done: Done, extra: str) -> None:
    assert done.code != 0
    (line,) = done.err.splitlines()
    assert f"pip install 'vedette[{extra}]'" in line


def test_every_command_that_needs_more_says_what_to_install(bare: None, tmp_path: Path) -> None:
    data: list[str | Path] = ["--data", tmp_path / "data", "--listen", "127.0.0.1:0"]
    refused(run(["serve", *data, "--objects", "s3://bucket/prefix"]), "s3")
    refused(run(["serve", *data, "--database", "postgresql://nobody@127.0.0.1/x"]), "postgres")
    refused(run(["migrate", "--database", "postgresql://nobody@127.0.0.1/x"]), "postgres")
    (tmp_path / "data/vedette.toml").write_text('egress_roots = ["s3://bucket/"]\n')
    with serving(tmp_path / "data") as server:
        server("create-repo", "in")
        server.put("in", "a", b"1")
        spec = {
            "pipeline": {"name": "out"},
            "transform": {"cmd": ["true"]},
            "input": {"pfs": {"repo": "in", "glob": "/*"}},
            "egress": {"URL": "s3://bucket/prefix"},
        }
        server("create-pipeline", "-f", "-", stdin=json.dumps(spec).encode())
        server.idle()
        (job,) = server("list-job", "-p", "out", "--raw").rows
        assert job["state"] == "FAILURE"
        assert "pip install 'vedette[s3]'" in job["reason"]
    move: list[str | Path] = ["migrate-store", "--data", tmp_path / "data"]
    refused(run([*move, "--to-objects", "s3://bucket/prefix"]), "s3")
    refused(run([*move, "--to-database", "postgresql://nobody@127.0.0.1/x"]), "postgres")
