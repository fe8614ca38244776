"""Cameras, as data: repo `devices`, one file each, and what of it is kept at hand.

The path of every request asks for a device, so all of them are in memory; they are read again when
the repo has moved on.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from vedette.client import Client
from vedette.model.errors import Conflict, Forbidden, Gone, Invalid, NotFound
from vedette.model.files import Write
from vedette_cameras.clock import Clock
from vedette_cameras.ingest.brands import zone

REPO = "devices"
_MAX_BYTES = 63
_FORBIDDEN = frozenset("_/\\\"'<>&?*#%:|")


class Device(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A camera. `kinds` lists the extensions that it has sent besides jpg."""

    name: str
    state: Literal["enabled", "disabled"] = "enabled"
    time_zone: str = ""
    owner: str = ""
    brand: str = ""
    created: datetime | None = None
    kinds: tuple[str, ...] = ()


_decoder = msgspec.json.Decoder(Device)


def check_device(name: str) -> str:
    """Return `name` if it may name a device; raises `Invalid` with one that may."""
    if "_" in name:
        raise Invalid(
            f"device {name!r} holds '_', which separates device and time in file names:"
            f" use {name.replace('_', '-').strip('-') or 'camera'!r}"
        )
    if not 0 < len(name.encode("utf-8", "replace")) <= _MAX_BYTES:
        raise Invalid(f"device {name[:40]!r}: use 1 to {_MAX_BYTES} bytes")
    if name != name.strip() or name.startswith((".", "-")):
        raise Invalid(f"device {name!r}: begin and end with a letter or digit")
    for sign in name:
        if sign in _FORBIDDEN or unicodedata.category(sign)[0] in "CZ":
            raise Invalid(f"device {name!r} holds {sign!r}: use letters, digits, '-' and '.'")
    return name


def path_of(name: str) -> str:
    """Where a device's record is."""
    return f"/{name}.json"


class Devices:
    """The devices of an installation, as far as they have been asked for."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._known: dict[str, Device] = {}
        self._number = -1

    async def find(self, name: str, *, create: bool) -> tuple[Device, Write | None]:
        """The device, and the write that makes it if it is new and may be made.

        Raises `Invalid` for a name that cannot be, `Forbidden` for an unknown or disabled device.
        """
        device = self._known.get(name)
        if device is None:
            check_device(name)
            device = await self._read(name)
        if device is None:
            if not create:
                raise Forbidden(
                    f"device {name!r} is not known: add it with `vedette cameras device {name}`"
                )
            device = Device(name=name, created=self._clock.now())
            return device, self.write(device, expect="")
        if device.state != "enabled":
            raise Forbidden(
                f"device {name!r} is disabled: `vedette cameras device {name} --enable`"
            )
        return device, None

    async def known(self, name: str) -> Device | None:
        """The device, or None when there is none of this name."""
        return self._known.get(name) or await self._read(name)

    def write(self, device: Device, expect: str | None = None) -> Write:
        """The write that records a device."""
        data = msgspec.json.format(msgspec.json.encode(device), indent=2) + b"\n"
        return Write(repo=REPO, path=path_of(device.name), data=data, expect=expect)

    def learn(self, device: Device) -> None:
        """What was written is known from now on."""
        self._known[device.name] = device

    def forget(self, name: str) -> None:
        """Read the device again when it is asked for next."""
        self._known.pop(name, None)

    async def save(self, device: Device) -> None:
        """Record a device as it is given."""
        check_device(device.name)
        zone(device.time_zone)
        try:
            await self._client.transaction([self.write(device)])
        except NotFound as error:
            raise NotFound(
                f"{error.message}: set the cameras up with `vedette cameras init`"
            ) from None
        self.learn(device)

    async def all(self) -> list[Device]:
        """Every device, by name."""
        found: list[Device] = []
        after = ""
        while True:
            try:
                page = await self._client.list_file(REPO, "master", "/", after=after)
            except NotFound:
                return found
            for file in page:
                device = await self._read(file.path[1:].removesuffix(".json"))
                if device is not None:
                    found.append(device)
            if not page:
                return found
            after = page[-1].path

    async def refresh(self) -> None:
        """Forget what has changed in the repo since this was called last."""
        try:
            if self._number < 0:
                self._number = (await self._client.inspect_commit(REPO, "master")).number
                self._known.clear()
                return
            page = await self._client.changes(REPO, "master", after=self._number)
        except NotFound:
            self._known.clear()
            return
        for entry in page.changes:
            self.forget(entry.change.path[1:].removesuffix(".json"))
        self._number = page.number

    async def _read(self, name: str) -> Device | None:
        try:
            data = await self._client.get_file(REPO, "master", path_of(name))
        except (NotFound, Gone):
            return None
        try:
            device = _decoder.decode(data)
        except msgspec.MsgspecError as error:
            raise Conflict(f"devices:{path_of(name)} is not a device: {error}") from None
        self._known[name] = device
        return device
