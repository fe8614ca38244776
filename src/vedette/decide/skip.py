"""What a datum is, and what its result depends on (ENGINE D8).

Every pre-image is a msgpack list that begins with its record type, so that no two sorts of thing
encode alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vedette.model.ids import CacheKey, DatumId, cache_key, datum_id
from vedette.model.pipeline import PipelineSpec

_SORTED = 16
_encode = msgspec.msgpack.Encoder().encode


def identity(pipeline: str, parts: Sequence[tuple[str, str, str, str]]) -> DatumId:
    """The id of a datum from its (input name, repo, branch, path) parts, left to right."""
    return datum_id(_encode(("datum", pipeline, parts)))


def order(paths: Sequence[str]) -> str:
    """What sorts the datums of a job: their matches, of a large group the first."""
    if len(paths) <= _SORTED:
        return "\0".join(paths)
    return "\0".join((*paths[:_SORTED], f"{len(paths) - _SORTED} more"))


def key(
    pipeline: str, salt: bytes, code: bytes, parts: Sequence[tuple[str, str, bytes]]
) -> CacheKey:
    """The cache key of a datum from its (input name, path, content hash) parts.

    The hash is empty for an input that is read by reference. `code` is empty unless the spec asks
    for `reprocess: on_code_change` (ENGINE S6).
    """
    return cache_key(_encode(("key", pipeline, salt, code, parts)))


def code_preimage(spec: PipelineSpec) -> bytes:
    """What counts as code: image, cmd, stdin and env; empty where the spec does not ask."""
    if not spec.reprocess_on_code_change:
        return b""
    transform = spec.transform
    return _encode((transform.image, transform.cmd, transform.stdin, sorted(transform.env.items())))
