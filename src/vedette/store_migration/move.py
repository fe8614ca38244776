"""`migrate-store`: an installation from its data folder to a database, a bucket, or both.

Everything is copied and compared before anything refers to it. Until then the source is as it was,
and what is copied stays copied: a move that was interrupted goes on where it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

from msgspec import Struct

from vedette import backends
from vedette.backends import INSTALLATION, MOVED, MOVING, OBJECTS
from vedette.config import Settings
from vedette.metadata.sqlite import SqliteStore
from vedette.metadata.store import MetadataStore
from vedette.model.errors import Conflict, Invalid, NotFound
from vedette.objects.store import ObjectStore
from vedette.store_migration import objects
from vedette.store_migration.places import Places

_FILE = "metadata.sqlite"


class Moved(Struct, frozen=True, kw_only=True):
    """What a move has done: rows by table, objects and their bytes outside of rows."""

    rows: dict[str, int] = {}
    objects: int = 0
    bytes: int = 0


class Plan(Struct, frozen=True, kw_only=True):
    """What is to be moved: a data folder, the database of its rows if they are in one, targets."""

    data: Path
    database: str = ""
    to_database: str = ""
    to_objects: str = ""


def move(plan: Plan, tell: Callable[[str], None], environ: Mapping[str, str] = os.environ) -> Moved:
    """Carry out a plan; `tell` is given lines for people. The data folder is held by the caller.

    Raises Invalid for a plan that makes no sense, Conflict when the data or a target is in use for
    something else, Corrupt when stored bytes are damaged.
    """
    if not plan.to_database and not plan.to_objects:
        raise Invalid("nothing to move: say --to-database URL, --to-objects s3://..., or both")
    if plan.database and plan.to_database:
        raise Invalid("rows are moved from a data folder only: leave out --database")
    with ExitStack() as held:
        store = _rows(plan)
        held.callback(store.close)
        kept = backends.address_of_objects(store)
        owner = backends.installation(store)
        places = None
        if plan.to_objects and kept != plan.to_objects.rstrip("/"):
            places = _copy_objects(plan, store, kept, owner, tell, environ)
            held.callback(places.close)
        if plan.to_database:
            rows = _copy_rows(plan, store, places, tell)
        else:
            rows = {}
            if places is not None:
                objects.rename(store, places, {OBJECTS: plan.to_objects.rstrip("/")})
        count, size, _, _ = places.counts() if places else (0, 0, 0, 0)
        if places is not None:
            places.remove()
    return Moved(rows=rows, objects=count, bytes=size)


def _rows(plan: Plan) -> MetadataStore:
    if plan.database:
        postgres = _postgres()
        if others := postgres.servers(plan.database):
            raise Conflict(
                f"servers use the database ({others} connections): stop them before the move"
            )
        return backends.open_rows(Settings(data=plan.data, database=plan.database))
    if not (plan.data / _FILE).is_file():
        raise NotFound(f"there is no {_FILE} in {plan.data}: name the data folder with --data")
    return SqliteStore(plan.data / _FILE)


def _postgres() -> ModuleType:
    try:
        from vedette.metadata import postgres
    except ImportError:
        raise Invalid(
            "rows in PostgreSQL need a package: pip install 'vedette[postgres]'"
        ) from None
    return postgres


def _copy_objects(
    plan: Plan,
    store: MetadataStore,
    kept: str,
    owner: str,
    tell: Callable[[str], None],
    environ: Mapping[str, str],
) -> Places:
    folder = plan.data / "moving"
    places = Places(folder, plan.to_objects.rstrip("/"))

    def bucket(address: str, name: str, *, new: bool) -> ObjectStore:
        settings = Settings(data=folder / name, objects=address, object_cache=64 << 20)
        return backends.open_bucket(settings, owner, new=new, environ=environ)

    with ExitStack() as held:
        source = bucket(kept, "from", new=False) if kept else backends.local(plan.data)
        held.callback(source.close)
        sender = bucket(plan.to_objects, "to", new=True)
        held.callback(sender.close)
        reader = bucket(plan.to_objects, "check", new=False)
        held.callback(reader.close)

        def progress() -> None:
            count, size, done, _ = places.counts()
            tell(f"objects: {done} of {count} copied and compared ({size} bytes in all)")

        objects.copy(store, source, sender, reader, places, progress)
    return places


def _copy_rows(
    plan: Plan, store: MetadataStore, places: Places | None, tell: Callable[[str], None]
) -> dict[str, int]:
    postgres = _postgres()
    from vedette.store_migration import rows

    with store.read() as snapshot:
        settings: dict[str, str] = dict(snapshot.all("setting_all"))
    settings = {name: value for name, value in settings.items() if name not in (MOVED, MOVING)}
    assert INSTALLATION in settings
    if places is not None:
        settings[OBJECTS] = plan.to_objects.rstrip("/")
    target = postgres.PostgresStore(plan.to_database)
    try:
        counts = rows.copy(
            plan.data / _FILE, plan.to_database, target, settings, places,
            lambda table, count: tell(f"rows: {count} more of {table}"),
        )  # fmt: skip
        tell(f"rows: {sum(counts.values())} of {len(counts)} tables copied and compared")
        backends.keep(store, MOVED, target.where)
    finally:
        target.close()
    return counts
