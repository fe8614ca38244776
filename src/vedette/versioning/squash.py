"""Takes commits out of the history of a repo (METADATA: squash).

The files of a commit that later ones still show stay. Those that only it showed are the rows whose
stretch holds no other commit; they go afterwards, page by page, and what they named is suspected
to be garbage. What somebody needs is refused: the head of a branch, the place where a branch left,
the input of a job that is under way or that the next one will be compared with.
"""

from __future__ import annotations

from typing import cast

import msgspec

from vedette.metadata.store import Rows
from vedette.model.errors import Conflict, NotFound
from vedette.model.job import TERMINAL
from vedette.versioning import repos
from vedette.versioning.refs import CommitRow, with_id
from vedette.versioning.transaction import Transaction

_PAGE = 1000
_LATEST = (1 << 62) - 1


def squash_set(tx: Transaction, commit_id: str) -> list[int]:
    """Take all commits of a global id away; their numbers. Raises NotFound or Conflict."""
    found = with_id(tx.rows, commit_id)
    if not found:
        raise NotFound(
            f"no commit has the id {commit_id!r}: list-commit REPO shows those there are"
        )
    return [squash(tx, commit) for commit in sorted(found, key=lambda c: -c.num)]


def squash(tx: Transaction, commit: CommitRow, *, alone: bool = False) -> int:
    """Take one commit away; its number. Raises Conflict, saying what needs it.

    `alone`: also refused when later commits follow it, which would keep what it wrote.
    """
    rows = tx.rows
    name = repos.by_id(rows, commit.repo).name
    where = f"commit {commit.id} of {name}"
    if commit.state == "started":
        raise Conflict(f"{where} is open: finish it, or stop the job that makes it")
    _refuse_needed(rows, commit, where, name)
    child = rows.one("squash_children", repo=commit.repo, num=commit.num)
    if alone and child is not None:
        raise Conflict(
            f"{where} is followed by {child[0]}, which still shows what it wrote: squash-commit "
            "takes it out of the history, delete-file --for-good takes bytes out of all commits"
        )
    if commit.line is not None and commit.seq is not None:
        above, until = rows.one("squash_neighbours", line=commit.line, seq=commit.seq) or (0, None)
        rows.run("squash_add", line=commit.line, above=above or 0, seq=commit.seq, until=until)
    rows.run("squash_adopt", repo=commit.repo, num=commit.num, parent=commit.parent)
    rows.run("squash_job", num=commit.num)
    rows.run("squash_provenance", num=commit.num)
    rows.run("squash_commit", num=commit.num)
    return commit.num


def _refuse_needed(rows: Rows, commit: CommitRow, where: str, repo: str) -> None:
    heads = [row[0] for row in rows.all("squash_heads", repo=commit.repo, num=commit.num)]
    if heads:
        raise Conflict(
            f"{where} is the head of branch {', '.join(heads)}: move that first, with "
            f"create-branch {repo} {heads[0]} --head {heads[0]}^"
        )
    fork = rows.one("squash_forks", repo=commit.repo, line=commit.line, seq=commit.seq)
    if fork is not None:
        raise Conflict(f"{where} is where another branch left: that one's files would go with it")
    for job, pipeline, made, inputs, state in rows.all("squash_readers"):
        read = cast(list[int], msgspec.msgpack.decode(inputs))
        if commit.num in read or commit.num == made:
            what = "the next one is compared with" if state in TERMINAL else "is not done"
            raise Conflict(f"{where} is needed by job {job} of pipeline {pipeline}, which {what}")


def drop_dead(tx: Transaction) -> bool:
    """Take a page of files away that no commit shows any more; False when there are none."""
    rows = tx.rows
    found = rows.one("squash_next")
    if found is None:
        return False
    number, line, above, seq, until = found
    last = _LATEST if until is None else until
    past = rows.all("squash_past", line=line, above=above, seq=seq, until=last, limit=_PAGE)
    tx.suspect(past)
    live = []
    if until is None and not past:
        live = rows.all("squash_live", line=line, above=above, limit=_PAGE)
        tx.suspect(live)
    if not past and not live:
        rows.run("squash_done", id=number)
        rows.run("quota_freed_line", line=line)
    return True
