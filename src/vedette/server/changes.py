"""What the commits of a branch did, for those who follow it."""

from __future__ import annotations

import asyncio
from itertools import islice

from vedette.client.endpoints import DiffPage
from vedette.metadata.store import Rows
from vedette.model.api import ChangesPage, Difference, NumberedChange
from vedette.model.files import FileChange, FileInfo
from vedette.model.paths import below, clean
from vedette.server.call import Call
from vedette.server.site import Site
from vedette.versioning import commits, diff, files, repos


async def changes(site: Site, call: Call) -> ChangesPage:
    """The changes of all commits after one, whole commits only."""
    repo, branch, query = call.params["repo"], call.params["branch"], call.query
    limit = site.page(query.limit)

    def look() -> ChangesPage:
        with site.read() as rows:
            number = repos.get(rows, repo).id
            return _after(rows, number, branch, query.after, limit)

    return await asyncio.to_thread(look)


async def diff_file(site: Site, call: Call) -> list[Difference]:
    """Files at or below a path that differ from another commit (ENGINE P9)."""
    repo, ref, top = call.params["repo"], call.params["ref"], clean(call.params["path"])
    query: DiffPage = call.query
    limit = site.page(query.limit)

    def look() -> list[Difference]:
        with site.read() as rows:
            new = commits.resolve(rows, repo, ref)
            old: commits.CommitRow | None = None
            if query.against or query.other:
                old = commits.resolve(rows, query.other or repo, query.against or "master")
            elif new.parent is not None:
                old = commits.by_num(rows, new.parent)
            low, high = below(top)
            differing = (
                Difference(
                    path=change.path,
                    new=_side(repo, change.after),
                    old=_side(query.other or repo, change.before),
                )
                for change in diff.changes(rows, old, new)
                if (change.path == top or low < change.path < high) and change.path > query.after
            )
            return list(islice(differing, limit))

    return await asyncio.to_thread(look)


def _side(repo: str, file: files.FileRow | None) -> FileInfo | None:
    if file is None:
        return None
    return FileInfo(
        repo=repo, path=file.path, type="file", size=file.size, object=file.object.hex()
    )


def _after(rows: Rows, repo: int, branch: str, after: int, limit: int) -> ChangesPage:
    found: list[NumberedChange] = []
    datums: dict[int, tuple[str, bool]] = {}
    last: commits.CommitRow | None = None
    for num, state in rows.all("commits_after", repo=repo, branch=branch, after=after, limit=limit):
        # Commits of a branch finish in order: what is behind an open one comes later.
        if state == "started" or len(found) >= limit:
            break
        commit = commits.by_num(rows, num)
        parent = last if last is not None and last.num == commit.parent else None
        if parent is None and commit.parent is not None:
            parent = commits.by_num(rows, commit.parent)
        last = commit
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
