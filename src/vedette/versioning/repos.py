"""Repos: named histories of files."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Literal

from msgspec import Struct

from vedette.metadata.store import Row, Rows
from vedette.model.errors import Conflict, NotFound
from vedette.model.files import RepoInfo
from vedette.model.paths import check_name
from vedette.versioning.times import moment
from vedette.versioning.transaction import Transaction

AT_ONCE = 5_000
"""Rows that go in the transaction that deletes a repo: some 0.1 s for everybody else."""


class RepoRow(Struct, frozen=True, kw_only=True):
    """A repo as it is stored; `created` is in microseconds since 1970 UTC."""

    id: int
    name: str
    description: str
    kind: Literal["user", "pipeline"]
    created: int


def _repo(row: Row) -> RepoRow:
    number, name, description, kind, created = row
    return RepoRow(id=number, name=name, description=description, kind=kind, created=created)


def create(
    tx: Transaction, name: str, kind: Literal["user", "pipeline"] = "user", description: str = ""
) -> int:
    """Make a repo; its key. Raises InvalidName (P6), or Conflict when there is one."""
    check_name(name, "repo")
    if tx.rows.one("repo_get", name=name) is not None:
        raise Conflict(f"repo {name} exists already: choose another name or delete it", repo=name)
    return tx.rows.insert("repo_add", name=name, description=description, kind=kind, created=tx.now)


def missing(rows: Rows, name: str) -> NotFound:
    """The error for a repo that is not there, naming the nearest one."""
    names = [row[0] for row in rows.all("repo_names")]
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"create it with 'create repo {name}'"
    return NotFound(f"no repo {name}: {hint}", repo=name)


def get(rows: Rows, name: str) -> RepoRow:
    """A repo by its name. Raises NotFound with the nearest name there is."""
    found = rows.one("repo_get", name=name)
    if found is None:
        raise missing(rows, name)
    return _repo(found)


def by_id(rows: Rows, repo: int) -> RepoRow:
    """A repo by its key. Raises NotFound."""
    found = rows.one("repo_by_id", id=repo)
    if found is None:
        raise NotFound(f"no repo with the key {repo}: it has been deleted")
    return _repo(found)


def _info(row: Row, branches: tuple[str, ...]) -> RepoInfo:
    _, name, description, kind, created, size, files, most = row
    return RepoInfo(
        name=name,
        created=moment(created),
        description=description,
        kind=kind,
        size=size,
        files=files,
        branches=branches,
        max_bytes=most,
    )


def listing(rows: Rows) -> list[RepoInfo]:
    """All repos by name."""
    branches: dict[int, list[str]] = {}
    for repo, name in rows.all("repo_branches"):
        branches.setdefault(repo, []).append(name)
    return [_info(row, tuple(branches.get(row[0], ()))) for row in rows.all("repo_list")]


def inspect(rows: Rows, name: str) -> RepoInfo:
    """One repo. Raises NotFound."""
    found = rows.one("repo_one", name=name)
    if found is None:
        raise missing(rows, name)
    names = tuple(row[1] for row in rows.all("branch_list", repo=found[0]))
    return _info(found, names)


def delete(tx: Transaction, name: str) -> None:
    """Take a repo away with all its commits. Who reads it is for the caller to ask first (U4).

    Its name is free at once. What a small one held goes at once too; of a large one `drop_rows`
    takes away the rest, page by page, so that nobody waits for it and a crash loses nothing.
    Objects that nobody else names are collected later (ENGINE K3). Raises NotFound.
    """
    repo = get(tx.rows, name).id
    tx.rows.run("quota_drop", repo=repo)
    tx.rows.run("retain_drop", repo=repo)
    tx.rows.run("repo_drop_branches", repo=repo)
    tx.rows.run("repo_drop", repo=repo)
    if drop_rows(tx, repo, AT_ONCE) == 0:
        tx.rows.run("doomed_add", what="repo", key=repo, name="", until=0)


def drop_rows(tx: Transaction, repo: int, room: int) -> int:
    """Take up to `room` rows of a deleted repo away; how many more could have gone, 0 if any stay.

    A line goes after its files and a commit after all lines, so what is left is sound at any time.
    """
    rows = tx.rows
    while room > 0 and (found := rows.one("repo_staged", repo=repo)) is not None:
        gone = rows.all("repo_drop_staged", cmt=found[0], limit=room)
        tx.suspect(gone)
        room -= len(gone)
    while room > 0 and (found := rows.one("repo_line", repo=repo)) is not None:
        room = _drop_line(tx, found[0], room)
    while room > 0:
        rows.run("repo_drop_provenance", repo=repo, limit=room)
        gone_commits = rows.run("repo_drop_commits", repo=repo, limit=room)
        if gone_commits == 0:
            return room
        room -= gone_commits
    return 0


def _drop_line(tx: Transaction, line: int, room: int) -> int:
    for query in ("line_drop_live", "line_drop_past"):
        while room > 0 and (gone := tx.rows.all(query, line=line, limit=room)):
            tx.suspect(gone)
            room -= len(gone)
    if room > 0:
        for query in ("line_drop_dirs", "line_drop_retained", "line_drop_squashed", "line_drop"):
            room -= tx.rows.run(query, line=line)
    return max(room, 0)
