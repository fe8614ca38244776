"""Deleting for good: bytes become a tombstone, and all else of a file stays (ENGINE K1).

A repo may keep the bytes of what its commits wrote for a time, or for some commits. Older files
stay where they are, with path, size, hash and provenance, and say that their bytes are gone, when
and why. Nothing is committed, so no pipeline sees a change. Bytes that another file names stay for
that one; the others are collected (`vedette.versioning.collect`).
"""

from __future__ import annotations

from vedette.metadata.store import Rows
from vedette.model.errors import Gone, Invalid, NotFound
from vedette.model.ids import ObjectId
from vedette.model.keeping import Rule
from vedette.model.paths import below, clean
from vedette.versioning import repos
from vedette.versioning.stretches import FileRow
from vedette.versioning.times import moment
from vedette.versioning.transaction import Transaction

_PAGE = 500
_SECOND = 1_000_000
_UNITS = [
    ("day", 86_400 * _SECOND),
    ("hour", 3600 * _SECOND),
    ("minute", 60 * _SECOND),
    ("second", _SECOND),
]
_LONGEST = 1000 * 366 * 86_400


def check(rule: Rule) -> Rule:
    """Return a rule that can be meant. Raises Invalid."""
    if rule.age is not None and not 0 < rule.age <= _LONGEST:
        raise Invalid(f"retain: an age of {rule.age:g} seconds: use more than 0, or leave it out")
    if rule.last is not None and not 1 <= rule.last <= 1 << 40:
        raise Invalid(f"retain: the last {rule.last} commits: use 1 or more, or leave it out")
    return rule


def set_rule(tx: Transaction, repo: int, rule: Rule, spec: bool = False) -> None:
    """Say what a repo keeps from now on. `spec`: because its pipeline's spec says so."""
    check(rule)
    if rule.age is None and rule.last is None:
        tx.rows.run("retain_drop", repo=repo)
        return
    age = None if rule.age is None else int(rule.age * _SECOND)
    tx.rows.run("retain_set", repo=repo, age=age, last=rule.last, spec=int(spec))


def follow_spec(tx: Transaction, repo: int, rule: Rule) -> None:
    """Take a spec's rule over; one that was given by hand stays when the spec has none."""
    if rule.age is not None or rule.last is not None:
        set_rule(tx, repo, rule, spec=True)
        return
    present = tx.rows.one("retain_get", repo=repo)
    if present is not None and present[2]:
        tx.rows.run("retain_drop", repo=repo)


def rule_of(rows: Rows, repo: int) -> Rule:
    """What a repo keeps."""
    found = rows.one("retain_get", repo=repo)
    if found is None:
        return Rule()
    return Rule(age=None if found[0] is None else found[0] / _SECOND, last=found[1])


def due(rows: Rows, now: int) -> list[tuple[int, str]]:
    """The repos that have files to delete for good now: (key, why)."""
    found = []
    for repo, name, age, last in rows.all("retain_all"):
        lines = rows.all("retain_lines", repo=repo)
        if any(_boundary(rows, row, age, last, now) > row[2] for row in lines):
            kept = [] if age is None else [f"what is younger than {_time(age)}"]
            kept += [] if last is None else [f"the last {last} commits"]
            found.append((repo, f"repo {name} keeps {' and '.join(kept)}"))
    return found


def _time(age: int) -> str:
    """A length of time in the largest unit that it fills."""
    fits = [(name, unit) for name, unit in _UNITS if age >= unit] or [_UNITS[-1]]
    count = age / fits[0][1]
    return f"{count:g} {fits[0][0]}{'s' * (count != 1)}"


def _boundary(
    rows: Rows, line: tuple[int, int, int], age: int | None, last: int | None, now: int
) -> int:
    """The newest place of a line whose files have to go."""
    number, head, done = line
    until = head
    if age is not None:
        young = rows.one("retain_first_young", line=number, after=done, cutoff=now - age)
        until = head if young is None else young[0] - 1
    if last is not None:
        until = min(until, head - last)
    return until


def expire(tx: Transaction, repo: int, tombstone: int, limit: int = _PAGE) -> bool:
    """Delete a page of a repo's old files for good; False when none is left."""
    rows = tx.rows
    found = rows.one("retain_get", repo=repo)
    if found is None:
        return False
    for line in rows.all("retain_lines", repo=repo):
        number, _, done = line
        until = _boundary(rows, line, found[0], found[1], tx.now)
        if until <= done:
            continue
        pages = {
            kind: rows.all(f"old_{kind}", line=number, after=done, until=until, limit=limit)
            for kind in ("live", "past")
        }
        for kind, page in pages.items():
            _bury(tx, repo, number, kind, page, tombstone)
        full = [page[-1][1] - 1 for page in pages.values() if len(page) == limit]
        reached = max(done, min([until, *full]))
        rows.run("retained_set", line=number, seq=reached)
        return True
    return False


def entomb(tx: Transaction, reason: str) -> int:
    """A tombstone to name in the files that go; its key."""
    return tx.rows.insert("tombstone_add", at=tx.now, reason=reason)


def _bury(
    tx: Transaction,
    repo: int,
    line: int,
    kind: str,
    page: list[tuple[str, int, bytes]],
    tombstone: int,
) -> None:
    if page:
        tx.rows.run("quota_freed", repo=repo)
    for path, seq, _ in page:
        tx.rows.run(f"bury_{kind}", line=line, path=path, seq=seq, gone=tombstone)
        if kind == "live":
            tx.suspect(tx.rows.all("bury_parts", repo=repo, path=path, gone=tombstone))
    tx.suspect((name,) for _, _, name in page)


def delete(tx: Transaction, repo: str, path: str, tombstone: int, limit: int = _PAGE) -> int:
    """Delete a page of all versions of the files at or below a path for good; how many there were.

    0 when none is left. Raises NotFound for a repo that is not there.
    """
    key = repos.get(tx.rows, repo).id
    top = clean(path)
    low, high = below(top)
    # No path has a NUL, which PostgreSQL cannot even compare with: the next one is the bound.
    spans = [(low, high)] if top == "/" else [(top, top + "\x01"), (low, high)]
    for line, _, _ in tx.rows.all("retain_lines", repo=key):
        for kind in ("live", "past"):
            for first, end in spans:
                page = tx.rows.all(f"versions_{kind}", line=line, low=first, high=end, limit=limit)
                if page:
                    _bury(tx, key, line, kind, page, tombstone)
                    return len(page)
    return 0


def refuse_gone(rows: Rows, repo: str, file: FileRow) -> None:
    """Raise Gone, with reason and date, for a file that was deleted for good."""
    if file.gone is None:
        return
    found = rows.one("tombstone_get", id=file.gone)
    if found is None:
        raise NotFound(f"{repo}:{file.path} has no bytes any more")
    raise Gone(
        f"{repo}:{file.path} was deleted for good on {moment(found[0]):%Y-%m-%d %H:%M} UTC: "
        f"{found[1]}",
        repo=repo, path=file.path, object=file.object.hex(),
    )  # fmt: skip


def bury_again(tx: Transaction, line: int, path: str, name: ObjectId) -> None:
    """Mark a file that a result brought back, where its bytes were deleted for good."""
    if tx.rows.one("object_size", id=name) is not None:
        return
    found = tx.rows.one("object_tombstone", id=name)
    if found is not None:
        tx.rows.run("bury_again", line=line, path=path, object=name, gone=found[2])
        tx.rows.run("quota_freed_line", line=line)


def any_tombstones(rows: Rows) -> bool:
    """Whether anything was ever deleted for good."""
    return rows.one("tombstones") is not None
