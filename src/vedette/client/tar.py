"""Reads a tar stream as it comes: ustar, GNU long names and pax headers; files and folders only."""

from __future__ import annotations

from collections.abc import AsyncIterator

from vedette.model.errors import Invalid, TooLarge

BLOCK = 512
_LONGEST_HEADER = 1 << 20
_EMPTY = bytes(BLOCK)


class Bytes:
    """Pieces of a stream, read in amounts of one's own choice."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._held = b""
        self._at = 0

    async def exactly(self, count: int) -> bytes:
        """The next `count` bytes. Raises Invalid when the stream ends before."""
        have = len(self._held) - self._at
        if have >= count:
            found = self._held[self._at : self._at + count]
            self._at += count
            return found
        pieces = [self._held[self._at :]] if have else []
        while have < count:
            piece = await anext(self._chunks, None)
            if piece is None:
                raise Invalid("the tar stream ends in the middle of a file: send it whole")
            pieces.append(piece)
            have += len(piece)
        last = pieces[-1]
        self._held, self._at = last, len(last) - (have - count)
        if len(pieces) == 1:
            return last[: self._at]
        pieces[-1] = last[: self._at]
        return b"".join(pieces)

    async def pieces(self, count: int) -> AsyncIterator[bytes]:
        """The next `count` bytes in pieces of at most a megabyte."""
        while count:
            piece = await self.exactly(min(count, 1 << 20))
            count -= len(piece)
            yield piece

    def unread(self, data: bytes) -> None:
        """Give back what was read last, to be read again."""
        self._held = data + self._held[self._at :]
        self._at = 0

    async def drain(self) -> int:
        """Read to the end, so that the caller may hear the answer; how many bytes were left."""
        left = len(self._held) - self._at
        self._held, self._at = b"", 0
        async for piece in self._chunks:
            left += len(piece)
        return left


class Entries:
    """The files of a tar stream: `next` gives name and size; then their bytes are to be read.

    With `drain` what follows the end of the archive is read too, and dropped.
    """

    def __init__(
        self, chunks: AsyncIterator[bytes] | Bytes, limit: int, *, drain: bool = True
    ) -> None:
        self.bytes = chunks if isinstance(chunks, Bytes) else Bytes(chunks)
        self._limit = limit
        self._drain = drain
        self._padding = 0

    async def next(self) -> tuple[str, int] | None:
        """Name and size of the next file; None at the end. Raises Invalid for anything odd."""
        name, size = "", -1
        if self._padding:
            await self.bytes.exactly(self._padding)
            self._padding = 0
        while True:
            header = await self.bytes.exactly(BLOCK)
            if header == _EMPTY:
                if self._drain:
                    await self.bytes.drain()
                return None
            _check(header)
            sort = header[156:157]
            length = _number(header[124:136], "size")
            if sort in b"xgLK" and sort:
                data = await self._extra(length)
                if sort == b"x":
                    name, size = _pax(data, name, size)
                elif sort == b"L":
                    name = _text(data.rstrip(b"\0"))
                continue
            name = name or _name(header)
            length = length if size < 0 else size
            if sort == b"5":
                name, size = "", -1
                continue
            if sort not in (b"0", b"\0", b"7"):
                raise Invalid(f"the tar stream holds {name!r}, which is not a file: leave it out")
            if length > self._limit:
                raise TooLarge(f"{name!r} has {length} bytes: at most {self._limit}")
            self._padding = -length % BLOCK
            return name, length

    async def _extra(self, length: int) -> bytes:
        if length > _LONGEST_HEADER:
            raise Invalid(f"the tar stream has a header of {length} bytes: it is damaged")
        data = await self.bytes.exactly(length + -length % BLOCK)
        return data[:length]


def _check(header: bytes) -> None:
    stated = _number(header[148:156], "checksum")
    if stated != sum(header[:148]) + 256 + sum(header[156:]):
        raise Invalid("this is no tar stream, or it is damaged: a header's checksum is wrong")


def _number(field: bytes, what: str) -> int:
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    text = field.strip(b" \0")
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise Invalid(f"this is no tar stream: its {what} field holds {field!r}") from None


def _name(header: bytes) -> str:
    name = header[:100].partition(b"\0")[0]
    if header[257:263] == b"ustar\0":
        prefix = header[345:500].partition(b"\0")[0]
        name = prefix + b"/" + name if prefix else name
    return _text(name)


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise Invalid(
            f"the name {name!r} in the tar stream is not UTF-8: rename the file"
        ) from None


def _pax(data: bytes, name: str, size: int) -> tuple[str, int]:
    while data:
        digits, _, _ = data.partition(b" ")
        if not digits.isdigit() or not 0 < int(digits) <= len(data):
            raise Invalid("the tar stream has a damaged pax header")
        record, data = data[len(digits) + 1 : int(digits) - 1], data[int(digits) :]
        key, _, value = record.partition(b"=")
        if key == b"path":
            name = _text(value)
        elif key == b"size":
            if not value.isdigit():
                raise Invalid("the tar stream has a damaged pax header")
            size = int(value)
    return name, size
