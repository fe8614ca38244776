"""How much work a warm process should hold: about 100 ms of it (DESIGN 3.12)."""

from __future__ import annotations

import math

HELD_SECONDS = 0.1
MAX_ROOM = 64
_WEIGHT = 0.25


class Pace:
    """Learns how long the datums of each pipeline take, and says how many more to ask for.

    The estimate is an exponential mean with weight 1/4; a pipeline's first datum, which pays for
    imports and models, counts only until there is a second.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._seen: dict[str, int] = {}
        self._typical = HELD_SECONDS

    def learn(self, code: str, seconds: float) -> None:
        """Take in one datum's time."""
        count = self._seen[code] = self._seen.get(code, 0) + 1
        known = self._seconds.get(code, seconds)
        self._seconds[code] = seconds if count <= 2 else known + (seconds - known) * _WEIGHT
        self._typical += (self._seconds[code] - self._typical) * (_WEIGHT if count > 2 else 1.0)

    def room(self, held: list[str]) -> int:
        """How many datums to ask for when those of these pipelines are held; 0 for none yet.

        Nothing is asked for while more than half of the 100 ms is at hand, so that one request
        brings several; but one is always asked for beside the one that runs, so that it is there
        when that one ends. (The server gives none to who holds 100 ms of work.)
        """
        waiting = sum(self._seconds.get(code, self._typical) for code in held)
        if len(held) > 1 and waiting > HELD_SECONDS / 2:
            return 0
        if len(held) >= MAX_ROOM // 2:
            return 0
        each = max(self._typical, HELD_SECONDS / MAX_ROOM)
        return max(1, min(MAX_ROOM - len(held), math.ceil((HELD_SECONDS - waiting) / each)))
