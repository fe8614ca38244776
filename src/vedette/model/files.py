"""Files, repos, branches and commits, as they are shown to people and programs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct


class RepoInfo(Struct, frozen=True, kw_only=True):
    """A repo; `size` and `files` are those of the head of `master`.

    `max_bytes`: how many bytes all versions of its files may have; None: any number.
    """

    name: str
    created: datetime
    description: str = ""
    kind: Literal["user", "pipeline"] = "user"
    size: int = 0
    files: int = 0
    branches: tuple[str, ...] = ()
    max_bytes: int | None = None


class BranchInfo(Struct, frozen=True, kw_only=True):
    """A branch; `head` is the id of its newest finished commit, or None."""

    repo: str
    name: str
    head: str | None = None
    follows: str | None = None


class CommitInfo(Struct, frozen=True, kw_only=True):
    """A commit. `size` and `files` count the whole tree; `provenance` has the commits that
    its job read, as REPO@ID.

    `id` is the global id (ENGINE T3); `number` orders commits of one installation.
    """

    repo: str
    branch: str
    id: str
    number: int
    parent: str | None = None
    origin: Literal["user", "auto"] = "user"
    state: Literal["started", "finished", "errored"]
    started: datetime
    finished: datetime | None = None
    size: int = 0
    files: int = 0
    description: str = ""
    error: str = ""
    provenance: tuple[str, ...] = ()


class FileInfo(Struct, frozen=True, kw_only=True):
    """A file or directory in a commit; `object` is hex, empty for a directory.

    A directory's `size` is that of its files. `commit` is the id of the commit that wrote it.
    `gone` is when its bytes were deleted for good, if they were (ENGINE K1).
    """

    repo: str
    path: str
    type: Literal["file", "dir"]
    size: int
    object: str = ""
    commit: str = ""
    datum: str = ""
    gone: datetime | None = None


class FileChange(Struct, frozen=True, kw_only=True):
    """What a commit did to one path against its parent.

    `first` is set for the output of a datum whose identity never succeeded before, in any job
    and under any version of its pipeline: what was judged for the first time (CAMERAS 6).
    """

    path: str
    change: Literal["added", "modified", "deleted"]
    object: str = ""
    size: int = 0
    datum: str = ""
    first: bool = False


class Write(Struct, frozen=True, kw_only=True):
    """One file operation of a transaction.

    `data` is the new content; `object` (hex) names content that is stored already; neither, with
    `delete`, removes the path and all below it. `expect` makes the whole transaction depend on
    the present content: the hex id of the object that must be there, or "" for no file.
    """

    repo: str
    path: str
    branch: str = "master"
    data: bytes | None = None
    object: str | None = None
    append: bool = False
    delete: bool = False
    expect: str | None = None


class WriteResult(Struct, frozen=True, kw_only=True):
    """What a transaction made: one global id, one commit a branch, object ids in order."""

    id: str
    commits: tuple[CommitInfo, ...]
    objects: tuple[str, ...]
