"""A server that follows: it passes what it is asked on to the one that leads.

Only `/v1/health` it answers itself. While nobody leads, requests that nobody has seen yet wait a
few seconds for the next leader; after that, and where a leader went away in the middle, they are
answered 503. `Retry-After` is there when nothing can have been done, or a key makes sending it
again safe.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

import httpx2
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vedette.model.api import Health
from vedette.model.errors import Unavailable, VedetteError
from vedette.server import problem
from vedette.server.api import HungUpError, first_end, raw_path_of, send_value
from vedette.server.idempotency import KEY

PATIENCE_SECONDS = 8.0
_LOOK_SECONDS = 0.2
_PASSED = b"x-vedette-passed-on"
_HOP = {
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
    b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
}  # fmt: skip
_GONE = "the leading server went away during the request"
_SAFE = {"GET", "HEAD", "OPTIONS"}
_log = structlog.get_logger("vedette.server")


class NotSentError(Exception):
    """The leader has not seen the request."""


class Switch:
    """Serves by the leader's application while there is one in this process, else by another."""

    def __init__(self, other: ASGIApp) -> None:
        self.other = other
        self.own: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request by what there is now."""
        await (self.own or self.other)(scope, receive, send)


class Relay:
    """Passes requests on to the leader, once `turn_to` has said where it is."""

    def __init__(self, limit: int = 1000) -> None:
        self.target = ""
        self.own: ASGIApp | None = None
        self._turned = asyncio.Event()
        self._http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(60.0, connect=2.0, read=None),
            limits=httpx2.Limits(max_connections=limit, max_keepalive_connections=64),
            trust_env=False,
            follow_redirects=False,
        )

    def turn_to(self, target: str, own: ASGIApp | None = None) -> None:
        """Another address leads, or the application `own`; neither: nobody.

        Who waits for the one before is let go.
        """
        if (target, own) != (self.target, self.own):
            self.target, self.own = target, own
            self._turned.set()
            self._turned = asyncio.Event()

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        begun = _Begun(send)
        try:
            if raw_path_of(scope) == "/v1/health":
                health = Health(role="follower", leader=self.target)
                await send_value(send, health, dict(scope["headers"]).get(b"accept", b""))
            else:
                await self._pass_on(scope, receive, begun)
        except HungUpError:
            return
        except VedetteError as error:
            if begun.started:
                _log.warning("an answer broke off", reason=error.message)
                raise
            await problem.send(send, error)

    async def _pass_on(self, scope: Scope, receive: Receive, send: _Begun) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name not in _HOP]
        if any(name == _PASSED for name, _ in headers):
            raise Unavailable("the leader is changing: try again", retry_after=1)
        headers.append((_PASSED, b"1"))
        body = _Body(scope, receive)
        clock = asyncio.get_running_loop()
        limit = clock.time() + PATIENCE_SECONDS
        while clock.time() < limit:
            if self.own is not None:
                await self.own(scope, receive, send)
                return
            if self.target:
                asking = asyncio.ensure_future(self._ask(scope, headers, body, send))
                try:
                    await self._unless_turned(asking, send, body)
                except NotSentError:
                    if body.taken:
                        break
                else:
                    return
            await self._pause()
        raise Unavailable("no server leads at the moment: try again", retry_after=1)

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._turned.wait()

    async def _unless_turned(self, asking: asyncio.Future[None], send: _Begun, body: _Body) -> None:
        """The end of a request; broken off when another leads before the answer has begun.

        A leader that was paused or cut off may never answer.
        """
        turned = asyncio.ensure_future(self._turned.wait())
        try:
            both: list[asyncio.Future[Any]] = [asking, turned]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done() and send.started:
                await asyncio.wait([asking])
            if not asking.done():
                asking.cancel()
        finally:
            turned.cancel()
            if not asking.done():
                asking.cancel()
            await asyncio.gather(asking, turned, return_exceptions=True)
        if asking.cancelled():
            raise body.open()
        asking.result()

    async def _ask(
        self, scope: Scope, headers: list[tuple[bytes, bytes]], body: _Body, send: _Begun
    ) -> None:
        method = scope["method"]
        query = scope["query_string"].decode("latin-1")
        url = f"{self.target}{raw_path_of(scope)}{'?' + query if query else ''}"
        content = body.chunks() if body.expected else None
        try:
            async with self._http.stream(method, url, headers=headers, content=content) as response:
                await _answer(response, send, body)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise NotSentError from error
        except httpx2.TransportError as error:
            if send.started:
                raise Unavailable(f"the leader went away: {type(error).__name__}") from error
            if method in _SAFE and not body.taken:
                raise NotSentError from error
            raise body.open() from error


class _Begun:
    """The way back to the caller, which knows whether the answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: Message) -> None:
        self.started = True
        await self._send(message)


class _Body:
    """The body of a request, passed on as it comes. `taken`: some of it cannot be had again."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        named = {name for name, _ in scope["headers"]}
        self._key = KEY in named
        self.expected = b"content-length" in named or b"transfer-encoding" in named
        self.taken = False
        self.whole = not self.expected

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its pieces. Raises HungUpError."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise HungUpError
            self.taken = True
            self.whole = not message.get("more_body")
            if chunk := message.get("body"):
                yield chunk
            if self.whole:
                return

    def open(self) -> Unavailable:
        """It may have been done. A key makes it safe to be sent again."""
        if self._key:
            return Unavailable(f"{_GONE}: send it again with the same key", retry_after=1)
        return Unavailable(f"{_GONE}: see whether it was done")

    async def hung_up(self) -> None:
        """Return when the caller is gone. Only once the body has been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _answer(response: httpx2.Response, send: _Begun, body: _Body) -> None:
    """Pass the leader's answer back, until it ends or the caller hangs up."""

    async def pump() -> None:
        headers = [(n.lower(), v) for n, v in response.headers.raw if n.lower() not in _HOP]
        status = response.status_code
        await send({"type": "http.response.start", "status": status, "headers": headers})
        async with aclosing(response.aiter_raw()) as chunks:
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    if not body.whole:
        await pump()
        return
    await first_end(pump(), body.hung_up())
