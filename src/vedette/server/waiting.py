"""Waiting for a state of affairs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from vedette.model.errors import Invalid, Unavailable
from vedette.server.site import Site

T = TypeVar("T")
# Under load a round ends every few milliseconds: looking at each would cost more than it tells.
# Who waits for something quick is told at once, who waits long is told a little later. The event
# loop sleeps for a whole number of milliseconds: where there is to be no pause it must not sleep.
_PAUSES = (0.0, 0.001, 0.002, 0.004, 0.008, 0.016, 0.02)
_LONGEST = 1.0


async def waited(site: Site, look: Callable[[], Awaitable[T | None]], timeout: float) -> T | None:
    """What `look` finds as soon as it is not None; None after `timeout` seconds.

    It looks after each round of the scheduler, and once a second besides.
    """
    if not 0 <= timeout <= site.limits.wait_seconds:
        raise Invalid(f"timeout {timeout}: use 0 to {site.limits.wait_seconds:g} seconds")
    clock = asyncio.get_running_loop()
    end = clock.time() + timeout
    pauses = iter(_PAUSES)
    with site.hub.listening() as listener:
        while True:
            found = await look()
            if found is not None:
                return found
            left = end - clock.time()
            if site.hub.stopping:
                raise Unavailable("the server is stopping: ask again when it is back")
            if left <= 0:
                return None
            await listener.next(min(left, _LONGEST))
            if pause := next(pauses, _PAUSES[-1]):
                await asyncio.sleep(min(pause, left))
