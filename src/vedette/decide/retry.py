"""When to try again what could not start (ENGINE C3)."""

from __future__ import annotations

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0


def backoff(
    failures: int,
    *,
    first: float = FIRST_SECONDS,
    longest: float = LONGEST_SECONDS,
    spread: float = 0.0,
) -> float:
    """Seconds to wait after so many failures in a row: doubled each time, up to `longest`.

    No failure, no wait. `spread` from 0 to 1 takes away up to half of the wait, so that many that
    failed together do not come back together; the caller draws it.
    """
    if failures <= 0:
        return 0.0
    # 2.0 ** 1024 overflows, and long before that the cap holds
    wait = min(first * 2.0 ** min(failures - 1, 64), longest)
    return wait * (1.0 - min(max(spread, 0.0), 1.0) / 2)
