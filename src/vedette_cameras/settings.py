"""What can be set for the camera application, and where it is read from.

Later wins: the defaults here, `<data>/cameras.toml`, the table `[apps.cameras]` of the server's own
settings, and environment variables `VEDETTE_CAMERAS_*`, in which `__` leads into a table:
`VEDETTE_CAMERAS_SMTP__HOST=mail.example.org`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from vedette.model.errors import Invalid

FILE = "cameras.toml"
PREFIX = "VEDETTE_CAMERAS_"


class Smtp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mail server. `tls`: "starttls" when it is offered by default, "implicit", or "none"."""

    host: str = ""
    port: int = 0
    user: str = ""
    password: str = ""
    tls: Literal["auto", "starttls", "implicit", "none"] = "auto"


class SendGrid(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """SendGrid's API. `key` is looked for in the secrets (SGKEY) when it is empty here."""

    host: str = "https://api.sendgrid.com"
    key: str = ""


class Retries(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a message is tried, and how long to wait in between; times in seconds.

    Waits double from `first` up to `longest`. After `tries` the message is a dead letter.
    """

    tries: int = 12
    first: float = 2.0
    longest: float = 1800.0
    timeout: float = 20.0


class Watch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A folder to take pictures from. `device`: of files whose name and sub-folder give none.

    `settle`: seconds without a change before a file is taken. `after`: keep the file, or delete it
    once it is committed.
    """

    folder: str
    device: str = ""
    settle: float = 0.5
    after: Literal["keep", "delete"] = "keep"


class BrandPattern(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One more way of naming files (see `vedette_cameras.ingest.brands`)."""

    name: str
    pattern: str


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the camera application.

    `channel`: "auto" is SendGrid where there is a key, else SMTP where a host is set, else the file
    sink. `address`: what links in messages start with. `max_age`: seconds after receipt, beyond
    which a first verdict is late. `max_bytes`: the largest picture. `time_zone`: of devices that
    have none of their own. `from_email`: sender when the rules name none. `outbox`: folder of the
    file sink, in the data folder unless absolute.
    """

    channel: Literal["auto", "sendgrid", "smtp", "file", "none"] = "auto"
    smtp: Smtp = Smtp()
    sendgrid: SendGrid = SendGrid()
    retries: Retries = Retries()
    address: str = ""
    max_age: float = 900.0
    max_bytes: int = 32 * 1024 * 1024
    max_parts: int = 100
    time_zone: str = ""
    from_email: str = ""
    outbox: str = "outbox"
    senders: int = 4
    late_gather: float = 5.0
    watch: tuple[Watch, ...] = ()
    brands: tuple[BrandPattern, ...] = ()


def load(
    data_dir: Path | None, given: Mapping[str, Any] | None, environ: Mapping[str, str]
) -> Settings:
    """Read the settings; raises `Invalid` with the file or variable at fault."""
    merged: dict[str, Any] = {}
    source = "the server's settings [apps.cameras]"
    if data_dir is not None and (file := data_dir / FILE).is_file():
        try:
            merged = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise Invalid(f"{file}: {error}") from None
        _check(merged, str(file))
    if given:
        merged = _merge(merged, given)
        _check(merged, source)
    from_environment = _from_environment(environ)
    if from_environment:
        merged = _merge(merged, from_environment)
    return _check(merged, f"an environment variable {PREFIX}*")


def _check(values: Mapping[str, Any], source: str) -> Settings:
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(f"{source}: {error}") from None
    limits = {
        "max_age": settings.max_age, "max_bytes": settings.max_bytes - 1,
        "max_parts": settings.max_parts - 1, "senders": settings.senders - 1,
        "retries.tries": settings.retries.tries - 1, "retries.first": settings.retries.first,
    }  # fmt: skip
    for name, value in limits.items():
        if value < 0:
            raise Invalid(f"{source}: {name} is too small")
    return settings


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = _merge(below, value)
        else:
            merged[key] = value
    return merged


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in environ.items():
        if not name.startswith(PREFIX) or not text:
            continue
        *tables, key = name.removeprefix(PREFIX).lower().split("__")
        value: Any = text
        if not tables and key == "watch":
            value = [{"folder": folder} for folder in text.split(":") if folder]
        table = found
        for part in tables:
            table = table.setdefault(part, {})
        table[key] = value
    return found
