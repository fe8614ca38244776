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

_PAGE = 1000


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

    Objects that nobody else names are collected later (ENGINE K3). Raises NotFound.
    """
    repo = get(tx.rows, name).id
    for (line,) in tx.rows.all("repo_lines", repo=repo):
        for query in ("line_drop_live", "line_drop_past"):
            while gone := tx.rows.all(query, line=line, limit=_PAGE):
                tx.suspect(gone)
        tx.rows.run("line_drop_dirs", line=line)
    tx.suspect(tx.rows.all("repo_drop_staged", repo=repo))
    while tx.rows.run("repo_drop_commits", repo=repo, limit=_PAGE):
        pass
    tx.rows.run("quota_drop", repo=repo)
    tx.rows.run("repo_drop_lines", repo=repo)
    tx.rows.run("repo_drop_branches", repo=repo)
    tx.rows.run("repo_drop", repo=repo)
