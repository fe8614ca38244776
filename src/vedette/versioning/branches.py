"""Branches: names for commits that move as commits are made."""

from __future__ import annotations

from msgspec import Struct

from vedette.metadata.store import Row, Rows
from vedette.model.errors import Conflict, NotFound
from vedette.model.files import BranchInfo
from vedette.model.paths import check_name
from vedette.versioning import repos
from vedette.versioning.refs import CommitRow, by_num
from vedette.versioning.transaction import Transaction


class BranchRow(Struct, frozen=True):
    """A branch as it is stored. `head` and `planned` are commit numbers, `head_id` the head's id.

    `trigger` is the encoded rule by which it follows `follows`; `moved` is in microseconds.
    """

    id: int
    name: str
    head: int | None
    planned: int | None
    follows: str | None
    trigger: bytes | None
    moved: int | None
    head_id: str | None


def _get(rows: Rows, repo: repos.RepoRow, name: str) -> Row | None:
    return rows.one("branch_get", repo=repo.id, name=name)


def get(rows: Rows, repo: str, name: str) -> BranchRow:
    """A branch. Raises NotFound, saying which branches there are."""
    found = repos.get(rows, repo)
    row = _get(rows, found, name)
    if row is None:
        names = [each[1] for each in rows.all("branch_list", repo=found.id)]
        there = f"it has {', '.join(names[:8])}" if names else "it has none"
        raise NotFound(f"no branch {name} in repo {repo}: {there}", repo=repo, branch=name)
    return BranchRow(*row)


def create(
    tx: Transaction,
    repo: str,
    name: str,
    head: int | None = None,
    follows: str | None = None,
    trigger: bytes | None = None,
) -> int:
    """Make a branch; its key. `head` is the number of a finished commit of the repo.

    Raises InvalidName (P6), NotFound, or Conflict when there is one of that name.
    """
    check_name(name, "branch")
    found = repos.get(tx.rows, repo)
    if _get(tx.rows, found, name) is not None:
        raise Conflict(f"branch {repo}@{name} exists already: move it instead", repo=repo)
    _check_head(tx.rows, found, head)
    return tx.rows.insert(
        "branch_add",
        repo=found.id,
        name=name,
        head=head,
        follows=follows,
        trigger=trigger,
        moved=tx.now,
    )


def move(tx: Transaction, repo: str, name: str, head: int | None) -> int:
    """Give a branch another head; its key. It is made when it is missing.

    Its next commit leaves the line of its new head, so the branch's own history stays what it was.
    Raises Conflict while a user has an open commit in it.
    """
    found = repos.get(tx.rows, repo)
    row = _get(tx.rows, found, name)
    if row is None:
        return create(tx, repo, name, head)
    _check_head(tx.rows, found, head)
    _check_closed(tx.rows, found, name)
    tx.rows.run("branch_move", id=row[0], head=head, moved=tx.now)
    return int(row[0])


def follow(
    tx: Transaction, repo: str, name: str, follows: str | None, trigger: bytes | None
) -> None:
    """Say what a branch follows from now on, and by which rule; None: nothing. Its head stays.

    Raises NotFound.
    """
    tx.rows.run("branch_follow", id=get(tx.rows, repo, name).id, follows=follows, trigger=trigger)


def _check_head(rows: Rows, repo: repos.RepoRow, head: int | None) -> None:
    if head is None:
        return
    commit = by_num(rows, head)
    if commit.repo != repo.id or commit.state != "finished":
        raise Conflict(
            f"commit {commit.id} is not a finished commit of repo {repo.name}: name one that is"
        )


def _check_closed(rows: Rows, repo: repos.RepoRow, name: str) -> None:
    held = rows.one("branch_open", repo=repo.id, name=name)
    if held is not None:
        raise Conflict(
            f"branch {repo.name}@{name} has an open commit ({by_num(rows, held[0]).id}): "
            "finish it first",
            repo=repo.name,
        )


def listing(rows: Rows, repo: str) -> list[BranchInfo]:
    """The branches of a repo by name. Raises NotFound."""
    return [
        BranchInfo(repo=repo, name=row[1], head=row[7], follows=row[4])
        for row in rows.all("branch_list", repo=repos.get(rows, repo).id)
    ]


def delete(tx: Transaction, repo: str, name: str) -> None:
    """Take a branch away; its commits stay, by their ids. Raises NotFound or Conflict."""
    branch = get(tx.rows, repo, name)
    _check_closed(tx.rows, repos.get(tx.rows, repo), name)
    tx.rows.run("branch_drop", id=branch.id)


def head(rows: Rows, repo: str | int, branch: str) -> CommitRow | None:
    """The newest finished commit of a branch; None while there is no commit or no branch.

    `repo` is a name or a key. Raises NotFound for a name that no repo has.
    """
    number = repos.get(rows, repo).id if isinstance(repo, str) else repo
    row = rows.one("branch_get", repo=number, name=branch)
    return None if row is None or row[2] is None else by_num(rows, row[2])
