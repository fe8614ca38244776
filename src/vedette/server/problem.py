"""Errors as RFC 9457 problem details."""

from __future__ import annotations

from typing import Any

import msgspec

from vedette.model.errors import TooLarge, Unauthorized, VedetteError

MEDIA = b"application/problem+json"


def body(error: VedetteError) -> bytes:
    """The problem document of an error."""
    title = (type(error).__doc__ or error.kind).strip().splitlines()[0]
    document: dict[str, Any] = dict(error.fields)
    document |= {
        "type": "about:blank",
        "title": title,
        "status": error.status,
        "detail": error.message,
        "kind": error.kind,
    }
    return msgspec.json.encode(document)


def headers(error: VedetteError, size: int) -> list[tuple[bytes, bytes]]:
    """The headers that go with it."""
    found = [(b"content-type", MEDIA), (b"content-length", str(size).encode())]
    if isinstance(error, Unauthorized):
        # Browsers then ask for a name and a password: any name, the token as password.
        found.append((b"www-authenticate", b'Basic realm="Vedette: a token as password"'))
    if "retry_after" in error.fields:
        found.append((b"retry-after", str(error.fields["retry_after"]).encode()))
    if isinstance(error, TooLarge):
        # What is left of the body is not worth reading.
        found.append((b"connection", b"close"))
    return found


async def send(to: Any, error: VedetteError) -> None:
    """Answer a request with an error."""
    content = body(error)
    await to(
        {
            "type": "http.response.start",
            "status": error.status,
            "headers": headers(error, len(content)),
        }
    )
    await to({"type": "http.response.body", "body": content})
