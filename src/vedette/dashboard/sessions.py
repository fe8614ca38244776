"""Signing in: a token is shown once, and a signed cookie stands for it from then on.

The cookie holds the hash of the token, as the server keeps it, and is signed with a key of this
installation: who reads it learns no token, who alters it is refused, and revoking the token ends
it. Off loopback only: on loopback nobody needs to sign in.
"""

from __future__ import annotations

import os
import secrets
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from vedette.model.errors import TooLarge, Unauthorized

COOKIE = "vedette_session"
LASTS_SECONDS = 30 * 24 * 3600
_FORM_BYTES = 8192
_SALT = "vedette 2026-11 session"


class Tokens(Protocol):
    """What is asked of the server's tokens."""

    def scope_of(self, token: str) -> str | None:
        """What a token allows; None if it is not known or revoked."""

    def digest_of(self, token: str) -> bytes:
        """The hash by which the server knows a token."""


class Sessions:
    """Makes and reads the cookies of those who have signed in."""

    def __init__(self, key: bytes, tokens: Tokens) -> None:
        self._tokens = tokens
        self._signer = URLSafeTimedSerializer(key, salt=_SALT)

    def seal(self, token: str) -> str:
        """The value of a cookie for a token; raises Unauthorized for one that opens no page."""
        if self._tokens.scope_of(token) != "admin":
            raise Unauthorized("this token does not open the dashboard: use one of scope admin")
        return str(self._signer.dumps(self._tokens.digest_of(token).hex()))

    def digest_in(self, cookies: str) -> bytes | None:
        """The hash of the token that a `Cookie` header stands for, if it is one of ours."""
        try:
            morsel = SimpleCookie(cookies).get(COOKIE)
            value = self._signer.loads(morsel.value if morsel else "", max_age=LASTS_SECONDS)
            return bytes.fromhex(value)
        except (BadSignature, CookieError, ValueError, TypeError):
            return None


def session_key(data: Path) -> bytes:
    """The key that signs cookies, made with the first start and kept in the data folder."""
    path = data / "session.key"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_bytes()
        if len(key) == 32:
            return key
        # Half written when the power failed: nobody has signed in with it.
        path.unlink()
        return session_key(data)
    with os.fdopen(handle, "wb") as file:
        key = secrets.token_bytes(32)
        file.write(key)
    return key


async def signed_in(request: Request, sessions: Sessions) -> Response:
    """The answer to a filled-in form: to the page that was wanted, with the cookie."""
    form = await _form(request)
    value = sessions.seal(form.get("token", "").strip())
    answer = RedirectResponse(safe_target(form.get("next", "")), 303)
    answer.set_cookie(
        COOKIE,
        value,
        max_age=LASTS_SECONDS,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer


def signed_out() -> Response:
    """To the form, without the cookie."""
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE)
    return answer


def safe_target(text: str) -> str:
    """An address on this server, whatever was asked for.

    >>> safe_target("//elsewhere.example/"), safe_target("/jobs?pipeline=judge")
    ('/', '/jobs?pipeline=judge')
    """
    ours = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if ours else "/"


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_BYTES:
            raise TooLarge(f"the form has more than {_FORM_BYTES} bytes")
    fields = parse_qs(body.decode("latin-1"), max_num_fields=10)
    return {name: values[0] for name, values in fields.items()}
