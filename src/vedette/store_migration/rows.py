"""Rows from a data folder to a database; objects that lie in rows are compared with their ids."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vedette.backends import INSTALLATION, MOVING
from vedette.metadata.copying import RowCopy
from vedette.metadata.store import MetadataStore
from vedette.model.errors import Conflict, Corrupt
from vedette.model.ids import ObjectId
from vedette.objects.store import verify
from vedette.store_migration.places import Places


def copy(
    source: Path,
    url: str,
    target: MetadataStore,
    settings: dict[str, str],
    places: Places | None,
    tell: Callable[[str, int], None],
) -> dict[str, int]:
    """Copy every row of the file `source` to the empty database `target` at `url`; their counts.

    `places` says where objects are now. The target is marked as moving until every row was
    compared, then gets `settings` instead: an interrupted copy goes on, and no server starts on it.
    Raises Conflict when the target has other rows.
    """
    rows = RowCopy(source, url, lambda table, row: _changed(table, row, places))
    owner = settings[INSTALLATION]
    try:
        with target.read() as snapshot:
            said: dict[str, str] = dict(snapshot.all("setting_all"))
        if said.get(INSTALLATION) == owner:
            return rows.counts()  # all was done but for the mark on the source
        if MOVING not in said:
            rows.refuse_filled()
            with target.write() as tx:
                tx.run("setting_put", name=MOVING, value=owner)
        elif said[MOVING] != owner:
            raise Conflict(f"another installation is being moved to the {rows.where}: name another")
        rows.copy(tell)
        if rows.compare():
            rows.empty()  # the source was used since the copy was interrupted
            rows.copy(tell)
            if differs := rows.compare():
                raise Corrupt(f"table {differs} of the {rows.where} is not as in {source}")
        with target.write() as tx:
            for name, value in settings.items():
                tx.run("setting_put", name=name, value=value)
            if places is not None:
                tx.run("packs_forget")
            tx.run("setting_remove", name=MOVING)
        return rows.counts()
    finally:
        rows.close()


def _changed(table: str, row: dict[str, Any], places: Places | None) -> dict[str, Any]:
    if table == "object":
        if row["data"] is not None:
            verify(ObjectId(row["id"]), row["data"])
        elif places is not None:
            place = places.new_place(row["id"])
            if place is None:
                raise Corrupt(f"object {row['id'].hex()[:16]} was not copied: start the move again")
            row["pack"], row["place"] = place.pack, place.offset
    return row
