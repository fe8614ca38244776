"""The HTTP server: a socket, the gate, the API, and the pages of those who joined."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator, Sequence

import msgspec
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vedette.client.operations import ENDPOINTS
from vedette.model.errors import Conflict, Invalid, NotFound
from vedette.server import openapi, routes
from vedette.server.api import Api
from vedette.server.auth import Gate, Sessions, is_loopback
from vedette.server.site import Site

GRACE_SECONDS = 3
HEAD_BYTES = 64 << 10


def application(
    site: Site,
    others: Sequence[BaseRoute],
    *,
    loopback: bool,
    sessions: Sessions | None = None,
) -> ASGIApp:
    """Everything that answers requests. `others` come after the API's own operations."""

    async def description(_: Request) -> Response:
        return Response(_description(site.version), media_type="application/json")

    router = Router([Route("/openapi.json", description), *others], default=_nothing)
    api = Api(site, routes.table(), router)
    return Gate(api, site.tokens, loopback=loopback, sessions=sessions)


def _description(version: str) -> bytes:
    return msgspec.json.encode(openapi.document(ENDPOINTS, version))


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise NotFound(f"there is nothing at {scope['path']}: see /openapi.json")


def bound(host: str, port: int) -> socket.socket:
    """A listening socket. Raises Conflict when the port is taken, Invalid for a wrong host."""
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise Invalid(f"cannot listen at {host}: {error.strerror or error}") from None
    # Named, for asyncio sends at once (TCP_NODELAY) only where the protocol is.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(place)
        found.listen(2048)
    except OSError as error:
        found.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"port {port} on {host} is in use: choose another with --listen {host}:PORT"
            ) from None
        raise Invalid(f"cannot listen at {host}:{port}: {error.strerror or error}") from None
    found.setblocking(False)
    return found


def address_of(listening: socket.socket) -> str:
    """The address at which a socket can be asked."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104  every address: this machine's own is one of them
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_near(listening: socket.socket) -> bool:
    """Whether only this machine can reach a socket."""
    return is_loopback(listening.getsockname()[0])


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose requests have at most HEAD_BYTES before their bodies.

    The parser itself would gather an endless header for as long as somebody sends it.
    """

    _head = 0
    _in_head = True

    def data_received(self, data: bytes) -> None:
        """Take bytes in; hang up on a head that does not end."""
        if self._in_head:
            self._head += len(data)
        super().data_received(data)
        if self._in_head and self._head > HEAD_BYTES:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """What follows is a body, which has limits of its own."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next request begins."""
        self._in_head, self._head = True, 0
        super().on_message_complete()


class HttpServer(uvicorn.Server):
    """Uvicorn without its own signal handling: who runs it decides when it ends."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                # Else a call may have the context of the one before it on its connection.
                reset_contextvars=True,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield
