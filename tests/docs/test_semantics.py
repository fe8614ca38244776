"""Every promise of the engine is cited by a test, and tests cite no promise that is not written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs/reference/semantics.md"
CITED = re.compile(r"\b([PGDTSURMCK])(\d{1,2})\b")
NAMED = re.compile(r"def test_([pgdtsurmck])(\d{1,2})_")
PROMISES = re.findall(r"^- \*\*([A-Z]\d+)\*\*", PAGE.read_text(), re.MULTILINE)


def cited() -> dict[str, set[str]]:
    """Where each number is cited, by number; `D1 to D5` names only its ends."""
    found: dict[str, set[str]] = {}
    for file in (ROOT / "tests").rglob("test_*.py"):
        if file == Path(__file__):
            continue
        text = file.read_text()
        for letter, number in CITED.findall(text) + NAMED.findall(text):
            found.setdefault(f"{letter.upper()}{number}", set()).add(file.name)
    return found


def test_promises_are_numbered_without_gaps() -> None:
    for letter in "PGDTSURMCK":
        numbers = [int(name[1:]) for name in PROMISES if name[0] == letter]
        assert numbers == list(range(1, len(numbers) + 1)), letter


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_is_cited_by_a_test(promise: str) -> None:
    assert cited().get(promise), f"no test cites {promise}"


def test_tests_cite_no_promise_that_is_not_written() -> None:
    unknown = {
        name: files
        for name, files in cited().items()
        if name not in PROMISES and name[0] in "PDSURMC" and len(name) == 2
    }
    assert not unknown
