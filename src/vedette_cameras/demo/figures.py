"""The closing figures: what became of every picture that this run played."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from vedette.model.errors import Invalid
from vedette_cameras.alert.record import Alert
from vedette_cameras.counts.tally import Summary

STATES = ("invalid", "clean", "suppressed", "alerted", "failed", "in_flight")
_ENTRY = ("device", "captured_at", "label", "score", "image", "model", "rules")
NONE = Summary(
    received=0, invalid=0, clean=0, suppressed=0, alerted=0, failed=0, in_flight=0
)  # fmt: skip


def taken_off(counts: Summary, other: Summary) -> Summary:
    """`counts` less `other`, state by state."""
    names = Summary.__struct_fields__
    return Summary(**{name: getattr(counts, name) - getattr(other, name) for name in names})


def together(counts: Summary, other: Summary) -> Summary:
    """The sum of both, state by state."""
    return taken_off(counts, taken_off(NONE, other))


def added(counts: Summary, outcome: str) -> Summary:
    """`counts` with one more picture in this state."""
    one = {"received": 1, outcome: 1}
    return together(counts, msgspec.structs.replace(NONE, **one))


def closing(
    counts: Summary, alerts: Sequence[Alert], played: Collection[str], seconds: float
) -> dict[str, Any]:
    """The figures as `JSON=file` holds them."""
    figures: Mapping[str, int] = msgspec.structs.asdict(counts)
    entries = [
        {name: getattr(alert, name) for name in _ENTRY} for alert in alerts if alert.image in played
    ]
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
