"""Pictures that could not be looked at: not silence, but an alert that says so (`on_error`)."""

from __future__ import annotations

import msgspec

from vedette.client import Client
from vedette.model.errors import Gone, NotFound
from vedette.model.job import DatumInfo
from vedette_cameras import names
from vedette_cameras.alert.follow import Follower, is_late, message_id
from vedette_cameras.alert.ledger import Ledger
from vedette_cameras.alert.record import Record
from vedette_cameras.alert.rules import RuleBook
from vedette_cameras.clock import Clock
from vedette_cameras.settings import Settings

PIPELINES = ("validate", "object-detect", "judge", "threat-detect")
_PAGE = 1000
_SINGLE = 10
_REASON = 500


class Failures:
    """Finds failed datums of the pipelines that pictures go through."""

    def __init__(
        self,
        client: Client,
        ledger: Ledger,
        rules: RuleBook,
        follower: Follower,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._rules = rules
        self._follower = follower
        self._settings = settings
        self._clock = clock
        self._told: set[int] = set()

    def begin(self) -> None:
        """Start afresh after the ledger was taken over."""
        self._told.clear()

    async def look(self) -> None:
        """Put what has failed since into the ledger; returns when it is durable."""
        async with self._follower.lock:
            found = [
                datum
                for datum in await failed(self._client, PIPELINES)
                if datum.number not in self._told
            ]
            if not found:
                return
            made: dict[str, Record] = {}
            for datum in found:
                await self._add(datum, made)
            fresh = [record for record in made.values() if record.kind == "error"]
            for record in fresh:
                if record.recipients and (
                    len(fresh) > _SINGLE or is_late(record, self._settings.max_age)
                ):
                    made[record.path] = await self._follower.late(record, made)
            if made:
                await self._ledger.write(made.values())
            self._told.update(datum.number for datum in found)

    async def _add(self, datum: DatumInfo, made: dict[str, Record]) -> None:
        image = await image_of(self._client, datum)
        key = image or f"/datum-{datum.number}"
        commit = await self._rules.head()
        device, captured = "", None
        try:
            parsed = names.parse(key.rpartition("/")[2])
            device, captured = parsed.device, parsed.captured_at
        except names.PictureNameError:
            pass
        held = await self._rules.of(commit, device) if commit else None
        recipients = held.to_email if held else ()
        record = Record(
            key=key,
            number=self._ledger.next_number(),
            kind="error",
            state="queued" if recipients else "recorded",
            reason=f"{datum.pipeline} failed: {datum.reason}"[:_REASON],
            device=device,
            captured_at=captured,
            received_at=await self._follower.received(key),
            decided_at=self._clock.now(),
            rules=commit,
            time_zone=await self._follower.time_zone(device),
            sender=(held.from_email if held else "") or self._settings.from_email,
            recipients=recipients,
            message_id=message_id(f"/on_error{key}", datum.id),
        )
        if record.path not in made and not await self._ledger.has(record.path):
            made[record.path] = record


async def failed(client: Client, pipelines: tuple[str, ...]) -> list[DatumInfo]:
    """Every failed datum of some pipelines."""
    found: list[DatumInfo] = []
    after = 0
    while page := await client.failed_datums(after=after, limit=_PAGE):
        found += [datum for datum in page if datum.pipeline in pipelines]
        if len(page) < _PAGE:
            break
        after = page[-1].number
    return found


async def image_of(client: Client, datum: DatumInfo) -> str:
    """The picture that a datum was about, or empty when it was about no single one."""
    for leaf in datum.inputs:
        if leaf.repo == "images":
            return leaf.path
        if leaf.repo == "validate":
            return "/" + leaf.path.rpartition("/")[2]
        if leaf.repo in ("object-detect", "judge") and leaf.path.endswith(".json"):
            return await _image_in(client, leaf.repo, leaf.path)
    return ""


async def _image_in(client: Client, repo: str, path: str) -> str:
    try:
        document = msgspec.json.decode(
            await client.get_file(repo, "master", path), type=dict[str, msgspec.Raw]
        )
        return str(msgspec.json.decode(document["image"], type=str))
    except (NotFound, Gone, msgspec.MsgspecError, KeyError):
        device, _, stamp = path.strip("/").removesuffix(".json").partition("/")
        return f"/{device}_{stamp}.jpg"
