"""What repos take up, and what sharing saves (ENGINE P11)."""

from __future__ import annotations

from vedette.metadata.store import Rows
from vedette.model.errors import Conflict
from vedette.model.keeping import CommitUsage, Usage
from vedette.versioning import repos
from vedette.versioning.refs import resolve


def of_commit(rows: Rows, repo: str, ref: str) -> CommitUsage:
    """What a commit takes up; it costs what the commit changed.

    Raises NotFound, and Conflict for a commit that is not finished.
    """
    commit = resolve(rows, repo, ref)
    if commit.line is None or commit.seq is None:
        raise Conflict(f"{repo}@{commit.id} is {commit.state}: only finished commits hold files")
    found = rows.one("usage_commit", line=commit.line, seq=commit.seq) or (0, 0, 0)
    contents, brought, own = map(int, found)
    return CommitUsage(
        repo=repo, commit=commit.id, files=commit.files, size=commit.size, contents=contents,
        brought=brought, own=own,
    )  # fmt: skip


def usage(rows: Rows, repo: str) -> Usage:
    """What a repo takes up; it costs what its history has. Raises NotFound."""
    info, key = repos.inspect(rows, repo), repos.get(rows, repo).id
    _, versions = rows.one("usage_versions", repo=key) or (0, 0)
    objects, stored, shared = rows.one("usage_objects", repo=key) or (0, 0, 0)
    return Usage(
        repo=repo, head=info.size, versions=int(versions), stored=int(stored),
        shared=int(shared), objects=objects,
    )  # fmt: skip
