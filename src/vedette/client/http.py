"""The way to a server over HTTP and HTTPS, with many calls at a time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from vedette.client.http_calls import (
    Content,
    HttpCalls,
    LostError,
    UnreachedError,
    WireError,
    nobody_at,
    not_an_address,
)
from vedette.model.errors import Invalid

_LOST = (httpx2.ReadError, httpx2.WriteError, httpx2.CloseError, httpx2.RemoteProtocolError)


class HttpTransport(HttpCalls):
    """Calls over HTTP, with connections kept open. Without arguments: as the environment says.

    The environment: VEDETTE_ADDRESS (http://127.0.0.1:7650) and VEDETTE_TOKEN. `ca_file` has the
    certificates to trust instead of the usual ones. `patience` is how many seconds the server may
    be silent (None: for ever, once it is reached).
    """

    def __init__(
        self,
        address: str | None = None,
        token: str | None = None,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        ca_file: str = "",
        patience: float | None = None,
        connections: int = 100,
    ) -> None:
        super().__init__(address, token)
        if not self.address.startswith(("http://", "https://")):
            raise not_an_address(self.address, "it must begin with http:// or https://")
        try:
            self._http = httpx2.AsyncClient(
                base_url=self.address,
                timeout=httpx2.Timeout(patience or 60.0, read=patience, pool=None),
                limits=httpx2.Limits(max_connections=connections, keepalive_expiry=60.0),
                verify=_trusted(ca_file),
                transport=transport,
                trust_env=False,
            )
        except (httpx2.InvalidURL, ValueError) as error:
            raise not_an_address(self.address, error) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @asynccontextmanager
    async def _send(
        self, method: str, target: str, query: dict[str, str], headers: dict[str, str],
        content: Content,
    ) -> AsyncIterator[httpx2.Response]:  # fmt: skip
        try:
            async with self._http.stream(
                method, target, params=query or None, content=content, headers=headers
            ) as response:
                yield response
        except httpx2.ConnectError as error:
            raise UnreachedError(_not_reached(self.address, error)) from error
        except httpx2.TransportError as error:
            kind = LostError if isinstance(error, _LOST) else WireError
            raise kind(str(error) or type(error).__name__) from error


def _not_reached(address: str, error: BaseException) -> str:
    """Why there is no connection, in a line with the way out."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate of the server at {address} is not trusted "
                f"({cause.verify_message}): `vedette worker` takes the file of one with --ca-file"
            )
        if isinstance(cause, ssl.SSLError):
            return f"{address} does not speak TLS ({cause.reason}): try http:// in the address"
        cause = cause.__cause__ or cause.__context__
    return nobody_at(address)


def _trusted(ca_file: str) -> ssl.SSLContext | bool:
    if not ca_file:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise Invalid(f"--ca-file {ca_file}: {error.strerror or error}") from None
