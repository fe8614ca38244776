"""The closing figures: what became of every picture that this run played."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from vedette.model.errors import Invalid

STATES = ("invalid", "clean", "suppressed", "alerted", "failed", "in_flight")


class Counts(Struct, frozen=True, kw_only=True):
    """How many pictures, by what became of them. `received` is the sum of all others."""

    received: int = 0
    invalid: int = 0
    clean: int = 0
    suppressed: int = 0
    alerted: int = 0
    failed: int = 0
    in_flight: int = 0

    def __sub__(self, other: Counts) -> Counts:
        return self._each(other, -1)

    def __add__(self, other: Counts) -> Counts:
        return self._each(other, 1)

    def _each(self, other: Counts, sign: int) -> Counts:
        names = ("received", *STATES)
        return Counts(**{n: getattr(self, n) + sign * getattr(other, n) for n in names})


class Alert(Struct, frozen=True, kw_only=True):
    """A picture with a threat, by its highest-scoring one. `number` orders alerts."""

    number: int
    device: str
    captured_at: str | None
    label: str
    score: float
    image: str
    model: str
    rules: str


def closing(
    counts: Counts, alerts: Sequence[Alert], played: Collection[str], seconds: float
) -> dict[str, Any]:
    """The figures as `JSON=file` holds them."""
    figures: Mapping[str, int] = msgspec.structs.asdict(counts)
    entries = [msgspec.structs.asdict(alert) for alert in alerts if alert.image in played]
    for entry in entries:
        del entry["number"]
    return {**figures, "alerts": entries, "seconds": round(seconds, 3)}


def check_writable(path: Path) -> None:
    """Raise `Invalid` now rather than after the play when the figures could not be written."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise Invalid(f"JSON={path}: name a file in a folder that is there")


def write(path: Path, figures: Mapping[str, Any]) -> None:
    """Write the figures, whole or not at all."""
    scratch = path.with_name(f".{path.name}.part")
    scratch.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
    scratch.replace(path)
