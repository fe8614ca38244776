"""The line to the server: several addresses, tried in turn until one answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import structlog

from vedette.client import HttpTransport
from vedette.client.transport import Body, Endpoint
from vedette.model.errors import Unavailable, VedetteError

T = TypeVar("T")
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 3.0
PATIENCE = 40.0
"""Seconds of silence after which a connection is given up: more than a question may wait."""

_log = structlog.get_logger("vedette.worker")


class Line:
    """Calls that are made again until they are answered. Belongs to one event loop.

    Every call may reach the server more than once, so it must be harmless to repeat.
    """

    def __init__(
        self, addresses: Sequence[str], token: str, *, ca_file: str = "", connections: int = 100
    ) -> None:
        self._ways = [
            HttpTransport(
                address, token, ca_file=ca_file, patience=PATIENCE, connections=connections
            )
            for address in addresses
        ]
        self._at = 0
        self._down = False

    @property
    def address(self) -> str:
        """Where the server is believed to be."""
        return self._ways[self._at].address

    async def call(
        self,
        endpoint: Endpoint[T],
        params: Mapping[str, str],
        query: Mapping[str, Any] | None = None,
        body: Callable[[], Body] = lambda: None,
        *,
        deadline: float | None = None,
        each: float | None = None,
    ) -> T:
        """The answer. `body` is made anew for every attempt.

        Raises Unavailable after `deadline` seconds (None: never), and at once what the server
        refuses. An attempt takes at most `each` seconds.
        """
        pause, until = FIRST_PAUSE, _later(deadline)
        while True:
            at = self._at
            try:
                async with asyncio.timeout(each):
                    answer = await self._ways[at].call(endpoint, params, query, body())
            except (VedetteError, TimeoutError) as error:
                await self._after(at, error, pause, until)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self._up()
                return answer

    async def _after(
        self, at: int, error: VedetteError | TimeoutError, pause: float, until: float
    ) -> None:
        """Wait before another attempt, at the next address; raises what no attempt can mend."""
        if isinstance(error, TimeoutError):
            error = Unavailable(f"the server at {self._ways[at].address} does not answer")
        # An answer that is no problem document comes from a proxy whose server is away.
        if not isinstance(error, Unavailable) and type(error) is not VedetteError:
            raise error
        if not self._down:
            self._down = True
            _log.warning("the server does not answer: trying on", reason=error.message)
        if self._at == at:
            self._at = (at + 1) % len(self._ways)
        wait = pause * random.uniform(0.5, 1.5)  # noqa: S311 - so that hosts do not come all at once
        if asyncio.get_running_loop().time() + wait >= until:
            raise error
        await asyncio.sleep(wait)

    def _up(self) -> None:
        if self._down:
            self._down = False
            _log.info("the server answers again", address=self.address)

    async def receive(
        self, endpoint: Endpoint[bytes], params: Mapping[str, str], query: Mapping[str, Any],
        size: int, take: Callable[[bytes], Awaitable[None]], *, quiet: float,
    ) -> None:  # fmt: skip
        """`size` bytes in pieces, from where they broke off when they did; `take` is given each.

        Raises Unavailable after `quiet` seconds without any.
        """
        done, pause, until = 0, FIRST_PAUSE, _later(quiet)
        while done < size:
            at = self._at
            try:
                from_here = {**query, "offset": done}
                async with self._ways[at].stream(endpoint, params, from_here) as pieces:
                    async for piece in pieces:
                        await take(piece)
                        done += len(piece)
                        pause, until = FIRST_PAUSE, _later(quiet)
                if done < size:
                    raise Unavailable("an answer ended too early")
                self._up()
            except VedetteError as error:
                await self._after(at, error, pause, until)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def close(self) -> None:
        """Close the connections."""
        for way in self._ways:
            await way.close()


def _later(seconds: float | None) -> float:
    return float("inf") if seconds is None else asyncio.get_running_loop().time() + seconds
