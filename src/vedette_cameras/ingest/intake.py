"""The one place where pictures enter: a transaction that commits them and how they arrived.

One call is one commit. The path of every request runs through here, so nothing is listed or read
back: the transaction itself refuses what is there already, and only then is anything looked up.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime

import msgspec
from msgspec import Struct

from vedette.client import Client
from vedette.model.errors import Conflict, Invalid, NotFound, TooLarge
from vedette.model.files import Write
from vedette_cameras.clock import Clock
from vedette_cameras.devices import REPO, Device, Devices, check_device, path_of
from vedette_cameras.ingest.brands import Brand, NameReader
from vedette_cameras.ingest.kinds import EXTENSIONS
from vedette_cameras.ingest.offer import ARRIVALS, IMAGES, Named, Offer, settle
from vedette_cameras.settings import Settings

_ROUNDS = 1000
_RECENT = 4096


class Receipt(Struct, frozen=True, kw_only=True):
    """Where a picture is. `duplicate`: these bytes were there already; nothing was committed."""

    path: str
    commit: str
    duplicate: bool
    device: str | None
    captured_at: datetime | None


class _Place:
    """One picture of a call, and the name that it is given next."""

    def __init__(self, named: Named) -> None:
        self.named = named
        self.stems: Iterator[str] = named.stems()
        self.stem = next(self.stems)
        self.found: tuple[str, str] | None = None  # path and commit of the same bytes
        self.many_kinds = False

    @property
    def path(self) -> str:
        return f"/{self.stem}.{self.named.extension}"

    def advance(self) -> None:
        self.stem = next(self.stems)


class Intake:
    """Takes pictures in. Safe to use from many tasks at once."""

    def __init__(self, client: Client, settings: Settings, clock: Clock) -> None:
        self.devices = Devices(client, clock)
        self.settings = settings
        self.clock = clock
        self._client = client
        self._reader = NameReader([Brand(b.name, b.pattern) for b in settings.brands])
        # Which kind a stem was used for lately: dev1_1511891155 as .jpg and as .png would meet in
        # one detection file.
        self._recent: OrderedDict[str, str] = OrderedDict()

    async def receive(self, offers: Sequence[Offer], *, create: bool) -> list[Receipt]:
        """Commit pictures; returns when they are durable, one receipt each, in order.

        `create`: unknown devices are made known. Raises `TooLarge`, `Invalid` for a device name
        that cannot be, `Forbidden` for a device that is unknown or disabled, `NotFound` while the
        repos are not there.
        """
        for offer in offers:
            if len(offer.data) > self.settings.max_bytes:
                raise TooLarge(
                    f"picture {offer.original_name or 'of ' + offer.device!r}:"
                    f" {len(offer.data):,} bytes, at most {self.settings.max_bytes:,} are taken"
                )
        devices: dict[str, Device] = {}
        for _ in range(_ROUNDS):
            places, writes = await self._settle(offers, devices, create=create)
            try:
                return await self._commit(places, writes, devices)
            except _DeviceMoved:
                for name in devices:
                    self.devices.forget(name)
                devices.clear()
        raise Conflict(f"device {offers[0].device!r} changes too often: send the picture again")

    async def _settle(
        self, offers: Sequence[Offer], devices: dict[str, Device], *, create: bool
    ) -> tuple[list[_Place], list[Write]]:
        """Name every picture; the writes are those that make its device known."""
        places = []
        writes: list[Write] = []
        for offer in offers:
            name = offer.device or self._device_of(offer)
            device = devices.get(name)
            if device is None and name:
                device, write = await self.devices.find(name, create=create)
                devices[name] = device
                if write is not None:
                    writes.append(write)
            time_zone = (device.time_zone if device else "") or self.settings.time_zone
            named = settle(offer, name, self._reader, time_zone)
            kind = named.kind.extension
            if device is not None and kind not in ("", "jpg", *device.kinds):
                device = msgspec.structs.replace(device, kinds=(*device.kinds, kind))
                devices[name] = device
                writes = [w for w in writes if w.path != path_of(name)]
                writes.append(self.devices.write(device))
            place = _Place(named)
            place.many_kinds = device is not None and bool(device.kinds)
            await self._avoid_other_kinds(place)
            places.append(place)
        return places, writes

    def _device_of(self, offer: Offer) -> str:
        """The device that a name gives, or empty when it gives none that can be."""
        parsed = self._reader.read(offer.original_name)
        if parsed is None or not parsed.device:
            return ""
        try:
            return check_device(parsed.device.replace("_", "-"))
        except Invalid:
            return ""

    async def _avoid_other_kinds(self, place: _Place) -> None:
        """Move on from a second that this device has used for a picture of another kind."""
        if not place.named.stem():
            return
        own = place.named.extension
        while True:
            known = self._recent.get(place.stem)
            if known is None and place.many_kinds and await self._exists_otherwise(place.stem, own):
                known = "another"
            if known in (None, own):
                self._recent[place.stem] = own
                if len(self._recent) > _RECENT:
                    self._recent.popitem(last=False)
                return
            place.advance()

    async def _exists_otherwise(self, stem: str, own: str) -> bool:
        for extension in EXTENSIONS:
            if extension != own and await self._look(f"/{stem}.{extension}") is not None:
                return True
        return False

    async def _commit(
        self, places: list[_Place], writes: list[Write], devices: dict[str, Device]
    ) -> list[Receipt]:
        for _ in range(_ROUNDS):
            new = await self._separate(places)
            if not new:
                return [self._receipt(place, "", new) for place in places]
            everything = [*writes]
            for place in new:
                everything += self._writes(place)
            try:
                result = await self._client.transaction(everything)
            except Conflict:
                if not await self._resolve(new):
                    if not writes:
                        raise
                    raise _DeviceMoved from None
                continue
            except NotFound as error:
                if not await self._make_repos():
                    raise NotFound(
                        f"{error.message}: set the cameras up with `vedette cameras init`"
                    ) from None
                continue
            for device in devices.values():
                self.devices.learn(device)
            return [self._receipt(place, result.id, new) for place in places]
        raise Conflict(f"{places[0].path}: too many pictures of one moment: send it again")

    async def _separate(self, places: list[_Place]) -> list[_Place]:
        """Those to be written, no two under one path; the same bytes twice are one."""
        taken: dict[str, _Place] = {}
        for place in places:
            while place.found is None and place.path in taken:
                if taken[place.path].named.object == place.named.object:
                    break
                await self._next(place)
            else:
                if place.found is None:
                    taken[place.path] = place
        return list(taken.values())

    @staticmethod
    def _writes(place: _Place) -> tuple[Write, Write]:
        return (
            Write(repo=IMAGES, path=place.path, data=place.named.offer.data, expect=""),
            Write(repo=ARRIVALS, path=f"{place.path}.json", data=place.named.arrival()),
        )

    async def _resolve(self, places: list[_Place]) -> bool:
        """After a conflict: find the same bytes, or another name; False when neither was needed."""
        moved = False
        for place in places:
            there = await self._look(place.path)
            if there is None:
                continue
            moved = True
            if there[0] == place.named.object:
                place.found = (place.path, there[1])
            else:
                await self._next(place)
        return moved

    async def _next(self, place: _Place) -> None:
        place.advance()
        await self._avoid_other_kinds(place)

    async def _make_repos(self) -> bool:
        """Where pictures were put by other ways, what ingest needs besides; whether it made any."""
        have = {repo.name for repo in await self._client.list_repo()}
        if IMAGES not in have:
            return False
        missing = [name for name in (ARRIVALS, REPO) if name not in have]
        for name in missing:
            with suppress(Conflict):
                await self._client.create_repo(name)
        return bool(missing)

    async def _look(self, path: str) -> tuple[str, str] | None:
        try:
            info = await self._client.inspect_file(IMAGES, "master", path)
        except NotFound:
            return None
        return info.object, info.commit

    @staticmethod
    def _receipt(place: _Place, commit: str, written: list[_Place]) -> Receipt:
        named = place.named
        path, made = place.found or (place.path, commit)
        return Receipt(
            path=path,
            commit=made,
            duplicate=place not in written,
            device=named.device or None,
            captured_at=named.captured_at,
        )


class _DeviceMoved(Exception):  # noqa: N818
    """Somebody else made the device known at the same instant."""
