"""The tour and the how-tos with console blocks run as they are written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vedette.wiring import running_server

ROOT = Path(__file__).resolve().parent.parent.parent


def steps(text: str) -> list[tuple[str, str]]:
    """The commands of a text's console blocks, each with what it is to print."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, wanted = part.partition("\n")
            found.append((command, wanted))
    return found


def matches(wanted: str, printed: str) -> bool:
    """Whether all is there in order; `...` stands for anything, and blanks are all alike."""
    pieces = [" ".join(piece.split()) for piece in wanted.split("...")]
    pattern = ".*".join(re.escape(piece) for piece in pieces)
    return re.fullmatch(pattern, " ".join(printed.split()), re.DOTALL) is not None


def specs(text: str) -> dict[str, str]:
    """The pipeline specs of a text's JSON blocks, by the name of their files."""
    found = re.findall(r"^```json\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return {f"{json.loads(spec)['pipeline']['name']}.json": spec for spec in found}


@pytest.mark.parametrize(("page", "least"), [("tour.md", 15), ("howto/inputs.md", 12)])
def test_a_page_prints_what_it_says(page: str, least: int, tmp_path: Path) -> None:
    text = (ROOT / "docs" / page).read_text()
    commands = steps(text)
    assert len(commands) > least
    for name, spec in specs(text).items():
        (tmp_path / name).write_text(spec)
    # `python` and `vedette` are those of this environment, wherever the tests are run from.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with running_server(tmp_path / "data") as address:
        environment = {**os.environ, "PATH": path, "VEDETTE_ADDRESS": address, "COLUMNS": "200"}
        for command, wanted in commands:
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
            assert matches(wanted, done.stdout), (
                f"$ {command}\nprinted:\n{done.stdout}\nthe page says:\n{wanted}"
            )
