"""What a pipeline would do with its inputs as they are now: how many datums run, and why (U1).

The datums are formed and looked up as a job would do it, in a snapshot, up to a limit of number and
time; nothing is written. What comes after the snapshot is not in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice

import msgspec
from msgspec import Struct

from vedette.decide.tree import Combination
from vedette.metadata.store import Row, Rows
from vedette.scheduling import keys, preview
from vedette.scheduling.rounds import Round
from vedette.scheduling.running import Job

LIMIT = 50_000
"""Datums that are looked at."""

SECONDS = 2.0
"""How long datums are looked at."""

EXPLAINED = 1_000
"""Datums that run of which it is asked why."""

_PAGE = 64
_stored = msgspec.msgpack.Decoder(list[tuple[int, str, bytes | None, int]])


class Forecast(Struct, frozen=True, kw_only=True):
    """How many datums run and how many are skipped; `reasons` counts why they run.

    `waits_for` names inputs that have no commit yet: then there is no job (ENGINE T1). `complete`
    is False where there are more datums than were looked at.
    """

    run: int = 0
    skipped: int = 0
    reasons: dict[str, int] = {}
    waits_for: tuple[str, ...] = ()
    complete: bool = True


def forecast(
    rows: Rows, row: Row, *, fresh: bool = False, clock: Callable[[], float] = time.monotonic
) -> Forecast:
    """What a pipeline of this row would do; of one that does not exist yet the number is 0.

    `fresh`: nothing counts as done. `clock` gives seconds.
    """
    end = clock() + SECONDS
    with preview.formed(rows, row, LIMIT, lambda: clock() > end) as formed:
        if formed.waits_for:
            return Forecast(waits_for=formed.waits_for)
        every_job = formed.job.pipeline.spec.reprocess_every_job
        counted = _Counting(formed.round, formed.job, fresh or every_job)
        found = formed.combinations()
        try:
            for page in iter(lambda: list(islice(found, min(_PAGE, counted.left))), []):
                counted.add(page)
            return counted.answer(complete=next(found, None) is None)
        except preview.LateError:
            return counted.answer(complete=False)


class _Counting:
    def __init__(self, round: Round, job: Job, fresh: bool) -> None:
        self._round = round
        self._job = job
        self._fresh = fresh
        self._run = self._skipped = self._explained = 0
        self._reasons: dict[str, int] = {}

    @property
    def left(self) -> int:
        """How many datums may still be looked at."""
        return LIMIT - self._run - self._skipped

    def add(self, page: list[Combination]) -> None:
        """Look at some datums."""
        if self._fresh:
            self._run += len(page)
            return
        asked = [keys.key_of(self._round, self._job, each) for each in page]
        known = keys.rows_of(self._round, "datum_by_key", "datums_by_key", asked)
        states = {row[11]: row[1] for row in known}
        for combination, key in zip(page, asked, strict=True):
            if states.get(key) == "done":
                self._skipped += 1
            else:
                self._run += 1
                self._explain(combination, states.get(key, ""))

    def _explain(self, combination: Combination, state: str) -> None:
        if self._explained == EXPLAINED:
            return
        self._explained += 1
        reason = "they failed before" if state == "failed" else self._reason(combination)
        self._reasons[reason] = self._reasons.get(reason, 0) + 1

    def _reason(self, combination: Combination) -> str:
        rows, pipeline = self._round.rows, self._job.pipeline
        ident = keys.identity_of(self._job, combination)
        member = rows.one("member", pipeline=pipeline.id, ident=ident)
        before = None if member is None else rows.one("datum_by_num", num=member[0])
        if before is None:
            return "they are new"
        old = {(leaf, path): name for leaf, path, name, _size in _stored.decode(before[12])}
        changed = [
            pipeline.leaves[item.leaf].name
            for item in combination
            if not pipeline.leaves[item.leaf].reference
            and (item.object is None or old.get((item.leaf, item.path)) != item.object)
        ]
        if not changed:
            return "the spec changed"
        return f"{' and '.join(dict.fromkeys(changed))} changed"

    def answer(self, complete: bool) -> Forecast:
        """What was found."""
        return Forecast(
            run=self._run, skipped=self._skipped, complete=complete, reasons=self._reasons
        )


def told(found: Forecast, why: str = "") -> str:
    """The forecast in words: 3 run because model changed, 4,310 skipped. `why` goes for all."""
    if found.waits_for:
        return f"no job runs until there is a commit in {', '.join(found.waits_for)}"
    reasons = sorted(found.reasons.items(), key=lambda item: (-item[1], item[0]))
    if why:
        run = f"{found.run:,} run because {why}"
    elif len(reasons) == 1 and reasons[0][1] == found.run:
        run = f"{found.run:,} run because {reasons[0][0]}"
    elif found.run:
        parts = [f"{count:,} because {reason}" for reason, count in reasons]
        more = found.run - sum(count for _, count in reasons)
        run = f"{found.run:,} run ({', '.join(parts + ([f'{more:,} more'] if more else []))})"
    else:
        run = "0 run"
    seen = found.run + found.skipped
    if not found.complete and not seen:
        return f"how many run was not to be found within {SECONDS:g} s"
    bound = "" if found.complete else f" of the first {seen:,} datums, and there are more"
    return f"{run}, {found.skipped:,} skipped{bound}"
