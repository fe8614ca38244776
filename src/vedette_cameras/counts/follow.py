"""Keeps the line of truth up to date by following what the pipelines' commits did.

The cost follows the change: each look reads the changes since the last one. On start, and when a
pipeline appears or goes, the marks are built once from what the repos hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from vedette.client import Client
from vedette.model.api import NumberedChange
from vedette.model.errors import Gone, NotFound, VedetteError
from vedette.model.job import TERMINAL
from vedette_cameras.alert.failures import PIPELINES, failed, image_of
from vedette_cameras.alert.ledger import Ledger
from vedette_cameras.alert.record import Record
from vedette_cameras.counts.tally import (
    ALERTED,
    FAILED,
    INVALID,
    JUDGED,
    PRESENT,
    SUPPRESSED,
    THREAT,
    VALID,
    Summary,
    Tally,
    stem_of_result,
)

THREATS = "threat-detect"
_PAGE = 2000
_FOLLOWED = ("images", "validate", "object-detect", "judge", THREATS)
_FAILED_EVERY = 10.0
REST = 0.1
"""Seconds between two answers at least."""

_SHARE = 20
"""A rest is so many times as long as the answer before took."""

_LONGEST_REST = 0.3


class _Seen(msgspec.Struct, frozen=True):
    image: str = ""


_seen = msgspec.json.Decoder(_Seen)


class Counts:
    """The counts of an installation, and the background service that keeps them."""

    name = "counts"

    def __init__(self, client: Client, ledger: Ledger) -> None:
        self.tally = Tally()
        self._client = client
        self._cursors: dict[str, int] = {}
        self._lock = asyncio.Lock()
        self._next_look: asyncio.Future[None] | None = None
        self._answering = asyncio.Lock()
        self._next_answer: asyncio.Future[Summary] | None = None
        self._rested = 0.0
        self._decided = ("", 0)
        self._failed_looked = -_FAILED_EVERY
        self._failed_moved = True
        self._ledger_marks: dict[str, int] = {}
        self._happened = asyncio.Event()
        ledger.listen(self._told)

    async def run(self) -> None:
        """Follow until cancelled, so that an answer needs little reading."""
        listener = asyncio.create_task(self._listen())
        try:
            while True:
                self._happened.clear()
                await self._refresh()
                await asyncio.sleep(1.0)
                await self._happened.wait()
        finally:
            listener.cancel()

    async def pending(self) -> int:
        """Nothing waits on the counts."""
        return 0

    async def summary(self) -> Summary:
        """The line of truth, not older than the question.

        Those who ask at once share one answer, and between answers is a rest: so however often it
        is asked, and by however many, the counting takes a small part of the time.
        """
        if self._next_answer is None:
            self._next_answer = asyncio.ensure_future(self._answered())
        return await asyncio.shield(self._next_answer)

    async def _answered(self) -> Summary:
        clock = asyncio.get_running_loop()
        async with self._answering:
            await asyncio.sleep(max(0.0, self._rested - clock.time()))
            self._next_answer = None  # who asks from here on may know of more than this one sees
            begin = clock.time()
            try:
                return await self.now()
            finally:
                took = clock.time() - begin
                self._rested = clock.time() + min(max(REST, _SHARE * took), _LONGEST_REST)

    async def now(self) -> Summary:
        """The line of truth, for this caller alone."""
        await self._refresh()
        if self.tally.summary().in_flight:
            return await self._at_rest()
        return self.tally.summary()

    async def _listen(self) -> None:
        while True:
            try:
                async for event in self._client.events():
                    if event.kind in ("datum", "job", "pipeline"):
                        self._failed_moved = True
                    if event.kind in ("datum", "pipeline") or (
                        event.kind == "commit" and event.repo in _FOLLOWED
                    ):
                        self._happened.set()
            except VedetteError:
                pass  # the next look reads what was missed
            await asyncio.sleep(1.0)

    async def _refresh(self) -> None:
        """Read what had happened by now. Those who ask while one looks share the next look."""
        if self._next_look is None:
            self._next_look = asyncio.ensure_future(self._look())
        await asyncio.shield(self._next_look)

    async def _look(self) -> None:
        async with self._lock:
            self._next_look = None
            if not await self._read_changes():
                await self._rebuild()
            await self._read_failed()

    async def _read_changes(self) -> bool:
        """Apply what has changed; False when pipelines came or went, and all is to be read."""
        cursors = dict(self._cursors)
        found: dict[str, list[NumberedChange]] = {}
        judging = "judge" if "judge" in cursors else "object-detect"
        decided = await self._decided_to(judging) if judging in cursors else 0
        present = set()
        # What comes last in the flow is read first, and applied last: so whatever is read of it
        # belongs to pictures that are known by then.
        for repo in reversed(_FOLLOWED):
            if repo == "object-detect" and "judge" in present:
                continue
            changes = found[repo] = []
            while True:
                try:
                    page = await self._client.changes(
                        repo, "master", after=cursors.get(repo, 0), limit=_PAGE
                    )
                except NotFound:
                    break
                present.add(repo)
                if repo not in self._cursors:
                    return False
                whole = len(page.changes) < _PAGE and page.number - cursors[repo] < _PAGE
                end = min(page.number, decided) if repo == judging else page.number
                changes += [entry for entry in page.changes if entry.number <= end]
                if end <= cursors[repo]:
                    break
                cursors[repo] = end
                if whole:  # what has come since belongs to the next look
                    break
        if present != set(self._cursors):
            return False
        for repo in _FOLLOWED:
            if repo in present:
                await self._apply(repo, found.get(repo, ()))
        self._cursors = cursors
        return True

    async def _decided_to(self, judging: str) -> int:
        """The number of the last commit of judge (or object-detect) that threat-detect has read.

        What was judged later may yet turn out to be a threat, so it is not clean so far.
        """
        try:
            head = await self._client.inspect_commit(THREATS, "master")
        except NotFound:
            return 0
        if head.id != self._decided[0]:
            try:
                same = await self._client.inspect_commit(judging, head.id)
                self._decided = (head.id, same.number)
            except NotFound:
                # Woken by another input, such as new rules: all is decided when no job is left.
                with suppress(NotFound):
                    newest = await self._client.inspect_commit(judging, "master")
                    jobs = await self._client.list_job(THREATS, limit=1)
                    if jobs and jobs[0].state in TERMINAL:
                        self._decided = (self._decided[0], newest.number)
        return self._decided[1]

    async def _rebuild(self) -> None:
        self.tally = Tally()
        self._cursors, self._decided = {}, ("", 0)
        heads: dict[str, str] = {}
        for repo in reversed(_FOLLOWED):
            try:
                await self._client.inspect_repo(repo)
            except NotFound:
                continue
            try:
                head = await self._client.inspect_commit(repo, "master")
            except NotFound:
                self._cursors[repo] = 0
                continue
            self._cursors[repo], heads[repo] = head.number, head.id
        if "judge" in self._cursors:
            self._cursors.pop("object-detect", None)
        judging = "judge" if "judge" in self._cursors else "object-detect"
        if judging in heads:
            # Read as of the last commit that is decided upon; what came later follows as changes.
            self._cursors[judging] = await self._decided_to(judging)
            heads[judging] = await self._commit_at(judging, self._cursors[judging])
        for repo in _FOLLOWED:
            if heads.get(repo) and repo in self._cursors:
                await self._read_all(repo, heads[repo])
        for image, mark in self._ledger_marks.items():
            self.tally.mark(image, mark)
        self._failed_moved = True

    async def _commit_at(self, repo: str, number: int) -> str:
        """The id of the commit with this number, or empty."""
        found = await self._client.list_commit(repo, "master", before=number + 1, limit=1)
        return found[0].id if found and number else ""

    async def _read_all(self, repo: str, commit: str) -> None:
        patterns = {"images": ("/*",), "validate": ("/invalid/*", "/valid/*")}
        for pattern in patterns.get(repo, ("/*/*",)):
            after = ""
            while page := await self._client.glob_file(
                repo, commit, pattern, after=after, limit=_PAGE
            ):
                for file in page:
                    if file.type == "file" or repo == "images":
                        await self._one(repo, file.path, commit, gone=False)
                after = page[-1].path
                await asyncio.sleep(0)

    async def _apply(self, repo: str, changes: Sequence[NumberedChange]) -> None:
        for n, entry in enumerate(changes):
            change = entry.change
            await self._one(repo, change.path, entry.commit, gone=change.change == "deleted")
            if n % 200 == 199:
                await asyncio.sleep(0)

    async def _one(self, repo: str, path: str, commit: str, *, gone: bool) -> None:
        """Take note of one file that is there, or is gone."""
        if repo == "images":
            if path.count("/") == 1:
                self.tally.mark(path, PRESENT, on=not gone)
            return
        if repo == "validate":
            mark = {"invalid": INVALID, "valid": VALID}.get(path[1:].partition("/")[0])
            image = "/" + path.rpartition("/")[2]
            if mark and self.tally.marks(image) & PRESENT:
                self.tally.mark(image, mark, on=not gone)
            return
        mark = THREAT if repo == THREATS else JUDGED
        images = self.tally.of_stem(stem_of_result(path))
        if gone or len(images) == 1:
            for image in images:
                self.tally.mark(image, mark, on=not gone)
        elif images:
            winner = await self._image_in(repo, commit, path)
            for image in images:
                self.tally.mark(image, mark, on=image == winner)

    async def _image_in(self, repo: str, commit: str, path: str) -> str:
        try:
            return _seen.decode(await self._client.get_file(repo, commit, path)).image
        except (NotFound, Gone, msgspec.MsgspecError):
            return ""

    async def _read_failed(self) -> None:
        now = asyncio.get_running_loop().time()
        if not self._failed_moved and now - self._failed_looked < _FAILED_EVERY:
            return
        self._failed_moved, self._failed_looked = False, now
        found = await failed(self._client, PIPELINES)
        images = [await image_of(self._client, datum) for datum in found]
        self.tally.only(FAILED, (i for i in images if self.tally.marks(i) & PRESENT))

    def _told(self, records: Sequence[Record]) -> None:
        """What the ledger says."""
        for record in records:
            if record.kind == "alert":
                mark = ALERTED if record.alerted else SUPPRESSED
                self._ledger_marks[record.key] = mark
                self.tally.mark(record.key, mark)

    async def _at_rest(self) -> Summary:
        """When no job is unfinished, nothing is in flight but alerts that are not on record yet.

        A detector of the user's own may write no file for a picture that shows nothing: looked at
        and clean. What a failed job held is failed.
        """
        states = []
        for pipeline in reversed(
            PIPELINES
        ):  # while there is work, the last one most likely has some
            with suppress(NotFound):
                newest = await self._client.list_job(pipeline, limit=1)
                states += [job.state for job in newest]
                if any(state not in TERMINAL for state in states):
                    return self.tally.summary()
        if len(states) < 3:
            return self.tally.summary()
        # What those jobs did is read only now, so that nothing is taken for left over that is not.
        await self._refresh()
        found = self.tally.summary()
        left = [self.tally.marks(image) for image in self.tally.in_flight()]
        broken = any(state != "SUCCESS" for state in states)
        clean = 0 if broken else sum(bool(m & VALID and not m & THREAT) for m in left)
        lost = sum(not m & THREAT for m in left) if broken else 0
        return msgspec.structs.replace(
            found,
            clean=found.clean + clean,
            failed=found.failed + lost,
            in_flight=found.in_flight - clean - lost,
        )
