"""Which stores a server uses, as its settings say; and that they belong together.

Rows name places of objects. With the wrong object store beside them everything would seem damaged,
and a collector would delete what another installation needs, so both are refused at the start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from vedette.config import Settings
from vedette.metadata.sqlite import SqliteStore
from vedette.metadata.store import MetadataStore
from vedette.model.errors import Conflict, Invalid
from vedette.objects.local import LocalObjects
from vedette.objects.store import ObjectStore

MARK = "objects.mark"
_NEW = " new"
OBJECTS, INSTALLATION, MOVING, MOVED = "objects", "installation", "moving", "moved"
"""Settings kept with the rows: the address of the objects, when they are in a bucket; the id of the
installation; whose rows are just being copied here; where the rows went."""


def open_rows(settings: Settings) -> MetadataStore:
    """The metadata store that the settings name. Raises Invalid, Unavailable or Conflict."""
    if not settings.database:
        return SqliteStore(settings.data / "metadata.sqlite")
    try:
        from vedette.metadata.postgres import PostgresStore
    except ImportError:
        raise Invalid(
            "rows in PostgreSQL need another package: pip install 'vedette[postgres]'"
        ) from None
    return PostgresStore(settings.database)


def open_objects(
    settings: Settings, store: MetadataStore, environ: Mapping[str, str] = os.environ
) -> ObjectStore:
    """The object store that the settings name, tried and bound to these rows.

    Raises Conflict when the rows' objects are elsewhere or the place is another installation's,
    Invalid when the store cannot be used, Unavailable when it does not answer.
    """
    kept = address_of_objects(store)
    if not settings.objects.startswith("s3://"):
        if kept:
            raise Conflict(f"the objects of this data are in {kept}: say --objects {kept}")
        return LocalObjects(bound_folder(settings, store))
    with store.read() as rows:
        shared = not kept and rows.one("setting_get", name=MARK) is not None
    if shared:
        raise Conflict(
            "the objects of this database are in a folder: `vedette migrate-store` moves them to "
            f"{settings.objects}, or say --objects /FOLDER"
        )
    if not kept and holds_objects(settings.data):
        raise Conflict(
            f"the objects of this data are in {settings.data}: `vedette migrate-store --data "
            f"{settings.data} --to-objects {settings.objects}` moves them, or leave out --objects"
        )
    return open_bucket(settings, installation(store), new=not kept, store=store, environ=environ)


def try_objects(settings: Settings, store: MetadataStore) -> None:
    """Refuse a server that follows and could not lead. Raises as `open_objects`.

    Before the first leader has bound a bucket to the rows, there is nothing to compare with.
    """
    if address_of_objects(store) or not settings.objects.startswith("s3://"):
        open_objects(settings, store).close()


def bound_folder(settings: Settings, store: MetadataStore) -> Path:
    """The folder of the objects: in `objects`, else the data folder.

    Where several servers may use the rows, or the folder is not beside them, both get one mark at
    the first start. Raises Conflict when the marks are not the same: a server with a folder of its
    own would find nothing of what others accepted.
    """
    folder = Path(settings.objects) if settings.objects else settings.data
    mark = folder / "objects.mark"
    if not settings.objects and not settings.database:
        with store.read() as rows:
            bound = rows.one("setting_get", name=MARK)
        if bound is not None and (not mark.exists() or mark.read_text("ascii") != bound[0]):
            raise Conflict(
                f"the objects of this data are not in {folder}, but in the folder that --objects "
                "named before: say it again"
            )
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        here = mark.read_text(encoding="ascii") if mark.exists() else ""
        with store.read() as rows:
            found = rows.one("setting_get", name=MARK)
        if found is None and (not here or here.endswith(_NEW)):
            here = here.removesuffix(_NEW) or uuid4().hex
            mark.write_text(here + _NEW, encoding="ascii")
            with store.write() as rows:
                rows.run("setting_add", name=MARK, value=here)
                found = rows.one("setting_get", name=MARK)
        if found is not None and found[0] == here.removesuffix(_NEW):
            here = here.removesuffix(_NEW)
            mark.write_text(here, encoding="ascii")
    except OSError as error:
        raise Invalid(f"folder of objects {folder}: {error.strerror or error}") from None
    if found is None or found[0] != here:
        raise Conflict(
            f"the objects of this database are not in {folder}: all its servers need one place, "
            "--objects s3://BUCKET/PREFIX or a folder that all of them share"
        )
    return folder


def open_bucket(
    settings: Settings,
    owner: str,
    *,
    new: bool,
    store: MetadataStore | None = None,
    environ: Mapping[str, str] = os.environ,
) -> ObjectStore:
    """The bucket that the settings name, for the installation with the id `owner`.

    `new`: it may be a place that nobody has used. `store` is told the address once it is bound.
    """
    try:
        from vedette.objects import check
        from vedette.objects.bucket import Bucket
        from vedette.objects.remote import RemoteObjects
    except ImportError:
        raise Invalid(
            "objects in a bucket need another package: pip install 'vedette[s3]'"
        ) from None
    bucket = Bucket(settings.objects, environ)
    check.check(bucket)
    check.claim(bucket, owner, new=new)
    if store is not None:
        keep(store, OBJECTS, str(bucket))
    return RemoteObjects(bucket, settings.data / "remote", cache_size=settings.object_cache)


def local(data: Path) -> ObjectStore:
    """The objects in a data folder."""
    return LocalObjects(data)


def installation(store: MetadataStore) -> str:
    """The id of an installation: 32 hex digits, made when it is first asked for."""
    with store.read() as rows:
        found = rows.one("setting_get", name=INSTALLATION)
    return str(found[0]) if found else keep(store, INSTALLATION, uuid4().hex)


def keep(store: MetadataStore, name: str, value: str) -> str:
    """Keep a word with the rows, unless it is there; the word."""
    with store.read() as rows:
        found = rows.one("setting_get", name=name)
    if found is None or found[0] != value:
        with store.write() as rows:
            rows.run("setting_put", name=name, value=value)
    return value


def address_of_objects(store: MetadataStore) -> str:
    """Where the rows' objects are, if in a bucket. Raises Conflict for rows that are moving."""
    with store.read() as rows:
        said: dict[str, str] = dict(rows.all("setting_all"))
    if MOVED in said:
        raise Conflict(f"the rows of this data are in the {said[MOVED]} now: say --database")
    if MOVING in said:
        raise Conflict(
            "rows are being moved to this database: run `vedette migrate-store` again to the end"
        )
    return said.get(OBJECTS, "")


def holds_objects(data: Path) -> bool:
    """Whether a data folder has objects of its own."""
    packs = (data / "packs").glob("*.pack")
    files = (data / "objects").glob("[0-9a-f][0-9a-f]/*")
    return any(pack.stat().st_size for pack in packs) or next(files, None) is not None
