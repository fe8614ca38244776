"""Commands as they are typed, in the process of the test: quicker than a process for each."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from vedette.cli.main import outcome


class Said:
    """What a command wrote, and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.split("\n") if line]

    def rows(self) -> list[list[str]]:
        return [line.split() for line in self.out.splitlines()]


Run = Callable[..., Said]


def typing(address: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line against a server. `code` is how it must end, if it is given."""
    monkeypatch.setenv("VEDETTE_ADDRESS", address)

    def said(*words: str, stdin: bytes = b"", code: int | None = None) -> Said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        found = outcome(list(words))
        sys.stdout.flush()
        captured = capfd.readouterr()
        assert code in (None, found), captured.err
        return Said(found, captured.out, captured.err)

    return said
