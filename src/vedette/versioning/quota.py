"""How many bytes a repo may have: all versions of its files that are there, each by itself.

What is written is added as it is committed. What goes by retention, squashing or for good is not
subtracted one by one: the repo is noted, and counted anew by the upkeep some seconds later.
"""

from __future__ import annotations

from vedette.metadata.store import Rows
from vedette.model.errors import Invalid, OverQuota
from vedette.versioning import repos
from vedette.versioning.edits import Edit
from vedette.versioning.transaction import Transaction

MOST = 1 << 60


def limit(tx: Transaction, repo: str, most: int | None) -> None:
    """Say how many bytes a repo may have, None: any number. Raises Invalid or NotFound."""
    key = repos.get(tx.rows, repo).id
    if most is None:
        tx.rows.run("quota_drop", repo=key)
        return
    if not 0 < most <= MOST:
        raise Invalid(f"max_bytes is {most}: use 1 to {MOST} bytes")
    tx.rows.run("quota_set", repo=key, bytes=most, used=count(tx.rows, key))


def limited(rows: Rows, repo: int) -> bool:
    """Whether a repo has a limit."""
    return rows.one("quota_get", repo=repo) is not None


def charge(tx: Transaction, made: Edit) -> None:
    """Count what a commit writes. Raises OverQuota; then what it wrote must be undone."""
    if not made.written or not made.limited:
        return
    for most, used in tx.rows.all("quota_charge", repo=made.tip.repo, size=made.written):
        if used > most and made.written > 0:
            raise OverQuota(
                f"repo {made.tip.name} would hold {used:,} bytes in all versions of its files, "
                f"and may hold {most:,} (max_bytes): let old ones go (update-repo --retain, "
                "squash-commit, delete-file --for-good) or raise it with update-repo --max-bytes",
                repo=made.tip.name,
            )


def count(rows: Rows, repo: int) -> int:
    """The bytes of all versions of a repo's files that are there; costs what its history has."""
    _, size = rows.one("usage_versions", repo=repo) or (0, 0)
    return int(size)


def stale(rows: Rows) -> list[dict[str, int]]:
    """The repos to count anew, and what they have: values for `counted`."""
    return [
        {"repo": repo, "used": used, "stale": times, "counted": count(rows, repo)}
        for repo, used, times in rows.all("quota_stale")
    ]


def counted(tx: Transaction, found: list[dict[str, int]]) -> None:
    """Take over what `stale` has counted."""
    for values in found:
        tx.rows.run("quota_counted", **values)
