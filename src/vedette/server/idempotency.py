"""Calls with an `Idempotency-Key`: sent again they change nothing, and are answered as before."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from vedette.client.transport import KEY_HEADER, TIME_DIGITS, Endpoint
from vedette.model.errors import Conflict, Invalid, Unavailable, VedetteError
from vedette.server.call import Call, Handler
from vedette.server.idempotency_note import current
from vedette.server.site import Site
from vedette.versioning import idempotency

T = TypeVar("T")
KEY = KEY_HEADER.encode()
LONGEST = 200


def key_of(endpoint: Endpoint[Any], headers: dict[bytes, bytes], target: bytes) -> bytes | None:
    """What a call is known by: its key, with who calls what. None for a call without a key.

    A key of another caller, or for another operation, is another one: nobody can get at answers
    that were not meant for him. Raises Invalid for a key that cannot be.
    """
    given = headers.get(KEY)
    if given is None or not endpoint.once or endpoint.method == "GET":
        return None
    if not 0 < len(given) <= LONGEST:
        raise Invalid(f"an {KEY_HEADER} of {len(given)} characters: use 1 to {LONGEST}")
    caller = headers.get(b"authorization", b"")
    parts = (endpoint.method.encode(), target, caller, given)
    # Keys that begin with the time, as our client's do, are neighbours in the index: half the cost.
    return given[:TIME_DIGITS] + blake2b(b"\0".join(parts), digest_size=16).digest()


async def carried_out(
    site: Site, endpoint: Endpoint[T], handler: Handler, call: Call, key: bytes
) -> T:
    """What a handler answers, or what it did when the same call was made before.

    Only where it fails is looked whether there was one before, so that the others cost nothing
    more than the row of the key.
    """
    mark = current.set(key)
    try:
        answer: T = await handler(site, call)
    except VedetteError as error:
        try:
            with site.read() as rows:
                found = idempotency.known(rows, key)
        except Unavailable as second:
            raise _again(second) from error
        if found is None:
            raise (_again(error) if isinstance(error, Unavailable) else error) from None
        return _as_before(endpoint, found[0])
    finally:
        current.reset(mark)
    return answer


def _again(error: Unavailable) -> Unavailable:
    """Whatever became of the call: it can be sent again."""
    error.fields.setdefault("retry_after", 1)
    return error


def _as_before(endpoint: Endpoint[T], answer: bytes | None) -> T:
    if answer is None:
        raise Conflict(
            "this call was carried out already, and its answer is too large to be kept: "
            "look up what it did"
        )
    return msgspec.msgpack.decode(answer, type=endpoint.answer)
