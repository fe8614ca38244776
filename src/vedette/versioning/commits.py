"""Commits: states of a branch that never change once they are finished (ENGINE P7)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from vedette.model.errors import Conflict, Invalid, InvalidPath, NotFound, PathConflict, TooLarge
from vedette.model.files import Write
from vedette.model.ids import CommitId, ObjectId
from vedette.model.paths import check_name, clean
from vedette.versioning import contents, quota, staged
from vedette.versioning.contents import Prepared
from vedette.versioning.edits import Edit, Tip
from vedette.versioning.refs import (
    CommitRow,
    Origin,
    by_num,
    info,
    listing,
    provenance,
    resolve,
    since,
    tip,
    with_id,
)
from vedette.versioning.transaction import Finished, Transaction

__all__ = [
    "Changes", "CommitRow", "Committed", "Finished", "apply", "by_num", "change",
    "commit_files", "conclude", "edit", "fail", "finish", "info", "listing", "provenance",
    "resolve", "seal", "since", "start", "tip", "with_id",
]  # fmt: skip


APPEND_LIMIT = 1 << 30
"""Bytes that a file may have after something was appended: both parts are held in memory."""


class Changes(Struct, frozen=True, kw_only=True):
    """What a commit does to its branch: datums and files that go, then files that come.

    A put is (clean path, object, size, datum or None). With `exclusive`, a put over the file of
    another datum is refused (M2).
    """

    puts: list[tuple[str, ObjectId, int, int | None]] = []
    deletes: list[str] = []
    remove_datums: list[int] = []
    exclusive: bool = False


def _branch(tx: Transaction, place: Tip, branch: str) -> int:
    if place.branch is not None:
        return place.branch
    check_name(branch, "branch")
    return tx.rows.insert(
        "branch_add",
        repo=place.repo,
        name=branch,
        head=None,
        follows=None,
        trigger=None,
        moved=tx.now,
    )


def start(
    tx: Transaction,
    repo: str | int,
    branch: str,
    commit_id: str | None = None,
    origin: Origin = "user",
    parent: int | None = None,
    description: str = "",
) -> CommitRow:
    """Open a commit in a branch, which is made if it is missing.

    Its parent is the branch's head, unless given; `finish` and `apply` set it to the head of their
    moment. A branch has one open commit of users at most (Conflict); jobs may open many.
    """
    place = tip(tx.rows, repo, branch)
    if origin == "user":
        _refuse_output(place)
        if place.open is not None:
            raise Conflict(
                f"branch {place.name}@{branch} has an open commit "
                f"({by_num(tx.rows, place.open).id}): finish it first",
                repo=place.name,
            )
    number = _branch(tx, place, branch)
    num = tx.rows.insert(
        "commit_open", id=commit_id or tx.new_id(), repo=place.repo, branch=branch,
        parent=place.head if parent is None else parent, origin=origin, now=tx.now,
        description=description,
    )  # fmt: skip
    if origin == "auto":
        tx.rows.later("branch_plan", id=number, num=num)
    return by_num(tx.rows, num)


def _refuse_output(place: Tip) -> None:
    """Raise Conflict when a branch belongs to a pipeline, so that only jobs may write to it."""
    if place.kind == "pipeline":
        raise Conflict(
            f"repo {place.name} holds the output of a pipeline: write to one of its inputs instead",
            repo=place.name,
        )


def edit(tx: Transaction, repo: str | int, branch: str) -> Edit:
    """Begin to change the files of a branch; `seal` or `conclude` makes it a commit."""
    return Edit(tx, tip(tx.rows, repo, branch))


def seal(tx: Transaction, made: Edit, commit: CommitRow) -> Finished:
    """Make an edit the content of an open commit, and that the head of its branch.

    Raises OverQuota for more than the repo may have, Conflict when the commit is not open.
    """
    quota.charge(tx, made)
    changed = tx.rows.run(
        "commit_finish",
        num=commit.num,
        line=made.line,
        seq=made.seq,
        parent=made.tip.head,
        now=tx.now,
        files=made.files,
        size=made.size,
        closed=made.closed,
    )
    if not changed:
        raise Conflict(f"commit {commit.id} is not open: start another one")
    return _advance(tx, made, commit.num, commit.id, commit.branch, commit.origin)


def conclude(
    tx: Transaction,
    made: Edit,
    branch: str,
    commit_id: str,
    origin: Origin = "user",
    description: str = "",
) -> Finished:
    """Make an edit a new commit of a branch, finished at once. Raises OverQuota."""
    quota.charge(tx, made)
    num = tx.rows.insert(
        "commit_make",
        id=commit_id,
        repo=made.tip.repo,
        branch=branch,
        line=made.line,
        seq=made.seq,
        parent=made.tip.head,
        origin=origin,
        now=tx.now,
        files=made.files,
        size=made.size,
        closed=made.closed,
        description=description,
    )
    return _advance(tx, made, num, commit_id, branch, origin)


def _advance(
    tx: Transaction, made: Edit, num: int, commit_id: str, branch: str, origin: Origin
) -> Finished:
    if made.seq > 1:
        tx.rows.later("line_advance", line=made.line, seq=made.seq)
    number = _branch(tx, made.tip, branch)
    tx.rows.later("branch_advance", id=number, line=made.line, num=num)
    finished = Finished(
        num=num,
        id=CommitId(commit_id),
        repo=made.tip.repo,
        branch=branch,
        line=made.line,
        seq=made.seq,
        root=origin == "user",
        name=made.tip.name,
    )
    tx.finished.append(finished)
    return finished


def apply(tx: Transaction, commit: CommitRow | int, changes: Changes) -> Finished:
    """Finish an open commit with these changes to its branch's head.

    Raises PathConflict (P4, M2, M3): part of the changes may be made then, so undo them by a
    savepoint or give the transaction up. Raises Conflict when the commit is not open.
    """
    row = by_num(tx.rows, commit) if isinstance(commit, int) else commit
    made = edit(tx, row.repo, row.branch)
    change(made, changes)
    return seal(tx, made, row)


def change(made: Edit, changes: Changes) -> None:
    """Carry out changes. A file that goes and comes back in them is replaced."""
    coming = {put[0] for put in changes.puts}
    going: set[str] = set()
    for gone in changes.remove_datums:
        going.update(made.paths_of(gone))
    going.update(changes.deletes)
    for path in sorted(going - coming):
        made.delete(path)
    written: dict[str, int | None] = {}
    for path, name, size, datum in changes.puts:
        if changes.exclusive:
            _refuse_owned(made, path, datum, path in going, written)
        made.put(path, name, size, datum)


def _refuse_owned(
    made: Edit, path: str, datum: int | None, free: bool, written: dict[str, int | None]
) -> None:
    if path in written:
        owner = written[path]
    elif free:
        owner = datum
    else:
        found = made.stat(path)
        owner = datum if found is None else found.datum
    if owner != datum:
        raise PathConflict(
            f"{path} is written by two datums ({owner} and {datum}): read with the glob '/', "
            "or put $PACH_DATUM_ID into the path",
            path=path,
            owner=owner or 0,
            datum=datum or 0,
        )
    written[path] = datum


def fail(tx: Transaction, num: int, reason: str) -> None:
    """End an open commit without content; the head of its branch stays. Raises Conflict."""
    if not tx.rows.run("commit_fail", num=num, now=tx.now, error=reason):
        raise Conflict(f"commit {by_num(tx.rows, num).id} is not open: it cannot fail any more")
    tx.suspect(tx.rows.all("staged_give_up", cmt=num))


def finish(tx: Transaction, num: int) -> Finished:
    """Finish an open commit: what was written to it becomes its branch's head.

    Raises Conflict when it is not open, PathConflict when its writes contradict each other (P4).
    """
    row = by_num(tx.rows, num)
    if row.state != "started":
        raise Conflict(f"commit {row.id} is {row.state} already: start another one")
    made = edit(tx, row.repo, row.branch)
    staged.replay(tx, made, num)
    return seal(tx, made, row)


class Committed(Struct, frozen=True, kw_only=True):
    """What `commit_files` made: one global id, a commit for each branch, an object for each write.

    A branch with an open commit has taken the writes into that one, which is not finished.
    Deleting gives b"" as object.
    """

    id: CommitId
    commits: tuple[CommitRow, ...]
    finished: tuple[Finished, ...]
    objects: tuple[bytes, ...]


def commit_files(
    tx: Transaction,
    writes: Sequence[Write],
    prepared: Sequence[Prepared | None] = (),
    commit_id: str | None = None,
    description: str = "",
    *,
    own_output: bool = False,
) -> Committed:
    """Write files of one or several repos, in order, as one commit a branch under one global id.

    `own_output` is said by the pipeline itself whose output repo it is.

    `prepared` holds what other threads made of the writes' `data`, by position. Raises NotFound
    (repo, object, path to delete), Conflict (`expect`, the output of a pipeline), PathConflict
    (P4), InvalidPath and Invalid; then the transaction, or a savepoint in it, must be undone.
    """
    targets: dict[tuple[str, str], Edit | staged.Draft] = {}
    for write in writes:
        key = (write.repo, write.branch)
        if key not in targets:
            targets[key] = _target(tx, *key, own_output=own_output)
        if write.expect is not None:
            _check_expected(targets[key], write)
    ready = [*prepared, *[None] * (len(writes) - len(prepared))]
    objects = [
        _write(tx, targets[write.repo, write.branch], write, held)
        for write, held in zip(writes, ready, strict=True)
    ]
    shared = CommitId(commit_id or tx.new_id())
    made: list[CommitRow] = []
    finished: list[Finished] = []
    for (_, branch), target in targets.items():
        if isinstance(target, Edit):
            finished.append(conclude(tx, target, branch, shared, description=description))
            made.append(_row(tx, target, finished[-1], description))
        else:
            made.append(by_num(tx.rows, target.num))
    return Committed(
        id=shared,
        commits=tuple(made),
        finished=tuple(finished),
        objects=tuple(objects),
    )


def _row(tx: Transaction, made: Edit, finished: Finished, description: str) -> CommitRow:
    """The row that `conclude` has just written for a user, without asking for it."""
    return CommitRow(
        num=finished.num, id=finished.id, repo=finished.repo, branch=finished.branch,
        line=finished.line, seq=finished.seq, parent=made.tip.head, origin="user",
        state="finished", started=tx.now, finished=tx.now, files=made.files, size=made.size,
        closed=made.closed, error="", description=description,
    )  # fmt: skip


def _target(
    tx: Transaction, repo: str, branch: str, *, own_output: bool = False
) -> Edit | staged.Draft:
    check_name(branch, "branch")
    place = tip(tx.rows, repo, branch)
    if not own_output:
        _refuse_output(place)
    if place.open is not None:
        return staged.Draft(tx, place, place.open)
    return Edit(tx, place)


def _check_expected(target: Edit | staged.Draft, write: Write) -> None:
    found = target.stat(clean(write.path))
    present = "" if found is None else found.object.hex()
    if present != write.expect:
        raise Conflict(
            f"{write.path} in {write.repo}@{write.branch} is not as expected: "
            f"it is {present[:16] or 'absent'}, not {(write.expect or '')[:16] or 'absent'}; "
            "read it again",
            repo=write.repo,
            path=write.path,
            found=present,
        )


def _write(
    tx: Transaction, target: Edit | staged.Draft, write: Write, prepared: Prepared | None
) -> bytes:
    path = clean(write.path)
    given = (write.data is not None or prepared is not None, write.object is not None, write.delete)
    if sum(given) != 1:
        raise Invalid(f"write to {path}: give one of data, object and delete")
    if write.delete:
        if not target.delete_below(path):
            raise NotFound(
                f"no file or directory {path} in {write.repo}@{write.branch}",
                repo=write.repo,
                path=path,
            )
        return b""
    if path == "/":
        raise InvalidPath("the root of a repo is a directory: name a file in it")
    if write.object is not None:
        name = _object(write.object)
        size = contents.size(tx.rows, name)
    else:
        held = prepared or contents.prepare(tx.objects, write.data or b"")
        name, size = contents.store(tx, held), held.size
    if write.append and (before := target.stat(path)) is not None:
        if before.size + size > APPEND_LIMIT:
            raise TooLarge(
                f"{path} would have {before.size + size:,} bytes: appending makes at most "
                f"{APPEND_LIMIT:,}, put the whole file instead", path=path,
            )  # fmt: skip
        old = contents.read(tx.rows, tx.objects, before.object)
        held = contents.prepare(tx.objects, old + contents.read(tx.rows, tx.objects, name))
        tx.suspect([(name,)])  # the part alone is in no file
        name, size = contents.store(tx, held), held.size
    target.put(path, name, size)
    return name


def _object(text: str) -> ObjectId:
    try:
        name = bytes.fromhex(text)
    except ValueError:
        name = b""
    if len(name) != 32:
        raise Invalid(f"object {text[:80]!r}: an object id has 64 hex digits")
    return ObjectId(name)
