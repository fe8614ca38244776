"""The rules: which files there are, what they may say, and what holds for a device (CAMERAS 5).

Layers, later ones win value by value: `/rule.json`, then `/users/<user>.json` of the device's user,
then `/devices/<device>.json`.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

RULE_FILE = "/rule.json"
Read = Callable[[], bytes]


class RulesError(Exception):
    """Rules that cannot be meant; the text is one line with file, key and way out."""


class RuleFile(Struct, frozen=True, kw_only=True):
    """One file of rules, as it is written. What is not set is left to the layers below."""

    version: int | msgspec.UnsetType = msgspec.UNSET
    from_email: str | msgspec.UnsetType = msgspec.UNSET
    to_email: str | tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    threat_classes: tuple[int | str, ...] | msgspec.UnsetType = msgspec.UNSET
    user: str | msgspec.UnsetType = msgspec.UNSET
    devices: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class Effective(Struct, frozen=True, kw_only=True):
    """What holds for one device; `layers` says which file set each value."""

    version: int = 1
    from_email: str = ""
    to_email: tuple[str, ...] = ()
    threat_classes: tuple[int | str, ...] = ()
    user: str = ""
    layers: dict[str, str] = {}

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the values, whatever files they came from."""
        values = {key: getattr(self, key) for key in self.__struct_fields__ if key != "layers"}
        return hashlib.sha256(msgspec.json.encode(values, order="deterministic")).hexdigest()


_KEYS = RuleFile.__struct_fields__
_BINDING = ("user", "devices")
"""Keys that say whom a file is about; they are no values that a later layer overrides."""


def parse(path: str, data: bytes) -> RuleFile:
    """Read one file of rules; raises `RulesError`. Keys that start with `x-` are the user's own."""
    try:
        document = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise RulesError(f"rules {path} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise RulesError(f"rules {path} holds no object: write {{...}}")
    known = {key: value for key, value in document.items() if not key.startswith("x-")}
    for key in known:
        if key not in _KEYS:
            raise RulesError(f"rules {path}: unknown key {key!r}: {_nearest(key)}")
    try:
        found = msgspec.convert(known, RuleFile)
    except msgspec.ValidationError as error:
        raise RulesError(f"rules {path}: {error}") from None
    if found.version not in (1, msgspec.UNSET):
        raise RulesError(f"rules {path}: version {found.version} is not known: use 1")
    return found


def effective(files: Mapping[str, Read], device: str) -> Effective:
    """The rules for one device from the files of the `rules` repo (path to reader).

    Only the files that concern the device are checked for values; those that bind users to devices
    are all read. Raises `RulesError`.
    """
    own_path = f"/devices/{device}.json"
    own = parse(own_path, files[own_path]()) if own_path in files else RuleFile()
    user = _user(files, device, own)
    paths = [RULE_FILE, *([f"/users/{user}.json"] if user else []), own_path]
    layers = [(path, parse(path, files[path]())) for path in paths if path in files]
    if not layers:
        found = ", ".join(sorted(files)[:3]) or "nothing"
        raise RulesError(f"rules: no {RULE_FILE} among the files ({found}): put one")
    values: dict[str, Any] = {"user": user}
    origin: dict[str, str] = {}
    for path, layer in layers:
        for key in _KEYS:
            value = getattr(layer, key)
            if key not in _BINDING and value is not msgspec.UNSET:
                values[key] = value
                origin[key] = path
    if "threat_classes" not in values:
        raise RulesError(
            f"rules: no threat_classes for device {device}: set it in {layers[0][0]}, such as [1]"
        )
    if isinstance(values.get("to_email"), str):
        values["to_email"] = (values["to_email"],) if values["to_email"] else ()
    return Effective(**values, layers=origin)


def _user(files: Mapping[str, Read], device: str, own: RuleFile) -> str:
    named = "" if own.user is msgspec.UNSET else own.user
    if named and f"/users/{named}.json" not in files:
        raise RulesError(f"rules /devices/{device}.json: no /users/{named}.json for user {named!r}")
    binding = []
    for path in sorted(files):
        parts = path.split("/")
        if len(parts) == 3 and parts[1] == "users" and path.endswith(".json"):
            devices = parse(path, files[path]()).devices
            if devices is not msgspec.UNSET and device in devices:
                binding.append(parts[2].removesuffix(".json"))
    if named:
        return named
    if len(binding) > 1:
        raise RulesError(
            f"rules: device {device} belongs to users {', '.join(binding)}:"
            f" name one in /devices/{device}.json"
        )
    return binding[0] if binding else ""


def _nearest(key: str) -> str:
    near = difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"use {', '.join(_KEYS)}, or a name that starts with x-"
