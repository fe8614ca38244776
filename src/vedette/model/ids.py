"""Identifiers: what names a thing, and how the name is made.

Objects, datums and cache keys are BLAKE3 hashes, each in a context of its own, so that a hash of
one sort can never be taken for one of another. Commits and jobs are 32 random hex digits.
"""

from __future__ import annotations

from typing import NewType

from blake3 import blake3

ObjectId = NewType("ObjectId", bytes)
"""32 bytes: the hash of an object's bytes. Equal bytes, equal id (ENGINE P11)."""

CommitId = NewType("CommitId", str)
"""32 hex digits: a global id, shared by all that one root commit causes (ENGINE T3)."""

JobId = NewType("JobId", str)
"""32 hex digits."""

DatumId = NewType("DatumId", bytes)
"""32 bytes: the identity of a datum, without its content (ENGINE D8)."""

CacheKey = NewType("CacheKey", bytes)
"""32 bytes: what a datum's result depends on (ENGINE D8)."""

_OBJECT = "vedette 2026-11 object"
_DATUM = "vedette 2026-11 datum"
_KEY = "vedette 2026-11 datum cache key"


def object_id(data: bytes | bytearray | memoryview) -> ObjectId:
    """The id of an object with these bytes."""
    return ObjectId(blake3(data, derive_key_context=_OBJECT).digest())


def object_hasher() -> blake3:
    """A hasher to `update` with an object's bytes in pieces; its `digest()` is the object's id."""
    return blake3(derive_key_context=_OBJECT)


def datum_id(preimage: bytes) -> DatumId:
    """The id of a datum whose identity has this canonical encoding."""
    return DatumId(blake3(preimage, derive_key_context=_DATUM).digest())


def cache_key(preimage: bytes) -> CacheKey:
    """The cache key of a datum whose dependencies have this canonical encoding."""
    return CacheKey(blake3(preimage, derive_key_context=_KEY).digest())
