"""What a datum of a job is and depends on, and what is known under such keys."""

from __future__ import annotations

from collections.abc import Sequence

from vedette.decide import skip
from vedette.decide.tree import Combination
from vedette.metadata.store import Row
from vedette.model.ids import CacheKey
from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Job
from vedette.versioning import directories
from vedette.versioning.commits import CommitRow

PAGE = 64
"""Keys that are asked for at once."""

_NAMES = [f"k{place}" for place in range(PAGE)]
_SUMS_SINCE = 4
"""The schema by which large directories got hashes of another sort."""


def rows_of(round: Round, one: str, many: str, keys: Sequence[bytes]) -> list[Row]:
    """The rows of some keys, a page of them at most, in one question."""
    if not keys:
        return []
    if len(keys) == 1:
        row = round.rows.one(one, key=keys[0])
        return [] if row is None else [row]
    full = [*keys, *[keys[-1]] * (PAGE - len(keys))]
    return round.rows.all(many, **dict(zip(_NAMES, full, strict=True)))


def identity_of(job: Job, combination: Combination) -> bytes:
    """The id of a datum of a job (ENGINE D8)."""
    pipeline = job.pipeline
    return skip.identity(
        pipeline.family,
        [
            (leaf.name, leaf.repo, leaf.branch[1], item.path)
            for item in combination
            for leaf in (pipeline.leaves[item.leaf],)
        ],
    )


def key_of(
    round: Round, job: Job, combination: Combination, *, keep: bool = False, whole: bool = False
) -> CacheKey:
    """The cache key of a datum of a job (ENGINE D8).

    `keep`: note what large directories hold, for jobs to come. `whole`: as in release 0.1.
    """
    pipeline = job.pipeline
    parts = []
    for item in combination:
        leaf = pipeline.leaves[item.leaf]
        content = item.object
        if leaf.reference:
            content = b""
        elif content is None:
            commit = round.commits.get(round.rows, job.inputs[item.leaf])
            content = _content(round, commit, item.path, keep=keep, whole=whole)
        parts.append((leaf.key, item.path, content))
    return skip.key(pipeline.family, job.salt or pipeline.salt, pipeline.code, parts)


def _content(round: Round, commit: CommitRow, path: str, *, keep: bool, whole: bool) -> bytes:
    if whole:
        return directories.whole_hash(round.rows, commit, path)
    name, held = directories.content(round.rows, commit, path)
    if keep and held is not None:
        directories.keep(round.rows, held)
    return name


def find_older(
    round: Round, job: Job, wanted: list[tuple[CacheKey, Combination]], found: dict[bytes, Row]
) -> None:
    """Results that a pipeline has under the keys that large directories had in release 0.1."""
    applied = round.rows.one("schema_applied", number=_SUMS_SINCE)
    if applied is None or job.pipeline.created >= applied[0]:
        return
    for key, combination in wanted:
        if key in found or all(item.object is not None for item in combination):
            continue
        older = key_of(round, job, combination, whole=True)
        row = None if older == key else round.rows.one("datum_by_key", key=older)
        if row is not None:
            found[key] = row
