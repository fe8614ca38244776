"""scripts/setup.sh: what it says where it cannot go on, and that a second call does nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = ("requirements.lock", "requirements-dev.lock", "pyproject.toml")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What set-up reads of a checkout."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/setup.sh", tmp_path / "scripts")
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def set_up(checkout: Path, python: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "scripts/setup.sh", "requirements.lock"], cwd=checkout, text=True,
        env={**os.environ, "PYTHON": python}, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


def interpreter(folder: Path, script: str) -> str:
    """A program that stands for an interpreter."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_an_interpreter_that_is_not_there_is_named(checkout: Path) -> None:
    assert "PYTHON=python9 is no program here" in refused(set_up(checkout, "python9"))


def test_an_interpreter_that_is_too_old_is_named_with_its_version(checkout: Path) -> None:
    old = interpreter(checkout, 'case "$*" in *exit*) exit 1 ;; *) echo 3.9 ;; esac')
    told = refused(set_up(checkout, old))
    assert "is Python 3.9, and 3.11 or later is needed" in told


def test_an_interpreter_without_venv_is_told_how_to_get_it(checkout: Path) -> None:
    script = f'case "$*" in *ensurepip*) exit 1 ;; *) exec {sys.executable} "$@" ;; esac'
    told = refused(set_up(checkout, interpreter(checkout, script)))
    assert "has no venv module" in told
    assert "python3-venv" in told


def test_a_finished_environment_is_left_as_it_is(checkout: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", ".venv"], cwd=checkout, check=True
    )
    program = checkout / ".venv/bin/vedette"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    wanted = subprocess.run(
        ["sh", "-c", f"{{ pwd; cat {' '.join(FILES)}; }} | cksum"],
        cwd=checkout, capture_output=True, check=True,
    )  # fmt: skip
    (checkout / ".venv/.installed-requirements-dev.lock").write_bytes(wanted.stdout)
    done = set_up(checkout)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
