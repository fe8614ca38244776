"""What keeping and deleting is told in: garbage, faults, and what things take up."""

from __future__ import annotations

from msgspec import Struct


class Collected(Struct, frozen=True, kw_only=True):
    """What one run of garbage collection let go: objects, their bytes, packs that were removed.

    `suspects` wait for their grace period to end. `busy`: a large job, or a backup under way,
    kept the run from it.
    """

    objects: int = 0
    size: int = 0
    packs: int = 0
    suspects: int = 0
    busy: bool = False


class Room(Struct, frozen=True, kw_only=True):
    """Room on the disk that has least of it, in bytes, and what is to be said of that.

    Below `reserve` bytes `free` what users put is refused. `stored` are the bytes of all objects,
    told where there is a `quota` for them.
    """

    folder: str = ""
    free: int = 0
    total: int = 0
    reserve: int = 0
    stored: int = 0
    quota: int = 0
    warning: str = ""


class Fault(Struct, frozen=True, kw_only=True):
    """Something amiss. `kind`: missing, damaged, rows, or left (deleted, and still there)."""

    kind: str
    text: str
    object: str = ""


class Checked(Struct, frozen=True, kw_only=True):
    """What a check has looked at; `files` are those of the heads of all branches."""

    objects: int = 0
    size: int = 0
    files: int = 0


class CheckLine(Struct, frozen=True, kw_only=True):
    """One line of a check: a fault, or in the end what was looked at."""

    fault: Fault | None = None
    checked: Checked | None = None


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a repo keeps: bytes younger than `age` seconds, and those of its newest `last` commits.

    What either keeps stays. None for both: everything is kept.
    """

    age: float | None = None
    last: int | None = None


class Deletion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A path whose files are to be deleted for good, in all commits; why is kept with them."""

    path: str
    reason: str = ""


class Deleted(Struct, frozen=True, kw_only=True):
    """How many versions of files were deleted for good."""

    files: int


class CommitUsage(Struct, frozen=True, kw_only=True):
    """What a commit takes up, in bytes.

    `size` is all of its `files`, as if each were stored by itself; `brought` what it added to what
    was there, each content once; `own` what of that no other version of a file has, in any repo.
    """

    repo: str
    commit: str
    files: int
    size: int
    contents: int
    brought: int
    own: int


class Usage(Struct, frozen=True, kw_only=True):
    """What a repo takes up, in bytes.

    `head` is the head of master; `versions` all versions of all files, as if each were stored by
    itself; `stored` what they take once each; `shared` what of it other repos have too.
    """

    repo: str
    head: int
    versions: int
    stored: int
    shared: int
    objects: int
