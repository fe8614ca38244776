"""HTTP/1.1 over one blocking socket: a request out, its answer in. No TLS, no event loop."""

from __future__ import annotations

import select
import socket
from collections.abc import AsyncIterator, Iterator

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from vedette.client.http_calls import Content, LostError, WireError

_PIECE = 1 << 18
_SMALL = 1 << 16
_LONGEST_HEAD = 1 << 20
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
        answer = _Incoming()
        while not answer.status:
            self._take_in(answer)
        return PlainAnswer(answer.status, self._body(answer))

    def _body(self, answer: _Incoming) -> Iterator[bytes]:
        while True:
            pieces, answer.pieces = answer.pieces, []
            yield from pieces
            if answer.ended:
                break
            self._take_in(answer)
        self._last |= not answer.leaves_open
        self._whole = True

    def _take_in(self, answer: _Incoming) -> None:
        try:
            data = self._socket.recv(_PIECE)
        except OSError as error:
            raise LostError(error.strerror or str(error)) from error
        if data:
            answer.feed(data)
        else:
            answer.close()


class _Incoming:
    """An answer on its way. Raises LostError where it is none, or not whole."""

    def __init__(self) -> None:
        self.status = 0
        self.pieces: list[bytes] = []
        self.ended = False
        self.leaves_open = False
        self._measured = False
        self._head = 0
        self._parser = HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take in what has come."""
        self._head += 0 if self.status else len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            what = f"its answer is broken: {error}" if self.status else "it does not speak HTTP"
            raise LostError(what) from None
        if not self.status and self._head > _LONGEST_HEAD:
            raise LostError(f"its answer begins with more than {_LONGEST_HEAD} bytes of headers")

    def close(self) -> None:
        """There will be no more, which is the end of an answer that does not say its length."""
        if not self.status or self._measured:
            raise LostError("its answer ended too early" if self._head else "it sent no answer")
        self.ended = True

    # what the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, also of what is in between (100 Continue)."""
        self._measured |= name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        """The status is known."""
        status = self._parser.get_status_code()
        if self.status or status < 200:
            return
        self.status = status
        self.leaves_open = self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        """The end, unless it was something in between."""
        self.ended = self.status != 0


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
