"""The reference says what the program does: every command, operation and kind of error."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from vedette.cli.catalogue import COMMANDS
from vedette.client.operations import ENDPOINTS
from vedette.model.errors import subclasses

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "reference"


def writer() -> ModuleType:
    """The script that writes the reference."""
    spec = importlib.util.spec_from_file_location(
        "write_reference", ROOT / "scripts" / "write_reference.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_heading(name: str) -> None:
    assert f"\n## {name}\n" in (FOLDER / "cli.md").read_text(encoding="utf-8")


def test_every_operation_and_every_kind_of_error_is_in_the_reference() -> None:
    page = (FOLDER / "http.md").read_text(encoding="utf-8")
    for endpoint in ENDPOINTS:
        assert f"| `{endpoint.method}` | `{endpoint.path}` |" in page
    for kind in subclasses():
        assert f"| `{kind}` |" in page


def test_the_reference_is_what_the_program_would_write() -> None:
    made = writer()
    for name, text in (("cli.md", made.cli_page()), ("http.md", made.http_page())):
        written = (FOLDER / name).read_text(encoding="utf-8")
        assert written == text, f"{name} is out of date: run scripts/write_reference.py"
