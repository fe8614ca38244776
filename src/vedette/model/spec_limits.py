"""The bounds that a spec sets: memory and processors, and how much a worker claims at once."""

from __future__ import annotations

from typing import Any

from vedette.model.pipeline import DatumSet, Limits
from vedette.model.spec_read import Reading

LEAST_MEMORY = 4 * 1024 * 1024
"""Bytes below which not even a shell starts."""


def check_limits(reading: Reading, words: dict[str, Any]) -> None:
    """Note limits under which nothing could run."""
    given = words.get("resource_limits", {})
    if "memory" in given and given["memory"] < LEAST_MEMORY:
        reading.fault(
            "resource_limits.memory",
            f"{given['memory']} bytes are too few: at least 4Mi are needed",
        )
    if "cpu" in given and given["cpu"] < 0.01:
        reading.fault("resource_limits.cpu", f"{given['cpu']:g} is too little: at least 10m")


def limits(words: dict[str, Any]) -> Limits:
    """What user code may use at most."""
    given = words.get("resource_limits", {})
    return Limits(memory=given.get("memory", 0), cpu=given.get("cpu", 0.0))


def datum_set(words: dict[str, Any]) -> DatumSet | None:
    """How much of a job a worker holds at once; None when the spec does not say."""
    given = words.get("datum_set_spec") or words.get("chunk_spec") or {}
    return DatumSet(**given) if any(given.values()) else None
