"""The output commit of a job with many datums: made page by page, in memory that does not grow.

What became of the datums is in `job_datum` (`vedette.scheduling.effects`). Files of datums that the
job no longer has go first, then come those of its own, in the order of their numbers, which is
that in which they were found. So where two datums of such a job wrote one path, the later one is
the one found later.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from vedette.scheduling.merging import Merge
from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Effect, Job

PAGE = 1_000
_matches = msgspec.msgpack.Decoder(list[tuple[int, str, bytes | None, int]])
_results = msgspec.msgpack.Decoder(tuple[tuple[str, bytes, int], ...])


def remove(round: Round, job: Job, merge: Merge) -> None:
    """Take away what datums wrote that the job replaces or that have gone."""
    for page in _strangers(round, job) if job.full else _replaced(round, job):
        merge.take_away(page)
    merge.take_away(sorted(job.again))
    merge.take_away(_gone(round, job))


def _strangers(round: Round, job: Job) -> Iterator[list[int]]:
    """Datums of the pipeline that the job does not have, for it has looked at all there are."""
    after = b""
    while True:
        page = round.rows.all(
            "strangers", job=job.num, pipeline=job.pipeline.id, after=after, limit=PAGE
        )
        yield [datum for _, datum, own in page if own is None]
        if len(page) < PAGE:
            return
        after = page[-1][0]


def _replaced(round: Round, job: Job) -> Iterator[list[int]]:
    """Datums whose identities have others in this job."""
    after = 0
    while True:
        page = round.rows.all(
            "job_replaces", job=job.num, pipeline=job.pipeline.id, after=after, limit=PAGE
        )
        yield [before for _, before in page if before is not None]
        if len(page) < PAGE:
            return
        after = max(datum for datum, _ in page)


def _gone(round: Round, job: Job) -> Iterator[int]:
    if job.full:
        return
    for ident in job.gone:
        row = round.rows.one("member", pipeline=job.pipeline.id, ident=ident)
        if row is not None and round.rows.one("job_has_datum", job=job.num, datum=row[0]) is None:
            yield row[0]


def results(round: Round, job: Job) -> Iterator[list[tuple[bytes, Effect]]]:
    """The datums of the job that have output, as (identity, effect), in pages."""
    after = 0
    while True:
        page = round.rows.all("job_results", job=job.num, after=after, limit=PAGE)
        yield [
            (ident, Effect(datum, order_of(inputs), how, _results.decode(written)))
            for datum, ident, how, written, inputs in page
            if how in ("run", "cached") and written is not None and len(written) > 1
        ]
        if len(page) < PAGE:
            return
        after = page[-1][0]


def members(round: Round, job: Job) -> None:
    """Make the job's datums those of its pipeline."""
    pipeline = job.pipeline.id
    if job.full:
        _drop_strangers(round, job)
    for ident in [] if job.full else job.gone:
        round.rows.run("drop_member", pipeline=pipeline, ident=ident)
    after = 0
    while page := round.rows.all("job_datum_page", job=job.num, after=after, limit=PAGE):
        until = page[-1][0]
        round.rows.run("job_members", pipeline=pipeline, job=job.num, after=after, until=until)
        after = until


def _drop_strangers(round: Round, job: Job) -> None:
    pipeline, after = job.pipeline.id, b""
    while True:
        page = round.rows.all("strangers", job=job.num, pipeline=pipeline, after=after, limit=PAGE)
        gone = [{"pipeline": pipeline, "ident": ident} for ident, _, own in page if own is None]
        if gone:
            round.rows.many("drop_member", gone)
        if len(page) < PAGE:
            return
        after = page[-1][0]


def order_of(inputs: bytes) -> str:
    """What sorts a datum among those of its job: the paths of its matches."""
    return "\0".join(match[1] for match in _matches.decode(inputs))
