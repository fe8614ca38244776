"""Names of commits: which one a branch, an id or `master~2` means (ENGINE P8, T3)."""

from __future__ import annotations

import re
from typing import Literal

import msgspec
from msgspec import Struct

from vedette.metadata.store import Rows
from vedette.model.errors import Invalid, NotFound
from vedette.model.files import CommitInfo
from vedette.model.ids import CommitId
from vedette.versioning import repos
from vedette.versioning.edits import Tip
from vedette.versioning.times import maybe, moment

Origin = Literal["user", "auto"]
_ANCESTOR = re.compile(r"([A-Za-z0-9_-]+)((?:[\^~][0-9]{0,9})*)")
_STEP = re.compile(r"[\^~]([0-9]*)")
_numbers = msgspec.msgpack.Decoder(list[int])
_HEX = re.compile(r"[0-9a-f]{32}")


class CommitRow(Struct, frozen=True):
    """A commit as it is stored. `repo` is the key of its repo, `parent` the number of a commit.

    `line` and `seq` are None until it is finished; times are microseconds since 1970 UTC.
    """

    num: int
    id: CommitId
    repo: int
    branch: str
    line: int | None
    seq: int | None
    parent: int | None
    origin: Origin
    state: Literal["started", "finished", "errored"]
    started: int
    finished: int | None
    files: int
    size: int
    closed: int
    error: str
    description: str


def by_num(rows: Rows, num: int) -> CommitRow:
    """A commit by its number. Raises NotFound."""
    found = rows.one("commit_get", num=num)
    if found is None:
        raise NotFound(f"no commit with number {num}")
    return CommitRow(*found)


def resolve(rows: Rows, repo: str, ref: str) -> CommitRow:
    """The commit that `ref` means in a repo: a branch (its newest finished commit) or a commit id.

    `^`, `^2` and `~2` after it go back to ancestors (P8). Raises NotFound, saying what exists.
    """
    parsed = _ANCESTOR.fullmatch(ref)
    if parsed is None:
        raise Invalid(f"{ref!r} names no commit: use a branch or a commit id, then ^ or ~2")
    found = _named(rows, repos.get(rows, repo), parsed[1])
    back = sum(int(step or 1) for step in _STEP.findall(parsed[2]))
    for _ in range(back):
        if found.parent is None:
            raise NotFound(f"{repo}@{ref}: the history is not that long", repo=repo, ref=ref)
        found = by_num(rows, found.parent)
    return found


def _named(rows: Rows, repo: repos.RepoRow, name: str) -> CommitRow:
    branch = rows.one("branch_get", repo=repo.id, name=name)
    if branch is not None:
        if branch[2] is None:
            raise NotFound(
                f"branch {repo.name}@{name} has no finished commit yet: put a file first",
                repo=repo.name,
            )
        return by_num(rows, branch[2])
    if _HEX.fullmatch(name):
        found = rows.all("commit_in_repo", id=name, repo=repo.id)
        if found:
            return CommitRow(*found[0])
    names = [row[1] for row in rows.all("branch_list", repo=repo.id)]
    there = f"it has {', '.join(names[:8])}" if names else "it has no branch yet: put a file first"
    raise NotFound(f"no branch or commit {name} in repo {repo.name}: {there}", repo=repo.name)


def with_id(rows: Rows, commit_id: str) -> list[CommitRow]:
    """All commits that share a global id (T3), oldest first; empty if there is none."""
    return [CommitRow(*row) for row in rows.all("commit_everywhere", id=commit_id)]


def listing(
    rows: Rows, repo: int, branch: str | None = None, before: int = 2**62, limit: int = 100
) -> list[CommitRow]:
    """Commits of a repo (of one branch), newest first, with numbers below `before`."""
    if branch is None:
        found = rows.all("commit_list", repo=repo, before=before, limit=limit)
    else:
        found = rows.all("commit_list_branch", repo=repo, branch=branch, before=before, limit=limit)
    return [CommitRow(*row) for row in found]


def since(rows: Rows, repo: int, branch: str, after: int, limit: int) -> list[CommitRow]:
    """Commits of a branch, oldest first, with numbers above `after`."""
    found = rows.all("commit_list_since", repo=repo, branch=branch, after=after, limit=limit)
    return [CommitRow(*row) for row in found]


def info(rows: Rows, commit: CommitRow, repo: str = "") -> CommitInfo:
    """A commit as it is shown. `repo` is its repo's name where it is known."""
    parent = rows.one("commit_get", num=commit.parent) if commit.parent is not None else None
    return CommitInfo(
        repo=repo or repos.by_id(rows, commit.repo).name,
        branch=commit.branch,
        id=commit.id,
        number=commit.num,
        parent=None if parent is None else parent[1],
        origin=commit.origin,
        state=commit.state,
        started=moment(commit.started),
        finished=maybe(commit.finished),
        size=commit.size,
        files=commit.files,
        description=commit.description,
        error=commit.error,
        provenance=() if commit.origin == "user" else provenance(rows, commit.num),
    )


def provenance(rows: Rows, num: int) -> tuple[str, ...]:
    """The commits that the job read which made this one, as REPO@ID; none for one of people.

    Those of repos that were deleted, and those that were squashed, are left out.
    """
    row = rows.one("inputs_of_commit", num=num)
    numbers = [] if row is None else _numbers.decode(row[0])
    named = (rows.one("commit_name", num=each) for each in numbers)
    return tuple(dict.fromkeys(f"{name[0]}@{name[2]}" for name in named if name is not None))


def tip(rows: Rows, repo: str | int, branch: str) -> Tip:
    """Where the next commit of a branch goes; `repo` is a name or a key. Raises NotFound."""
    query = "tip_by_name" if isinstance(repo, str) else "tip_by_id"
    found = rows.one(query, repo=repo, branch=branch)
    if found is None:
        raise repos.missing(rows, repo) if isinstance(repo, str) else NotFound(f"no repo {repo}")
    return Tip(*found)
