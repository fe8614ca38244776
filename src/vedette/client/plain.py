"""The way to a server for a program that asks a few things and ends: it is there at once.

Every call blocks its thread, so nothing else runs meanwhile, and no event loop is needed: what
awaits only this never pauses.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import SplitResult, urlencode, urlsplit

from vedette.client.http_calls import (
    Answer,
    Content,
    HttpCalls,
    LostError,
    UnreachedError,
    default_address,
    nobody_at,
    not_an_address,
)
from vedette.client.plain_http import Connection


class PlainTransport(HttpCalls):
    """Calls over HTTP without TLS, one after the other; otherwise as with `HttpTransport`."""

    def __init__(self, address: str | None = None, token: str | None = None) -> None:
        super().__init__(address, token)
        where = _plain(self.address)
        if where is None:
            raise not_an_address(self.address, "it must begin with http:// and name a host")
        self._host, self._port = where.hostname or "", where.port or 80
        self._path = where.path.rstrip("/")
        self._headers |= {"host": where.netloc, "user-agent": "vedette"}
        self._kept: Connection | None = None

    async def close(self) -> None:
        """Close the connection."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    async def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    @asynccontextmanager
    async def _send(
        self, method: str, target: str, query: dict[str, str], headers: dict[str, str],
        content: Content,
    ) -> AsyncIterator[Answer]:  # fmt: skip
        words = f"{self._path}{target}?{urlencode(query)}" if query else f"{self._path}{target}"
        lines = [f"{method} {words} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items())]
        if content is None and method not in ("GET", "DELETE"):
            content = b""
        head = "\r\n".join([*lines, ""]).encode("ascii")
        connection, answer = await self._asked(head, content, again=method == "GET")
        try:
            yield answer
        finally:
            if connection.usable and self._kept is None:
                self._kept = connection
            else:
                connection.close()

    async def _asked(
        self, head: bytes, content: Content, *, again: bool
    ) -> tuple[Connection, Answer]:
        """An answer and its connection. `again`: the server may be asked twice.

        It may let go of a connection in the moment in which we use it once more.
        """
        connection, self._kept = self._kept, None
        if connection is not None and connection.usable:
            try:
                return connection, await connection.ask(head, content)
            except LostError:
                connection.close()
                if not again:
                    raise
        elif connection is not None:
            connection.close()
        connection = self._connected()
        try:
            return connection, await connection.ask(head, content)
        except BaseException:
            connection.close()
            raise

    def _connected(self) -> Connection:
        try:
            return Connection(self._host, self._port)
        except OSError as error:
            raise UnreachedError(nobody_at(self.address)) from error


def is_plain(address: str | None) -> bool:
    """Whether an address (None: that of the environment) is one that PlainTransport speaks to."""
    return _plain(address or default_address()) is not None


def _plain(address: str) -> SplitResult | None:
    """The parts of an address of plain HTTP; None for any other, and for what is no address."""
    try:
        where = urlsplit(address if "://" in address else f"http://{address}")
        usual = where.port != 0 and address.isascii() and address.isprintable()
    except ValueError:
        return None
    odd = where.username is not None or where.query or where.fragment or " " in address
    return where if where.scheme == "http" and where.hostname and usual and not odd else None
