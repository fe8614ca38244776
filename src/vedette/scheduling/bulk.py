"""The output commit of a job with many datums: made page by page, in memory that does not grow.

What became of the datums is in `job_datum` (`vedette.scheduling.effects`). Files of datums that the
job no longer has go first, then come those of its own, in the order of their numbers, which is
that in which they were found. So where two datums of such a job wrote one path, the later one is
the one found later.

Each page is a round of its own: the commit is a draft until the last (`vedette.versioning.drafts`).
Only when it is visible are the pipeline's members made those of the job; no other job of the
pipeline ends before that is done, and after a crash it goes on from rows alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from vedette.scheduling.merging import Merge
from vedette.scheduling.rounds import Round, flush_datums
from vedette.scheduling.running import Effect, Job

Now = Callable[[], Round]
"""The round in progress."""

PAGE = 1_000
_matches = msgspec.msgpack.Decoder(list[tuple[int, str, bytes | None, int]])
_results = msgspec.msgpack.Decoder(tuple[tuple[str, bytes, int], ...])


def remove(now: Now, job: Job, merge: Merge) -> Iterator[None]:
    """Take away what datums wrote that the job replaces or that have gone, a page at a time."""
    for page in _strangers(now, job) if job.full else _replaced(now, job):
        merge.take_away(page)
        yield
    merge.take_away(sorted(job.again))
    for page in _gone(now, job):
        merge.take_away(page)
        now().effects += [{"job": job.num, "datum": datum, "how": "gone"} for datum in page]
        yield


def _strangers(now: Now, job: Job) -> Iterator[list[int]]:
    """Datums of the pipeline that the job does not have, for it has looked at all there are."""
    after = b""
    while True:
        page = now().rows.all(
            "strangers", job=job.num, pipeline=job.pipeline.id, after=after, limit=PAGE
        )
        yield [datum for _, datum, own in page if own is None]
        if len(page) < PAGE:
            return
        after = page[-1][0]


def _replaced(now: Now, job: Job) -> Iterator[list[int]]:
    """Datums whose identities have others in this job."""
    after = 0
    while True:
        page = now().rows.all(
            "job_replaces", job=job.num, pipeline=job.pipeline.id, after=after, limit=PAGE
        )
        yield [before for _, before in page if before is not None]
        if len(page) < PAGE:
            return
        after = max(datum for datum, _ in page)


def _gone(now: Now, job: Job) -> Iterator[list[int]]:
    """Datums of identities that have gone; one that another identity still has stays."""
    idents = [] if job.full else sorted(job.gone)
    for start in range(0, len(idents), PAGE):
        rows = now().rows
        page = []
        for ident in idents[start : start + PAGE]:
            row = rows.one("member", pipeline=job.pipeline.id, ident=ident)
            if row is not None and rows.one("job_has_datum", job=job.num, datum=row[0]) is None:
                page.append(row[0])
        yield page


def results(now: Now, job: Job) -> Iterator[list[tuple[bytes, Effect]]]:
    """The datums of the job that have output, as (identity, effect), in pages."""
    after = 0
    while True:
        page = now().rows.all("job_results", job=job.num, after=after, limit=PAGE)
        yield [
            (ident, Effect(datum, order_of(inputs), how, _results.decode(written)))
            for datum, ident, how, written, inputs in page
            if how in ("run", "cached") and written is not None and len(written) > 1
        ]
        if len(page) < PAGE:
            return
        after = page[-1][0]


def members(now: Now, pipeline: int, job: int, whole: bool) -> Iterator[None]:
    """Make a job's datums those of its pipeline, a page at a time. Doing it twice does no harm."""
    flush_datums(now())
    query = "strangers" if whole else "job_gone"
    after = b""
    while True:
        rows = now().rows
        page = rows.all(query, job=job, pipeline=pipeline, after=after, limit=PAGE)
        gone = [{"pipeline": pipeline, "ident": row[0]} for row in page if row[2] is None]
        if gone:
            rows.many("drop_member", gone)
        yield
        if len(page) < PAGE:
            break
        after = page[-1][0]
    last = 0
    while page := now().rows.all("job_datum_page", job=job, after=last, limit=PAGE):
        until = page[-1][0]
        now().rows.run("job_members", pipeline=pipeline, job=job, after=last, until=until)
        last = until
        yield
    now().rows.run("draft_drop", pipeline=pipeline)


def order_of(inputs: bytes) -> str:
    """What sorts a datum among those of its job: the paths of its matches."""
    return "\0".join(match[1] for match in _matches.decode(inputs))
