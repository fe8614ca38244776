"""Who works on what: leases, reports, heartbeats.

A datum is leased to one worker; only that lease's report counts. A worker that has not spoken for
`LEASE` seconds has lost its leases (ENGINE C2). A lost lease uses no try, but three of them fail
the datum, so that no picture is retried for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from heapq import heappop, heappush

from vedette.decide.retry import backoff
from vedette.model.events import Event
from vedette.model.work import Result, Task
from vedette.scheduling import effects, expansion, hosts, readiness, tasks
from vedette.scheduling.portions import full
from vedette.scheduling.rounds import Round, encode
from vedette.scheduling.running import Datum, Effect, Heap, Memory, Pipeline, Worker
from vedette.versioning import contents
from vedette.versioning.contents import Prepared

LEASE = 10.0
"""Seconds that a worker may be silent."""

SOON = 0.02
"""Seconds of work behind which a datum may wait though nothing else is queued."""

LOST_LIMIT = 3
WORK = 0.1
"""Seconds of work that a worker holds at most, one datum at least."""


def report(
    round: Round, worker: str, results: Sequence[Result], stored: Sequence[Sequence[Prepared]]
) -> list[int]:
    """Take results in; answers the leases that no longer counted.

    `stored` has the bytes that each result brings along, in the order of its outputs.
    """
    refused = []
    hand = round.memory.workers.get(worker)
    for result, prepared in zip(results, stored, strict=True):
        datum = round.memory.datums.get(result.datum)
        if datum is None or datum.lease != result.lease or datum.state != "leased":
            refused.append(result.lease)
            continue
        if hand is not None:
            hand.leases.pop(datum.num, None)
        _logs(round, datum, result)
        if result.state in ("not_ready", "crash"):
            _crashed(round, datum, result)
        elif result.state == "lost":
            _lost(round, datum, result.reason, counts=result.tries > 0)
        else:
            for each in prepared:
                contents.store(round.tx, each)
            _ended(round, datum, result)
    if hand is not None:
        hand.seen = round.now
    return refused


def _logs(round: Round, datum: Datum, result: Result) -> None:
    if result.logs:
        round.rows.many(
            "add_log",
            [
                {"datum": datum.num, "job": datum.job, "pipeline": datum.pipeline.family,
                 "at": e.at, "attempt": e.attempt, "stream": e.stream, "text": e.text}
                for e in result.logs
            ],
        )  # fmt: skip


def _ended(round: Round, datum: Datum, result: Result) -> None:
    """A datum has its result: success, failed or recovered."""
    pipeline = datum.pipeline
    pipeline.seconds += 0.2 * (result.seconds - pipeline.seconds)
    if pipeline.state not in ("RUNNING", "PAUSED"):
        pipeline.failures, pipeline.retry_at, pipeline.probe = 0, 0, 0
        round.set_state(pipeline, "RUNNING")
    datum.result, datum.finished = result, round.now
    if datum.jobs:
        datum.refs = expansion.references(datum.jobs[0])
    datum.tries, datum.reason = datum.tries + result.tries, result.reason
    datum.state = "done" if result.state == "success" else result.state
    outputs = tuple((o.path, o.object, o.size) for o in result.outputs)
    if result.state == "success":
        datum.encoded = encode(outputs)
        if datum.jobs:
            round.memory.hint(datum.jobs[0].commit_id, datum.worker)
    _settle(round, datum, result, outputs)


def _settle(
    round: Round, datum: Datum, result: Result, outputs: tuple[tuple[str, bytes, int], ...]
) -> None:
    memory = round.memory
    memory.datums.pop(datum.num, None)
    memory.by_key.pop(datum.key, None)
    if datum.jobs and datum.job not in [job.num for job in datum.jobs]:
        datum.job = datum.jobs[0].num
    for job in datum.jobs:
        own = job.num == datum.job
        how = "run" if own else "cached"
        if result.state != "success":
            how = result.state
        known = job.effects.get(datum.ident)
        if known is not None:
            effects.settle(round, job, datum.ident, Effect(datum.num, known.order, how, outputs))
        job.pending -= 1
        if own:
            job.download += result.download
            job.upload += result.upload
        round.dirty_job(job)
    datum.jobs = []
    round.dirty_datum(datum)
    round.touch(datum.pipeline)
    if result.state == "failed":
        round.events.append(
            Event(kind="datum", pipeline=datum.pipeline.family, number=datum.num, state="failed")
        )


def _lost(round: Round, datum: Datum, reason: str, counts: bool) -> None:
    """A lease ended without a result."""
    datum.lost += int(counts)
    if datum.lost >= LOST_LIMIT:
        text = reason or "its worker vanished"
        failure = Result(
            datum=datum.num, lease=datum.lease, state="failed", tries=0,
            reason=f"{datum.lost} leases were lost; the last: {text}",
        )  # fmt: skip
        _ended(round, datum, failure)
        return
    requeue(round, datum)


def requeue(round: Round, datum: Datum) -> None:
    """Offer a datum again."""
    datum.state, datum.worker, datum.lease = "queued", "", 0
    if datum.pipeline.probe == datum.num:
        datum.pipeline.probe = 0
    round.dirty_datum(datum)
    if not datum.jobs:
        readiness.drop(round, datum)
    else:
        readiness.push(round.memory, datum)


def _crashed(round: Round, datum: Datum, result: Result) -> None:
    """The pipeline can't work yet: the datum goes back, no try is used (ENGINE C3)."""
    pipeline = datum.pipeline
    datum.newest_references = True
    counts = pipeline.probe == datum.num or pipeline.state != "CRASHING"
    requeue(round, datum)
    if pipeline.state == "PAUSED":
        return
    if counts:
        pipeline.failures += 1
        pipeline.retry_at = round.now + int(backoff(pipeline.failures, longest=30.0) * 1e6)
    round.set_state(pipeline, "CRASHING", result.reason)


def retry_now(round: Round, pipeline: Pipeline) -> None:
    """New input may mend a crashing pipeline: try at once."""
    if pipeline.state == "CRASHING" and pipeline.pool is not None:
        pipeline.retry_at, pipeline.failures = 0, 0


def register(round: Round, worker: Worker) -> None:
    """Make a worker known, or change what a known one serves; it keeps its leases."""
    known = round.memory.workers.get(worker.name)
    if known is not None:
        worker.leases = known.leases
    round.memory.workers[worker.name] = worker
    for pipeline in round.memory.order:
        if pipeline.problem:
            hosts.look(round, pipeline)


def give_back(round: Round, worker: str, leases: Collection[int]) -> None:
    """Leases that never reached the worker are free, and do not count as lost."""
    hand = round.memory.workers.get(worker)
    if hand is None:
        return
    for num in [num for num, lease in hand.leases.items() if lease in leases]:
        del hand.leases[num]
        datum = round.memory.datums.get(num)
        if datum is not None and datum.state == "leased" and datum.lease in leases:
            requeue(round, datum)


def revoke(round: Round, datum: Datum) -> None:
    """Nobody needs a datum that runs: its worker is told to stop it, and its answer is refused."""
    hand = round.memory.workers.get(datum.worker)
    if hand is not None and hand.leases.pop(datum.num, None) is not None:
        hand.revoked = [*hand.revoked[-63:], datum.lease]
    readiness.drop(round, datum)


def release(round: Round, worker: str, reason: str, *, counts: bool = True) -> None:
    """A worker has gone: what it had is free at once. `counts`: it counts as lost (ENGINE C2)."""
    hand = round.memory.workers.pop(worker, None)
    if hand is None:
        return
    for num in hand.leases:
        datum = round.memory.datums.get(num)
        if datum is not None and datum.state == "leased" and datum.worker == worker:
            _lost(round, datum, reason, counts=counts)


def lapse(round: Round) -> None:
    """Take the leases of workers that have been silent for too long."""
    limit = round.now - int(LEASE * 1e6)
    silent = [w.name for w in round.memory.workers.values() if w.seen < limit]
    for name in silent:
        hand = round.memory.workers[name]
        if hand.leases or hand.host:  # a worker of our own process that has nothing may be silent
            release(round, name, f"worker {name} was silent for {LEASE:.0f} s")


def assign(round: Round, waiting: dict[str, int]) -> None:
    """Lease ready datums to the workers that wait: `waiting` has room by worker.

    Who has nothing to do comes first, so that nothing waits behind another while a worker idles.
    A worker is offered what follows from what it just made, whose pictures it still has in memory,
    or what nobody has; only then what another has.
    """
    memory = round.memory
    hands, heaps = [], {}
    for name in waiting:
        hand = memory.workers.get(name)
        offered = readiness.heaps_for(memory, hand) if hand is not None else []
        if hand is not None and any(offered):
            hands.append(hand)
            heaps[name] = offered
    hands.sort(key=lambda hand: (len(hand.leases), hand.name))
    idle = [hand for hand in hands if not hand.leases]
    busy = [hand for hand in hands if _may_hold_more(memory, hand)]
    for few, own in ((idle, True), (idle, False), (busy, True), (busy, False)):
        for hand in few:
            groups = heaps[hand.name][:2] if own else heaps[hand.name][2:]
            if not any(groups) or (few is idle and (hand.leases or _full(memory, hand))):
                continue
            taken = round.leased.setdefault(hand.name, [])
            room = waiting[hand.name] - len(taken)
            for group in groups:
                room -= _fill(round, hand, min(room, 1) if few is idle else room, taken, group)
                if few is idle and hand.leases:
                    break
    round.leased = {name: found for name, found in round.leased.items() if found}


def _may_hold_more(memory: Memory, hand: Worker) -> bool:
    """Whether a worker is given more than it works on: if that is soon done, or there is a queue.

    Without a queue the next datum goes to whoever is free first.
    """
    alike = sum(worker.pool == hand.pool for worker in memory.workers.values())
    return _held(memory, hand) < SOON or readiness.waiting(memory, hand.pool) > alike


def _full(memory: Memory, hand: Worker) -> bool:
    """Whether as many workers of a command are busy, on all hosts together, as its spec says."""
    pool = next((p.pool for p in memory.order if p.pool and p.pool.key == hand.pool), None)
    if pool is None or pool.kind != "command":
        return False
    alike = (worker for worker in memory.workers.values() if worker.pool == hand.pool)
    return sum(bool(worker.leases) for worker in alike) >= pool.slots


def _held(memory: Memory, hand: Worker) -> float:
    """Seconds of work that a worker has."""
    return sum(memory.datums[n].pipeline.seconds for n in hand.leases if n in memory.datums)


def _fill(round: Round, hand: Worker, room: int, taken: list[Task], heaps: list[Heap]) -> int:
    """Lease up to `room` datums of some heaps, the oldest first; how many."""
    memory = round.memory
    before = len(taken)
    held = _held(memory, hand)
    passed: list[tuple[Heap, tuple[tuple[int, int, int], int]]] = []
    while room > 0 and len(passed) < 64 and (held < WORK or not hand.leases):
        heap = min((each for each in heaps if each), key=_oldest, default=None)
        if heap is None:
            break
        entry = heappop(heap)
        datum = memory.datums.get(entry[1])
        if datum is None or datum.state != "queued":
            continue
        if full(memory, hand, datum) or not _may_run(round, datum.pipeline, datum):
            passed.append((heap, entry))
            continue
        taken.append(_lease(round, hand, datum))
        held += datum.pipeline.seconds
        room -= 1
    for heap, entry in passed:
        heappush(heap, entry)
    return len(taken) - before


def _oldest(heap: Heap) -> tuple[tuple[int, int, int], int]:
    return heap[0]


def _may_run(round: Round, pipeline: Pipeline, datum: Datum) -> bool:
    """A crashing pipeline is tried with one datum at a time, after its back-off."""
    if pipeline.state != "CRASHING":
        return True
    if round.now < pipeline.retry_at or pipeline.probe:
        return False
    pipeline.probe = datum.num
    return True


def _lease(round: Round, hand: Worker, datum: Datum) -> Task:
    memory = round.memory
    datum.state, datum.worker, datum.lease = "leased", hand.name, memory.next_lease
    memory.next_lease += 1
    hand.leases[datum.num] = datum.lease
    if not datum.fresh:  # a datum of a large job that has no row yet gets it when it ends
        round.dirty_datum(datum)
    return tasks.task_of(round, datum)
