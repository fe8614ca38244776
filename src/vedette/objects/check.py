"""What is asked of an object store before anything is trusted to it.

A store that takes a second create of one key for a good one would let two servers write one pack;
one that answers with old bytes would lose what was accepted. Better to find out at the start.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from vedette.model.errors import Conflict, Invalid
from vedette.objects.bucket import Bucket, Missing, Taken

OWNER = "installation"


def check(bucket: Bucket) -> None:
    """Try what a store has to keep, with keys that are gone afterwards.

    Raises Invalid, naming the promise that was broken; Unavailable when there is no answer.
    """
    key = f"check/{os.urandom(12).hex()}"
    first, second = os.urandom(2000), os.urandom(2000)
    try:
        bucket.create(key, first)
        if _created(bucket, key, second):
            raise _broken(bucket, "it ignores If-None-Match: a second create of a key was accepted")
        asks: list[tuple[str, Callable[[], object], object]] = [
            ("a read does not give what was just written", lambda: _read(bucket, key, 0), first),
            ("a read of a range gives other bytes", lambda: _read(bucket, key, 1500), first[1500:]),
            ("a list leaves out what was just written", lambda: _listed(bucket, key), [2000]),
        ]
        for what, ask, wanted in asks:
            if ask() != wanted:
                raise _broken(bucket, what)
    finally:
        bucket.remove(key)
    if bucket.look(key) is not None:
        raise _broken(bucket, "what was deleted is still there")


def claim(bucket: Bucket, installation: str, *, new: bool) -> None:
    """Make a place this installation's own, for good: collecting would delete another's objects.

    `new`: it may be a place that nobody has used. Raises Conflict when it is not ours.
    """
    if not new and bucket.look(OWNER) is None:
        raise Conflict(
            f"{bucket} does not hold the objects of this data: name the place that does, "
            "or copy everything from there to here"
        )
    try:
        bucket.create(OWNER, installation.encode())
    except Taken:
        owner = bucket.read(OWNER, 0, 100).decode(errors="replace")
        raise Conflict(
            f"{bucket} holds the objects of another installation ({owner}): choose another prefix"
        ) from None


def _broken(bucket: Bucket, what: str) -> Invalid:
    return Invalid(f"the object store at {bucket.endpoint} cannot be used for {bucket}: {what}")


def _created(bucket: Bucket, key: str, data: bytes) -> bool:
    try:
        bucket.create(key, data)
    except Taken:
        return False
    return True


def _read(bucket: Bucket, key: str, first: int) -> bytes:
    try:
        return bucket.read(key, first, 3000)
    except Missing:
        return b""


def _listed(bucket: Bucket, key: str) -> list[int]:
    return [item.size for item in bucket.items("check") if item.key == key]
