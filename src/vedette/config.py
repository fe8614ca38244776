"""Settings: from the command line, else the environment, else a file, else what is said here."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from vedette.model.errors import Invalid

FILE = "vedette.toml"
DEFAULT_LISTEN = "127.0.0.1:7650"


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a server is to run.

    `data` is where everything is kept. `listen` is HOST:PORT; port 0 takes a free one. `runtimes`
    is a file that says what image names mean here. `workers` bounds how many datums run at once;
    None: as many as there are cores, 0: none in this process. `objects` is s3://BUCKET/PREFIX or
    /FOLDER when objects are not kept in `data`; of what is read from a bucket, `object_cache` bytes
    stay in `data`.
    `grace`: seconds that bytes are kept after the last who named them has gone; more than three
    leases (ENGINE K3). `keep_jobs` and `keep_failed_jobs`: days that ended jobs are kept with their
    logs and results, good ones and others; inf: for ever.
    `quota_bytes`: what all objects may take, 0: any number. Below `reserve_free_bytes` of free disk
    what users put is refused (None: 256 MiB, at most 2% of the disk); below `warn_free_bytes` or
    `warn_free_percent` there is a warning.
    `egress_roots`: folders and s3:// prefixes to which outputs may be copied.
    `apps` holds a table of settings for each application.

    `database` is postgresql://USER@HOST:PORT/NAME when rows are kept there and not in `data`; then
    several servers may use it, and `advertise` is the URL at which the others reach this one.
    """

    data: Path
    listen: str = DEFAULT_LISTEN
    runtimes: Path | None = None
    workers: int | None = None
    objects: str = ""
    object_cache: int = 4 << 30
    grace: float = 60.0
    keep_jobs: float = 30.0
    keep_failed_jobs: float = 90.0
    quota_bytes: int = 0
    reserve_free_bytes: int | None = None
    warn_free_bytes: int = 0
    warn_free_percent: float = 5.0
    database: str = ""
    advertise: str = ""
    egress_roots: tuple[str, ...] = ()
    apps: dict[str, dict[str, Any]] = {}


def default_data(environ: Mapping[str, str] = os.environ) -> Path:
    """`vedette` in the user's folder for data ($XDG_DATA_HOME, else ~/.local/share)."""
    base = environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "vedette"


def load(given: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a server. `given` is what the command line said; None is not said.

    The environment: VEDETTE_DATA, VEDETTE_LISTEN, VEDETTE_RUNTIMES, VEDETTE_WORKERS,
    VEDETTE_OBJECTS, VEDETTE_OBJECT_CACHE, VEDETTE_DATABASE, VEDETTE_ADVERTISE. The file:
    `vedette.toml` in the data folder. Raises Invalid, naming the setting.
    """
    said: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    words = ("data", "listen", "runtimes", "workers", "objects", "object_cache", "database")
    for key in (*words, "advertise"):
        word = environ.get(f"VEDETTE_{key.upper()}")
        if word:
            said.setdefault(key, word)
    data = Path(said.get("data") or default_data(environ)).expanduser().absolute()
    merged = {**_file(data / FILE), **said, "data": str(data)}
    merged = {
        key: str(value) if isinstance(value, Path) else value for key, value in merged.items()
    }
    try:
        settings = msgspec.convert(merged, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise Invalid(f"settings: {error}") from None
    if settings.workers is not None and not 0 <= settings.workers <= 1024:
        raise Invalid(
            f"workers is {settings.workers}: use 1 to 1024, or 0 to leave the work to other hosts"
        )
    if settings.objects and not settings.objects.startswith(("s3://", "/")):
        raise Invalid(f"objects is {settings.objects!r}: use s3://BUCKET/PREFIX or /FOLDER")
    if settings.object_cache < 0:
        raise Invalid(f"object_cache is {settings.object_cache}: use a number of bytes, 0 for none")
    if not 0 < settings.grace <= 10 * 86400:
        raise Invalid(f"grace is {settings.grace:g}: use seconds, more than 30 outside of tests")
    _check_keeping(settings)
    _check_database(settings)
    return settings


def _check_keeping(settings: Settings) -> None:
    for name in ("quota_bytes", "reserve_free_bytes", "warn_free_bytes"):
        size: int | None = getattr(settings, name)
        if size is not None and not 0 <= size <= 1 << 60:
            raise Invalid(f"{name} is {size}: use a number of bytes, 0 for none")
    if not 0 <= settings.warn_free_percent <= 100:
        raise Invalid(f"warn_free_percent is {settings.warn_free_percent:g}: use 0 to 100")
    for name in ("keep_jobs", "keep_failed_jobs"):
        days: float = getattr(settings, name)
        if not days > 0:  # nan is not greater either
            raise Invalid(f"{name} is {days:g}: use a number of days, inf to keep them for ever")


def _check_database(settings: Settings) -> None:
    if settings.database and not settings.database.startswith(("postgresql://", "postgres://")):
        # Not shown: who mistyped it may have typed a password.
        raise Invalid("database: use postgresql://USER@HOST:PORT/NAME")
    if settings.advertise and not settings.advertise.startswith(("http://", "https://")):
        raise Invalid(f"advertise is {settings.advertise!r}: use http://HOST:PORT")


def address_of(listen: str) -> tuple[str, int]:
    """Host and port of HOST:PORT, [IPV6]:PORT or PORT. Raises Invalid."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise Invalid(f"--listen {listen!r}: use HOST:PORT, such as {DEFAULT_LISTEN}")
    return host, int(port)


def _path(kind: type, value: Any) -> Path:
    if kind is not Path or not isinstance(value, str):
        raise ValueError("expected a path")
    return Path(value).expanduser()


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise Invalid(f"settings in {path}: {error}") from None
