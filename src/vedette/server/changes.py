"""What the commits of a branch did, for those who follow it."""

from __future__ import annotations

import asyncio

from vedette.metadata.store import Rows
from vedette.model.api import ChangesPage, NumberedChange
from vedette.model.files import FileChange
from vedette.server.call import Call
from vedette.server.site import Site
from vedette.versioning import commits, diff, repos


async def changes(site: Site, call: Call) -> ChangesPage:
    """The changes of all commits after one, whole commits only."""
    repo, branch, query = call.params["repo"], call.params["branch"], call.query
    limit = site.page(query.limit)

    def look() -> ChangesPage:
        with site.read() as rows:
            number = repos.get(rows, repo).id
            return _after(rows, number, branch, query.after, limit)

    return await asyncio.to_thread(look)


def _after(rows: Rows, repo: int, branch: str, after: int, limit: int) -> ChangesPage:
    found: list[NumberedChange] = []
    datums: dict[int, tuple[str, bool]] = {}
    for num, state in rows.all("commits_after", repo=repo, branch=branch, after=after, limit=limit):
        # Commits of a branch finish in order: what is behind an open one comes later.
        if state == "started" or len(found) >= limit:
            break
        commit = commits.by_num(rows, num)
        parent = None if commit.parent is None else commits.by_num(rows, commit.parent)
        for change in diff.changes(rows, parent, commit):
            found.append(
                NumberedChange(number=num, commit=commit.id, change=_shown(rows, change, datums))
            )
        after = num
    return ChangesPage(changes=tuple(found), number=after)


def _shown(rows: Rows, change: diff.Change, datums: dict[int, tuple[str, bool]]) -> FileChange:
    file = change.after or change.before
    assert file is not None, "a change has a side"
    identity, first = "", False
    if file.datum is not None:
        if file.datum not in datums:
            row = rows.one("datum_identity", num=file.datum)
            datums[file.datum] = ("", False) if row is None else (row[0].hex(), not row[1])
        identity, first = datums[file.datum]
    if change.after is None:
        return FileChange(path=change.path, change="deleted", datum=identity)
    return FileChange(
        path=change.path,
        change="modified" if change.before else "added",
        object=change.after.object.hex(),
        size=change.after.size,
        datum=identity,
        first=first,
    )
