"""Every example in the docs is a command that exists, with the options that it takes."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from vedette.cli.program import program
from vedette_cameras import settings

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/howto").glob("*.md")),
    *sorted((ROOT / "docs/operations").glob("*.md")),
]
OPERATORS = re.compile(r"\s(?:\||>|<|&)(?:\s|$).*")


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[list[str]]:
    """The words of every call of the program, in any block that is typed into a shell."""
    found = []
    for block in blocks(page, "(?:sh|console)") if page.suffix == ".md" else []:
        for line in block.replace("\\\n", " ").splitlines():
            typed = OPERATORS.sub("", line.removeprefix("$ ").strip())
            typed = re.sub(r"^[A-Z_a-z]+=(?:\$\()?(?=vedette)", "", typed).rstrip(")")
            if typed.startswith(("vedette ", "pachctl ")):
                found.append(shlex.split(typed, comments=True)[1:])
    return found


def parse(words: list[str]) -> None:
    """Let click read the words without running anything."""
    context = program.make_context("vedette", list(words))
    command: click.Command = program
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        context = found.make_context(name, rest, parent=context)
        command = found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_in_the_docs_can_be_typed(page: Path) -> None:
    for words in commands(page):
        try:
            parse(words)
        except click.ClickException as error:
            pytest.fail(f"{page.name}: vedette {shlex.join(words)}: {error.format_message()}")


def test_the_docs_have_commands_to_check() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_settings_file_in_the_docs_can_be_read(page: Path, tmp_path: Path) -> None:
    for text in blocks(page, "toml"):
        values = tomllib.loads(text)
        if "runtime" in str(values):
            continue
        (tmp_path / settings.FILE).write_text(text)
        settings.load(tmp_path, None, {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_in_the_docs_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_example_of_a_tested_pipeline_passes() -> None:
    (code,) = blocks(ROOT / "docs/howto/test-a-pipeline.md", "python")
    names: dict[str, Any] = {}
    exec(code, names)
    names["test_edges_skips_what_it_has_done"]()
