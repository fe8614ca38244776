"""Which datums does a job have, and which of them must run?

A job is compared with an earlier one of its pipeline, its base: what changed between the inputs of
the two is all that is looked at (DESIGN 3.1). The base is the job before it, done or not; where
that one fails, the job is expanded again from the newest that succeeded (ENGINE T7).
"""

from __future__ import annotations

from itertools import chain, islice

import msgspec

from vedette.decide import expand as combinations
from vedette.decide import skip
from vedette.decide.tree import Combination, Item, Steps
from vedette.metadata.store import Row
from vedette.model.ids import CacheKey
from vedette.scheduling import effects, keys, lookup, matches, readiness
from vedette.scheduling.rounds import Round, encode, flush_datums
from vedette.scheduling.running import Base, Datum, Effect, Job, Match, Pipeline
from vedette.versioning import contents

BULK = 64
"""A job with more datums to run than this gives way to smaller, later ones."""

AHEAD = 8_000
"""Datums of one job that wait in memory; the others are found when half of these have run."""

UNWRITTEN = 1_000
"""Datums beyond these of one job get their row when they end: until then they need none, since
a restart finds them again as it found them first."""

_PAGE = keys.PAGE
_results = msgspec.msgpack.Decoder(tuple[tuple[str, bytes, int], ...])


class Now:
    """The round in progress, for an expansion that lasts longer than one."""

    def __init__(self, round: Round) -> None:
        self.round = round


def expand(round: Round, job: Job, base: Base | None) -> bool:
    """Go on finding a job's datums, as far as the round's budget goes and enough of them wait.

    False when the budget is used up. `job.expanded` says whether all are found.
    """
    if job.expansion is None:
        _begin(round, job, base)
    expansion, now = job.expansion, job.now
    assert expansion is not None and now is not None
    now.round = round
    most = _room(round, job)
    if job.pending and job.pending > most // 2:
        return True
    while job.pending < most:
        if round.budget <= 0:
            round.again.add(job.pipeline.name)
            return False
        steps = list(islice(expansion, min(_PAGE, round.budget)))
        round.budget -= len(steps)
        if not steps:
            _found(round, job)
            return True
        _apply(round, job, [step for step in steps if step is not None])
        job.state = "RUNNING" if job.pending else job.state
    return True


def _room(round: Round, job: Job) -> int:
    """How many of a job's datums may wait: fewer when those of others fill the memory."""
    return AHEAD if len(round.memory.datums) - job.pending < AHEAD else BULK


def _found(round: Round, job: Job) -> None:
    """All of a job's datums are found, but for those of `run_again`."""
    job.expansion = job.now = None
    job.expanded = True
    if job.pending:
        job.state = "RUNNING"
    round.dirty_job(job)


def _begin(round: Round, job: Job, base: Base | None) -> None:
    job.base = base
    job.full = base is None or base.version != job.version
    job.started = job.started or round.now
    job.state = "STARTING"
    job.total = 0 if job.full or base is None else base.total
    job.change = 0
    if job.stale:
        round.rows.run("forget_job_datums", job=job.num)
        job.stale = False
    job.now = Now(round)
    job.expansion = _full(job, job.now) if job.full else _difference(round, job, base, job.now)
    round.dirty_job(job)


def _full(job: Job, now: Now) -> Steps:
    if job.pipeline.spec.reprocess_every_job:
        job.salt = now.round.tx.new_id().encode()
    selected = lookup.InJob(job, now, before=False)
    return chain(selected.prepare(), combinations.everything(job.pipeline.node, selected))


def _difference(round: Round, job: Job, base: Base | None, now: Now) -> Steps:
    assert base is not None
    pipeline = job.pipeline
    if pipeline.spec.reprocess_every_job:
        job.full, job.total = True, 0
        return _full(job, now)
    rows = round.rows
    deltas: list[list[Item]] = []
    for leaf, old, new in zip(pipeline.leaves, base.inputs, job.inputs, strict=True):
        if old == new:
            deltas.append([])
            continue
        before, after = round.commits.get(rows, old), round.commits.get(rows, new)
        deltas.append(matches.delta(rows, leaf, before, after))
        if leaf.reference:
            job.forced.update(failed_members(round, pipeline))
    selected = lookup.InJob(job, now, before=True)
    return chain(selected.prepare(), combinations.changed(pipeline.node, deltas, selected))


def failed_members(round: Round, pipeline: Pipeline) -> list[int]:
    """Failed datums that a new reference input or `rerun-pipeline` may mend (ENGINE R3, U5)."""
    found = round.rows.all("failed_members", name=pipeline.family, pipeline=pipeline.id)
    return [num for num, _ident in found]


def _apply(round: Round, job: Job, page: list[Combination]) -> None:
    wanted = []
    before, repeats = job.change, job.pipeline.repeats
    for combination in page:
        ident = keys.identity_of(job, combination)
        known = combinations.is_before(combination)
        if repeats and _is_repeated(job, ident, combination):
            continue
        if not combinations.is_after(combination):
            if known:
                job.gone.add(ident)
                job.change -= 1
            continue
        if not known:
            job.change += 1
        wanted.append((ident, keys.key_of(round, job, combination, keep=True), combination))
    job.total += job.change - before
    waiting = round.memory.by_key
    asked = [key for _, key, _ in wanted if key not in waiting]
    found = {row[11]: row for row in keys.rows_of(round, "datum_by_key", "datums_by_key", asked)}
    if job.full and len(found) < len(asked):
        keys.find_older(round, job, [(key, each) for _, key, each in wanted if key in asked], found)
    new = [ident for ident, key, _ in wanted if key not in waiting and key not in found]
    prior = {row[0] for row in keys.rows_of(round, "ident_succeeded", "idents_succeeded", new)}
    for ident, key, combination in wanted:
        _need(round, job, ident, key, combination, found.get(key), ident in prior)


def _is_repeated(job: Job, ident: bytes, combination: Combination) -> bool:
    """Whether another child of a union has given this datum already (ENGINE D2)."""
    if ident not in job.seen:
        job.seen.add(ident)
        return False
    if ident in job.gone and combinations.is_after(combination):
        # For the other child it has gone, for this one it is there.
        job.gone.discard(ident)
        job.change += int(combinations.is_before(combination))
        return False
    return True


def _need(
    round: Round, job: Job, ident: bytes, key: CacheKey, combination: Combination,
    row: Row | None, prior: bool,
) -> None:  # fmt: skip
    """A job needs a datum: take its result, join those who wait for it, or have it run.

    `row` is what is known of its content, `prior` whether its identity ever succeeded.
    """
    order = skip.order([item.path for item in combination])
    waiting = round.memory.by_key.get(key)
    if waiting is not None:
        _wait(job, waiting, order, "")
        return
    if row is not None and row[1] == "done":
        how = "run" if row[9] == job.num else "cached"
        held = _results.decode(row[2])
        if all(contents.there(round.rows, output[1]) for output in held):
            outputs = () if job.spilled else held
            effects.settle(round, job, ident, Effect(row[0], order, how, outputs))
            return
    if row is not None and _stays_failed(round, job, row):
        effects.settle(round, job, ident, Effect(row[0], order, "failed"))
        return
    if _cannot_run(round, job, ident, combination, order):
        return
    datum = _new_datum(round, job, ident, key, combination, prior)
    if row is not None:
        datum.num, datum.fresh = row[0], False
        _give_up_result(round, row[2])
    enqueue(round, job, datum, order)


def _give_up_result(round: Round, result: bytes | None) -> None:
    """A datum that has a result runs again: what it wrote may be nobody's then (K3)."""
    if result is not None:
        round.tx.suspect((output[1],) for output in _results.decode(result))


def _cannot_run(round: Round, job: Job, ident: bytes, combination: Combination, order: str) -> bool:
    """Whether an input was deleted for good (K1): then what the identity had made stays as it is.

    One that had made nothing is no datum any more.
    """
    rows = round.rows
    names = [i.object for i in combination if not job.pipeline.leaves[i.leaf].reference]
    if all(name is None or contents.kept(rows, name) for name in names):
        return False
    present = rows.one("member", pipeline=job.pipeline.id, ident=ident)
    row = None if present is None else rows.one("datum_by_num", num=present[0])
    if row is None or row[6] is None:
        job.change -= 1
        return True
    outputs = () if job.spilled else _results.decode(row[6])
    effects.settle(round, job, ident, Effect(row[0], order, "cached", outputs))
    return True


def _stays_failed(round: Round, job: Job, row: tuple[object, ...]) -> bool:
    """Whether a failed datum is left alone: policy `datum`, same version, same references."""
    policy = job.pipeline.spec.on_datum_failure
    if row[0] in job.forced or row[1] != "failed" or policy != "datum":
        return False
    return row[10] == job.version and row[3] == references(job)


def references(job: Job) -> bytes:
    """Which commits a job reads by reference."""
    leaves = job.pipeline.leaves
    return encode([num for leaf, num in zip(leaves, job.inputs, strict=True) if leaf.reference])


def _new_datum(
    round: Round, job: Job, ident: bytes, key: bytes, combination: Combination, prior: bool
) -> Datum:
    memory = round.memory
    datum = Datum(
        num=memory.next_datum, key=key, ident=ident, pipeline=job.pipeline, version=job.version,
        job=job.num, order=(0, job.plan, memory.next_datum), created=round.now, fresh=True,
        matches=tuple(Match(i.leaf, i.path, i.object, i.size) for i in combination),
        prior=prior, hint=memory.hints.get(job.commit_id, ""),
    )  # fmt: skip
    memory.next_datum += 1
    return datum


def enqueue(round: Round, job: Job, datum: Datum, order: str) -> None:
    """Have a datum run for a job."""
    memory = round.memory
    datum.order = (2 if job.pipeline.aside else int(job.pending > BULK), job.plan, datum.num)
    memory.datums[datum.num] = datum
    memory.by_key[datum.key] = datum
    _wait(job, datum, order, "")
    readiness.push(memory, datum)
    if job.pending <= UNWRITTEN or not datum.fresh:
        round.dirty_datum(datum)


def _wait(job: Job, datum: Datum, order: str, how: str) -> None:
    job.effects[datum.ident] = Effect(datum.num, order, how)
    job.pending += 1
    datum.jobs.append(job)


def _has_noted(round: Round, job: Job, num: int) -> bool:
    if not job.spilled:
        return False
    flush_datums(round)
    return round.rows.one("job_has_datum", job=job.num, datum=num) is not None


def _force(round: Round, job: Job, nums: set[int]) -> None:
    """Run datums again that no change of inputs asks for."""
    known = {effect.datum for effect in job.effects.values()}
    for num in sorted(nums):
        if num in known or (
            job.spilled and round.rows.one("job_has_datum", job=job.num, datum=num)
        ):
            continue
        row = round.rows.one("datum_by_num", num=num)
        if row is None or row[3] != job.pipeline.family:
            continue
        waiting = round.memory.by_key.get(row[1])
        matched = msgspec.msgpack.decode(
            row[12], type=tuple[tuple[int, str, bytes | None, int], ...]
        )
        order = skip.order([match[1] for match in matched])
        if waiting is not None:
            _wait(job, waiting, order, "")
            continue
        datum = Datum(
            num=num, key=row[1], ident=row[2], pipeline=job.pipeline, version=job.version,
            job=job.num, order=(0, job.plan, num), created=round.now,
            matches=tuple(Match(*match) for match in matched), prior=bool(row[10]),
        )  # fmt: skip
        _give_up_result(round, row[6])
        enqueue(round, job, datum, order)


def run_again(round: Round, job: Job) -> bool:
    """Whether datums must run first that no change of inputs asks for.

    Those that were asked for (`restart-datum`, new references), and those that the job before
    recovered from (ENGINE S4). Asked of the oldest job, when it is complete: only then is it known
    which datum each identity has. One whose file holds other bytes by now is nobody's, and its
    output would stand in the place of the present one's (ENGINE S1).
    """
    if job.retried or job.full:
        return False
    job.retried = True
    recovers = bool(job.pipeline.spec.transform.err_cmd)
    if not job.forced and not recovers:
        return False
    flush_datums(round)
    wanted = {num for num in job.forced if _is_present(round, job, num)}
    if recovers:
        found = round.rows.all(
            "recovered_members", name=job.pipeline.family, pipeline=job.pipeline.id
        )
        wanted.update(num for num, ident in found if _is_untouched(job, ident))
    job.forced.update(wanted)
    _force(round, job, wanted)
    return job.pending > 0


def _is_untouched(job: Job, ident: bytes) -> bool:
    return ident not in job.gone and ident not in job.effects


def _is_present(round: Round, job: Job, num: int) -> bool:
    """Whether an identity has this datum by now, and the job changes nothing about it."""
    row = round.rows.one("datum_by_num", num=num)
    if row is None or not _is_untouched(job, bytes(row[2])):
        return False
    present = round.rows.one("member", pipeline=job.pipeline.id, ident=row[2])
    return present is not None and present[0] == num


def undo(round: Round, job: Job) -> None:
    """Forget what a job was found to need: its base has failed, or the job is given up."""
    nums = {effect.datum for effect in job.effects.values() if effect.how == ""}
    for num in nums:
        datum = round.memory.datums.get(num)
        if datum is not None and job in datum.jobs:
            datum.jobs.remove(job)
            if not datum.jobs and datum.state == "queued":
                readiness.drop(round, datum)
    effects.forget(job)
    job.expanded, job.expansion, job.now, job.retried = False, None, None, False
    job.state = "CREATED"
    round.dirty_job(job)
