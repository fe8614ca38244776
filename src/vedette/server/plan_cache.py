"""Plans that were told a moment ago, so that who then acts does not wait for them again."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import msgspec

ROOM = 64
FRESH = 60.0
"""Seconds that a plan is good for."""


class PlanCache:
    """What was told of an act, by all that was given for it; each is taken once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._plans: dict[bytes, tuple[float, str]] = {}

    def keep(self, act: Any, plan: str) -> str:
        """Remember a plan; the oldest is forgotten where there are too many. Returns the plan."""
        name = _name(act)
        self._plans.pop(name, None)
        while len(self._plans) >= ROOM:
            del self._plans[next(iter(self._plans))]
        self._plans[name] = (self._clock(), plan)
        return plan

    def take(self, act: Any) -> str:
        """The plan that was told of this act within the last minute; empty if there is none."""
        at, plan = self._plans.pop(_name(act), (0.0, ""))
        return plan if self._clock() - at < FRESH else ""


def _name(act: Any) -> bytes:
    """Specs may hold secrets: what is kept of them tells nothing."""
    return blake2b(msgspec.json.encode(act, order="deterministic"), digest_size=32).digest()
