"""Copy the new output of jobs to a folder or a bucket (spec `egress`).

A job whose output commit is finished is EGRESSING until its files are outside: those that differ
from what the place holds, which is the output of the last job that got there. Threads of their own
do that, one a pipeline, in the order of the jobs. Names are the same each time, so that copying
again after a crash changes nothing; files that left the output stay where they were copied to.
A job that is stopped meanwhile ends after the file under way; the rest goes with the next job.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO

import structlog
from msgspec import Struct

from vedette.decide.retry import backoff
from vedette.metadata.store import Rows
from vedette.model import egress as places
from vedette.model.errors import Invalid, NotFound, VedetteError
from vedette.model.events import Event
from vedette.model.pipeline import Egress
from vedette.objects.outside import Outside, OutsideBucket, OutsideFolder, unreachable
from vedette.scheduling.loop import Loop
from vedette.scheduling.pipelines import stored_spec
from vedette.scheduling.rounds import Round
from vedette.versioning import commits, diff

TRIES = 6
LONGEST_DELAY = 30.0
_PAGE = 200
"""Files after which it is noted how far the copying got."""

_log = structlog.get_logger("vedette.egress")


class _Job(Struct, frozen=True):
    """A job whose output is to be copied."""

    num: int
    id: str
    pipeline: int
    commit: int
    name: str
    target: Egress


class Carriers:
    """Copies outputs for an installation. `roots` are the places that its settings allow.

    `folder` is for what is on its way to a bucket, and theirs alone. `pause` is given seconds
    between two tries, and returns early when it is time to end.
    """

    def __init__(
        self, loop: Loop, roots: Sequence[str], folder: Path,
        pause: Callable[[float], object] | None = None,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._folder = folder
        self._roots = tuple(roots)
        self._stopping = threading.Event()
        self._pause = pause or self._rest
        self._lock = threading.Lock()
        self._busy: dict[int, threading.Thread] = {}
        self._changed = threading.Event()
        self._forget: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin, with what an earlier server left undone."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, mode=0o700)
        self._forget = self._loop.listen(self._heard)
        threading.Thread(target=self._look, name="vedette-egress", daemon=True).start()

    def stop(self) -> None:
        """End after the file under way; the rest is done when a server starts again."""
        self._forget()
        self._stopping.set()
        self._changed.set()
        with self._lock:
            threads = list(self._busy.values())
        for thread in threads:
            thread.join()

    def _heard(self, events: list[Event]) -> None:
        states = {event.state for event in events if event.kind == "job"}
        if "KILLED" in states:
            self._changed.set()
        if "EGRESSING" in states:
            threading.Thread(target=self._look, name="vedette-egress", daemon=True).start()

    def _look(self) -> None:
        """See to it that every pipeline with something to copy has a thread that does it."""
        try:
            waiting = {job.pipeline for job in self._waiting()}
        except VedetteError as error:
            _log.warning("egress not looked at", error=error.message)
            return
        with self._lock:
            for pipeline in waiting - self._busy.keys():
                if self._stopping.is_set():
                    return
                self._busy[pipeline] = thread = threading.Thread(
                    target=self._serve, args=(pipeline,), name="vedette-egress", daemon=True
                )
                thread.start()

    def _waiting(self) -> list[_Job]:
        with self._loop.store.read() as rows:
            found = []
            for num, job, pipeline, _, commit, name, document in rows.all("egressing_jobs"):
                target = stored_spec(document).egress or Egress(url="")
                found.append(_Job(num, job, pipeline, commit, name, target))
            return found

    def _serve(self, pipeline: int) -> None:
        try:
            self._work_off(pipeline)
        except VedetteError as error:  # rows cannot be read now: the next job looks again
            _log.warning("egress interrupted", error=error.message)
        finally:
            with self._lock:
                self._busy.pop(pipeline, None)

    def _work_off(self, pipeline: int) -> None:
        while not self._stopping.is_set():
            # Whoever adds a job after this look finds the thread gone, and starts another.
            with self._lock:
                mine = [job for job in self._waiting() if job.pipeline == pipeline]
                if not mine:
                    self._busy.pop(pipeline, None)
                    return
            self._job(mine[0])

    def _job(self, job: _Job) -> None:
        reason = ""
        for number in range(1, TRIES + 1):
            try:
                self._carry(job)
            except Exception as error:  # noqa: BLE001 - any fault of a place outside ends in the job's reason
                reason = error.message if isinstance(error, VedetteError) else f"{error}"
                _log.warning("egress failed", pipeline=job.name, job=job.id, error=reason)
            else:
                self._end(job, "SUCCESS", "")
                return
            self._changed.clear()
            if number < TRIES and self._goes_on(job):
                self._pause(backoff(number, longest=LONGEST_DELAY))
            if not self._goes_on(job):
                return
        self._end(job, "FAILURE", f"egress failed {TRIES} times, its output commit stays: {reason}")

    def _rest(self, seconds: float) -> None:
        """Wait between two tries, until some job is stopped or the server stops at most."""
        self._changed.wait(seconds)

    def _goes_on(self, job: _Job) -> bool:
        """Whether a job is still to be copied now."""
        if self._stopping.is_set():
            return False
        with self._loop.store.read() as rows:
            return rows.one("egressing_job", num=job.num) is not None

    def _carry(self, job: _Job) -> None:
        url = job.target.url
        try:
            place = self._place(job)
            with tempfile.TemporaryFile("w+", encoding="utf-8") as spool:
                done = self._list(job, spool)
                for path, name, size in map(json.loads, spool):
                    if not self._goes_on(job):
                        raise Invalid("it was stopped")
                    fetch = partial(self._loop.source.fetch, bytes.fromhex(name), size)
                    place.put(path, fetch)
                    done += 1
                    if done % _PAGE == 0:
                        place.sync()
                        self._note(job, after=path)
            place.sync()
        except OSError as error:
            raise unreachable(url, error) from None

    def _list(self, job: _Job, spool: IO[str]) -> int:
        """Write down what must be copied, so that no snapshot is held meanwhile."""
        with self._loop.store.read() as rows:
            base, after = _base(rows, job)
            head = commits.by_num(rows, job.commit)
            for change in diff.changes(rows, base, head):
                if change.after is not None and change.path > after:
                    file = change.after
                    spool.write(json.dumps([file.path, file.object.hex(), file.size]) + "\n")
        spool.seek(0)
        return 0

    def _place(self, job: _Job) -> Outside:
        target = job.target
        places.check(target, self._roots)
        if not target.url.startswith(places.BUCKET):
            return OutsideFolder(places.folder_of(target.url))
        if not target.secret:
            return OutsideBucket(target.url, os.environ, self._folder)
        with self._loop.store.read() as rows:
            values: dict[str, bytes] = dict(rows.all("secret_values", name=target.secret))
        if not values:
            raise NotFound(f"egress.secret: secret {target.secret} does not exist")
        environ = {key: bytes(value).decode() for key, value in values.items()}
        return OutsideBucket(target.url, environ, self._folder)

    def _note(self, job: _Job, after: str) -> None:
        def work(round: Round) -> None:
            found = round.rows.one("egress_state", pipeline=job.pipeline)
            known = found[1] if found is not None and found[0] == job.target.url else 0
            _set(round.rows, job, known, after)

        self._loop.enter(work).result()

    def _end(self, job: _Job, state: str, reason: str) -> None:
        def work(round: Round) -> None:
            if round.rows.one("pipeline_by_name", name=job.name) is None:
                return
            if state == "SUCCESS":
                _set(round.rows, job, job.commit, "")
            if round.rows.run(
                "end_egress", num=job.num, state=state, reason=reason, finished=round.now
            ):  # it may have been stopped just now
                round.events.append(Event(kind="job", pipeline=job.name, id=job.id, state=state))

        try:
            self._loop.enter(work, durable=True).result()
        except VedetteError as error:  # the server ends: it is found again
            _log.warning("egress not noted", job=job.id, error=error.message)
            self._stopping.set()


def _set(rows: Rows, job: _Job, commit: int, after: str) -> None:
    rows.run(
        "set_egress", pipeline=job.pipeline, target=job.target.url, cmt=commit,
        job=job.num, after=after,
    )  # fmt: skip


def _base(rows: Rows, job: _Job) -> tuple[commits.CommitRow | None, str]:
    """The commit that the place holds, None for none; and the path up to which this job got."""
    found = rows.one("egress_state", pipeline=job.pipeline)
    if found is None or found[0] != job.target.url:
        return None, ""
    after = found[3] if found[2] == job.num else ""
    try:
        return (commits.by_num(rows, found[1]) if found[1] else None), after
    except NotFound:  # it was squashed
        return None, after
