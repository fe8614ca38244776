"""What a job does with each datum: in memory while they are few, in rows when they are many.

A job that has more than `SPILL` datums keeps only those in memory that wait or run; what became of
the others is in `job_datum`, which every job fills at its end anyway, and in counts. So the memory
that a job takes does not grow with its datums.
"""

from __future__ import annotations

from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Effect, Job

SPILL = 10_000
"""Datums of one job that are kept in memory after they have ended."""


def settle(round: Round, job: Job, ident: bytes, effect: Effect) -> None:
    """Note what became of a datum for a job."""
    if job.spilled:
        job.effects.pop(ident, None)
        _write(round, job, effect)
        return
    job.effects[ident] = effect
    if len(job.effects) > SPILL:
        _spill(round, job)


def _spill(round: Round, job: Job) -> None:
    """From now on what has ended is kept in rows."""
    job.spilled = True
    waiting = {}
    for ident, effect in job.effects.items():
        if effect.how:
            _write(round, job, effect)
        else:
            waiting[ident] = effect
    job.effects = waiting


def _write(round: Round, job: Job, effect: Effect) -> None:
    job.tally[effect.how] = job.tally.get(effect.how, 0) + 1
    if effect.how == "failed" and job.failure is None:
        job.failure = effect
    if effect.how == "run" and effect.datum in job.forced:
        job.again.add(effect.datum)
    round.effects.append({"job": job.num, "datum": effect.datum, "how": effect.how})


def overturn(round: Round, job: Job, effect: Effect) -> None:
    """A datum of a job in rows, which had run, fails for what it wrote cannot be (ENGINE M2)."""
    job.tally[effect.how] -= 1
    _write(round, job, Effect(effect.datum, effect.order, "failed"))


def tally(job: Job) -> dict[str, int]:
    """How many datums of a job there are by what became of them."""
    counts = dict(job.tally)
    for effect in job.effects.values():
        counts[effect.how] = counts.get(effect.how, 0) + 1
    return counts


def failure(job: Job) -> Effect | None:
    """The first datum of a job that failed."""
    if job.failure is not None:
        return job.failure
    return next((effect for effect in job.effects.values() if effect.how == "failed"), None)


def repeated(job: Job) -> set[int]:
    """The datums that the job was told to run again and that have run."""
    return job.again | {
        effect.datum
        for effect in job.effects.values()
        if effect.how == "run" and effect.datum in job.forced
    }


def forget(job: Job) -> None:
    """Begin anew. Rows that are there already are taken away when the job is expanded again."""
    job.stale = job.stale or job.spilled
    job.effects, job.gone, job.again, job.tally = {}, set(), set(), {}
    job.pending, job.change = 0, 0
    job.spilled, job.failure = False, None
    job.seen = set()
