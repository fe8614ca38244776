"""HTTP/1.1 over one blocking socket: a request out, its answer in. No TLS, no event loop."""

from __future__ import annotations

import select
import socket
from collections.abc import AsyncIterator, Iterator, Mapping

from vedette.client.http_calls import Content, LostError, WireError

_PIECE = 1 << 18
_SMALL = 1 << 16
_LONGEST_LINE = 1 << 16
_MOST_HEADERS = 100
_SILENT_SECONDS = 60.0
"""So long the server may take to let us connect, and to take any bytes of a request."""


class Connection:
    """One connection to a server, for one request after the other.

    Raises OSError when there is none to be had, WireError and LostError when it breaks.
    """

    def __init__(self, host: str, port: int) -> None:
        # Given a text, Python would load the codec of international names for it first.
        where = (host.encode("ascii"), port)
        self._socket = socket.create_connection(where, _SILENT_SECONDS)  # type: ignore[arg-type]
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = self._socket.makefile("rb")
        self._incoming = select.poll()
        self._incoming.register(self._socket, select.POLLIN)
        self._whole = True
        self._last = False

    @property
    def usable(self) -> bool:
        """Whether the last answer was read whole, and the server waits for another request."""
        return self._whole and not self._last and not self._spoken()

    def close(self) -> None:
        """Let go of it."""
        self._read.close()
        self._socket.close()

    async def ask(self, head: bytes, content: Content) -> PlainAnswer:
        """Send a request, of whose `head` all is there but what says how long its body is."""
        self._whole = False
        broken = await self._sent(head, content)
        try:
            return self._answered()
        except LostError as error:
            raise broken or error from error

    async def _sent(self, head: bytes, content: Content) -> WireError | None:
        """What kept the request from being sent whole. There may be an answer nevertheless."""
        self._socket.settimeout(_SILENT_SECONDS)
        try:
            if isinstance(content, AsyncIterator):
                await self._send_pieces(head, content)
            elif content is None:
                self._socket.sendall(head + b"\r\n")
            else:
                head += b"content-length: %d\r\n\r\n" % len(content)
                small = len(content) < _SMALL
                for piece in (head + content,) if small else (head, content):
                    self._socket.sendall(piece)
        except TimeoutError:
            raise WireError(f"it took nothing for {_SILENT_SECONDS:.0f} seconds") from None
        except OSError as error:
            self._last = True
            return LostError(error.strerror or str(error))
        self._socket.settimeout(None)
        return None

    async def _send_pieces(self, head: bytes, content: AsyncIterator[bytes]) -> None:
        """Send a body in chunks, until its end or until the server has answered already."""
        self._socket.sendall(head + b"transfer-encoding: chunked\r\n\r\n")
        try:
            async for piece in content:
                if piece:
                    self._socket.sendall(b"%x\r\n" % len(piece))
                    self._socket.sendall(piece)
                    self._socket.sendall(b"\r\n")
                if self._spoken():
                    self._last = True
                    return
            self._socket.sendall(b"0\r\n\r\n")
        finally:
            close = getattr(content, "aclose", None)
            if close is not None:
                await close()

    def _spoken(self) -> bool:
        """Whether there is something to read, be it the end."""
        return bool(self._incoming.poll(0))

    def _answered(self) -> PlainAnswer:
        status = 100
        while status < 200:  # what is in between (100 Continue) does not concern us
            version, _, rest = self._line().partition(b" ")
            if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
                raise LostError("it does not speak HTTP")
            status = int(rest[:3])
            headers = self._headers()
        if version == b"HTTP/1.0" or headers.get(b"connection", b"").lower() == b"close":
            self._last = True
        return PlainAnswer(status, self._body(status, headers))

    def _headers(self) -> Mapping[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        for _ in range(_MOST_HEADERS):
            line = self._line()
            if not line:
                return found
            name, _, value = line.partition(b":")
            found[name.strip().lower()] = value.strip()
        raise LostError(f"its answer has more than {_MOST_HEADERS} headers")

    def _body(self, status: int, headers: Mapping[bytes, bytes]) -> Iterator[bytes]:
        if status in (204, 304):
            pass
        elif headers.get(b"transfer-encoding", b"").lower() == b"chunked":
            while size := self._size(self._line().partition(b";")[0], 16):
                yield from self._exactly(size)
                self._line()
            while self._line():
                pass
        elif b"content-length" in headers:
            yield from self._exactly(self._size(headers[b"content-length"], 10))
        else:
            self._last = True
            while piece := self._some(_PIECE):
                yield piece
        self._whole = True

    def _size(self, text: bytes, base: int) -> int:
        try:
            size = int(text, base)
        except ValueError:
            size = -1
        if size < 0:
            raise LostError(f"its answer has the length {text[:40]!r}")
        return size

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            piece = self._some(min(size, _PIECE))
            if not piece:
                raise LostError("its answer ended too early")
            size -= len(piece)
            yield piece

    def _some(self, most: int) -> bytes:
        try:
            return self._read.read1(most)
        except OSError as error:
            raise LostError(error.strerror or str(error)) from error

    def _line(self) -> bytes:
        try:
            line = self._read.readline(_LONGEST_LINE)
        except OSError as error:
            raise LostError(error.strerror or str(error)) from error
        if not line.endswith(b"\n"):
            raise LostError("its answer ended too early" if line else "it sent no answer")
        return line.rstrip(b"\r\n")


class PlainAnswer:
    """An answer whose bytes are read as they are asked for."""

    def __init__(self, status_code: int, pieces: Iterator[bytes]) -> None:
        self.status_code = status_code
        self._pieces = pieces

    async def aread(self) -> bytes:
        """All bytes."""
        return b"".join(self._pieces)

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        """The bytes in pieces, as they come."""
        for piece in self._pieces:
            yield piece
