"""Who may ask: tokens off loopback, and no foreign web page on it.

On loopback no token is needed, so that one machine works without ado. But any web page may make a
browser there send requests: those are told by their Origin, and a page that had its own host name
point to 127.0.0.1 (DNS rebinding) by its Host. Both are refused.
"""

from __future__ import annotations

import base64
import binascii
from ipaddress import ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from vedette.model.errors import Forbidden, Unauthorized, VedetteError
from vedette.server import problem
from vedette.server.api import raw_path_of
from vedette.server.call import ADMIN
from vedette.server.keyring import Tokens

OPEN_PATHS = ("/v1/version", "/v1/health")


class Gate:
    """Lets requests through to `app`, each with what its token allows in `vedette.scope`."""

    def __init__(self, app: ASGIApp, tokens: Tokens, *, loopback: bool) -> None:
        self.app = app
        self.tokens = tokens
        self.loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            return
        try:
            scope["vedette.scope"] = self.admit(scope)
        except VedetteError as error:
            await problem.send(send, error)
            return
        await self.app(scope, receive, send)

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
            raise Unauthorized(
                "a token is needed: pass one with --token or VEDETTE_TOKEN "
                "(`vedette token create` on the server's machine makes one)"
            )
        allowed = self.tokens.scope_of(token)
        if allowed is None:
            raise Unauthorized("the token is not known here, or has been revoked")
        _check_device(allowed, raw_path_of(scope))
        return allowed


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


def _check_device(allowed: str, path: str) -> None:
    kind, _, device = allowed.partition(":")
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
