"""Peers to measure beside: each one pinned, from the package index into a virtual environment of
its own, kept between runs. One that cannot be installed is told of and left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from measure import Report

PEERS = {
    "dvc": "dvc==3.67.1",
    "snakemake": "snakemake==9.27.1",
    "luigi": "luigi==3.8.1",
    "dagster": "dagster==1.13.29",
    "redun": "redun==0.44.1",
}
INSTALL_LIMIT = 900.0


def installed(name: str, folder: Path, report: Report) -> Path | None:
    """The folder of a peer's programs, installed there if it was not yet; None if that fails."""
    environment = (folder / name).resolve()
    done = environment / ".installed"
    if done.is_file() and done.read_text() == PEERS[name]:
        return environment / "bin"
    report.say(f"  installing {PEERS[name]} ...")
    shutil.rmtree(environment, ignore_errors=True)
    environment.parent.mkdir(parents=True, exist_ok=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    try:
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        subprocess.run(
            [*pip, "--disable-pip-version-check", "--prefer-binary", PEERS[name]],
            check=True, timeout=INSTALL_LIMIT, capture_output=True, text=True,
        )  # fmt: skip
    except (subprocess.SubprocessError, OSError) as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        report.say(f"  {name} is left out, it could not be installed: {said[-1] if said else ''}")
        return None
    done.write_text(PEERS[name])
    return environment / "bin"


def present(name: str, report: Report) -> bool:
    """Whether a program of the system is there to measure beside."""
    found = shutil.which(name) is not None
    if not found:
        report.say(f"  {name} is left out: it is not on this machine")
    return found


def clean_environment(home: Path, programs: Path | None = None) -> dict[str, str]:
    """What a peer runs with: a home folder of its own, no settings of a user, no reporting."""
    path = os.environ.get("PATH", os.defpath)
    return {
        "PATH": path if programs is None else f"{programs}{os.pathsep}{path}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "bench", "GIT_AUTHOR_EMAIL": "bench@localhost",
        "GIT_COMMITTER_NAME": "bench", "GIT_COMMITTER_EMAIL": "bench@localhost",
        "DVC_NO_ANALYTICS": "1",
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DAGSTER_HOME": str(home),
        "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
