"""What repos take up, and what sharing saves (ENGINE P11)."""

from __future__ import annotations

from vedette.metadata.store import Rows
from vedette.model.keeping import Usage
from vedette.versioning import repos


def usage(rows: Rows, repo: str) -> Usage:
    """What a repo takes up; it costs what its history has. Raises NotFound."""
    info, key = repos.inspect(rows, repo), repos.get(rows, repo).id
    _, versions = rows.one("usage_versions", repo=key) or (0, 0)
    objects, stored, shared = rows.one("usage_objects", repo=key) or (0, 0, 0)
    return Usage(
        repo=repo, head=info.size, versions=int(versions), stored=int(stored),
        shared=int(shared), objects=objects,
    )  # fmt: skip
