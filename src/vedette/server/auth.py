"""Who may ask: tokens off loopback, and no foreign web page on it.

On loopback no token is needed, so that one machine works without ado. But any web page may make a
browser there send requests: those are told by their Origin, and a page that had its own host name
point to 127.0.0.1 (DNS rebinding) by its Host. Both are refused.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import quote

from starlette.types import ASGIApp, Receive, Scope, Send

from vedette.model.errors import Forbidden, Unauthorized, VedetteError
from vedette.server import problem
from vedette.server.api import raw_path_of
from vedette.server.call import ADMIN, WORKER
from vedette.server.keyring import Tokens

OPEN_PATHS = ("/v1/version", "/v1/health")
# Who is to sign in needs the form and what it is drawn with. Nothing there tells of the data.
ENTRANCE = ("/login", "/static/")
NOBODY = "nobody"
WORKPLACES = ("/v1/workers", "/v1/objects/")


class Sessions(Protocol):
    """Knows the cookies of those who have signed in on a page."""

    def digest_in(self, cookies: str) -> bytes | None:
        """The hash of the token that a `Cookie` header stands for, if it is a session's."""


class Gate:
    """Lets requests through to `app`, each with what its token allows in `vedette.scope`."""

    def __init__(
        self, app: ASGIApp, tokens: Tokens, *, loopback: bool, sessions: Sessions | None = None
    ) -> None:
        self.app = app
        self.tokens = tokens
        self.loopback = loopback
        self.sessions = sessions
        self._lookups = ThreadPoolExecutor(8, thread_name_prefix="tokens")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            return
        try:
            scope["vedette.scope"] = await self._admitted(scope)
        except VedetteError as error:
            if self.sessions is not None and isinstance(error, Unauthorized) and _is_page(scope):
                await _send_to_form(scope, send)
            else:
                await problem.send(send, error)
            return
        await self.app(scope, receive, send)

    async def _admitted(self, scope: Scope) -> str:
        if self.tokens.remember:
            return self.admit(scope)
        # Looked up each time, in a database that may be away: nobody else is to wait for that.
        here = asyncio.get_running_loop()
        return await here.run_in_executor(self._lookups, self.admit, scope)

    def admit(self, scope: Scope) -> str:
        """The scope of the caller. Raises Unauthorized or Forbidden."""
        host = origin = authorization = b""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value
            elif name == b"authorization":
                authorization = value
        if origin and origin.partition(b"://")[2] != host:
            raise Forbidden(f"a page of {origin.decode('latin-1')} may not ask this server")
        client = scope.get("client")
        near = self.loopback and client is not None and is_loopback(client[0])
        if near and not is_loopback(_name_of(host.decode("latin-1"))):
            raise Forbidden(
                f"host {host.decode('latin-1')!r} is not this machine: use 127.0.0.1 or localhost"
            )
        token = _token_of(authorization)
        if token is None:
            if near or raw_path_of(scope) in OPEN_PATHS:
                return ADMIN
            if (allowed := self._session(scope, origin)) is not None:
                return allowed
            if self.sessions is not None and raw_path_of(scope).startswith(ENTRANCE):
                return NOBODY
            raise Unauthorized(
                "a token is needed: pass one with --token or VEDETTE_TOKEN "
                "(the first is in the file admin.token in the server's data folder; "
                "`vedette create-token` makes others)"
            )
        allowed = self.tokens.scope_of(token)
        if allowed is None:
            raise Unauthorized("the token is not known here, or has been revoked")
        _check_place(allowed, raw_path_of(scope))
        return allowed

    def _session(self, scope: Scope, origin: bytes) -> str | None:
        """What the cookie of the request allows; it alone never lets another page change things."""
        if self.sessions is None or not (origin or scope["method"] in ("GET", "HEAD")):
            return None
        cookies = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
        digest = self.sessions.digest_in(cookies.decode("latin-1")) if cookies else None
        allowed = self.tokens.scope_of_digest(digest) if digest else None
        if allowed is not None:
            scope["vedette.session"] = True
        return allowed


def _is_page(scope: Scope) -> bool:
    """Whether a person's browser asks for something to show."""
    wanted = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    return scope["method"] == "GET" and b"text/html" in wanted


async def _send_to_form(scope: Scope, send: Send) -> None:
    path = raw_path_of(scope)
    query = scope["query_string"].decode("latin-1")
    wanted = quote(f"{path}?{query}" if query else path, safe="/")
    location = f"/login?next={wanted}".encode("latin-1")
    headers = [(b"location", location), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _name_of(host: str) -> str:
    """The host without its port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _check_place(allowed: str, path: str) -> None:
    kind, _, device = allowed.partition(":")
    if kind == WORKER and path not in OPEN_PATHS and not path.startswith(WORKPLACES):
        raise Forbidden(f"this token is for workers only: it may not ask {path}")
    if kind == "device" and not path.startswith(f"/v1/devices/{device}/"):
        raise Forbidden(f"this token is for device {device!r} only: it may not ask {path}")


def _token_of(authorization: bytes) -> str | None:
    if not authorization:
        return None
    sort, _, rest = authorization.decode("latin-1").partition(" ")
    if sort.lower() == "bearer":
        return rest.strip()
    if sort.lower() == "basic":
        try:
            pair = base64.b64decode(rest, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return ""
        return pair.partition(":")[2]
    return ""
