"""Bodies of several parts (RFC 7578), as cameras and browsers send them."""

from __future__ import annotations

import re
from email.parser import BytesHeaderParser
from email.policy import HTTP

from msgspec import Struct

from vedette.model.errors import Invalid, TooLarge

_BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([^"]{1,70})"|([^\s;]{1,70}))', re.IGNORECASE)
_MAX_HEADER = 8192
_headers = BytesHeaderParser(policy=HTTP)


class Part(Struct, frozen=True):
    """One part: the field's name, the file's name (None for a plain field), its bytes."""

    name: str
    filename: str | None
    media: str
    data: bytes


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a multipart content type, or None for any other type."""
    if not content_type.lower().startswith("multipart/"):
        return None
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise Invalid(f"content type {content_type[:80]!r} names no boundary between parts")
    return (match[1] or match[2]).encode("latin-1", "replace")


def split(body: bytes, boundary: bytes, most: int) -> list[Part]:
    """The parts of a body; raises `Invalid` when it is cut off, `TooLarge` over `most` parts."""
    mark = b"--" + boundary
    if not body.startswith(mark):
        start = body.find(b"\r\n" + mark)
        if start < 0:
            raise Invalid("the body holds no part: the boundary it announces never comes")
        body = body[start + 2 :]
    pieces = body[len(mark) :].split(b"\r\n" + mark, most + 1)
    if len(pieces) > most + 1:
        raise TooLarge(f"the body has more than {most} parts: send it in several requests")
    if not pieces[-1].startswith(b"--"):
        raise Invalid("the body ends in the middle of a part: send it again")
    return [_part(piece) for piece in pieces[:-1]]


def _part(piece: bytes) -> Part:
    # The boundary's own line may end with blanks.
    piece = piece.lstrip(b" \t")
    head, blank, data = piece[:_MAX_HEADER].partition(b"\r\n\r\n")
    if not blank:
        raise Invalid(f"a part of the body has no header of at most {_MAX_HEADER} bytes")
    data = piece[len(head) + 4 :]
    fields = _headers.parsebytes(head.lstrip(b"\r\n"))
    disposition = fields.get("content-disposition", "")
    name = getattr(disposition, "params", {}).get("name", "")
    return Part(str(name), fields.get_filename(), fields.get_content_type(), data)
